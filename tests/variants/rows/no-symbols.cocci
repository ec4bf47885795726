// Back to before v4.5: maps have no names.
@@
@@
-const char *bpf_map_fetch_name(...) { ... }

@@
@@
-bpf_map_fetch_name(...)
+NULL
