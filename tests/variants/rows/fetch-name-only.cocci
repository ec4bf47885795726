// Back to before v4.10: maps are not counted by symbols.
@@
identifier f =~ "^bpf_map_(num_sym|verify_all_offs)$";
@@
-int f(...) { ... }

@@
identifier f =~ "^bpf_map_(num_sym|verify_all_offs)$";
@@
-f(...)
+0
