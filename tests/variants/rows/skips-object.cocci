// SPDX-FileCopyrightText: the iproute2-respin authors
// SPDX-License-Identifier: GPL-2.0-or-later

// Back to v4.10-4.19: the type in the condition, only STT_NOTYPE accepted.
@condition@
identifier f = {bpf_map_num_sym, bpf_map_verify_all_offs, bpf_map_fetch_name};
identifier t, sym;
expression E1, E2, E3;
@@
 f(...)
 {
 <...
-t = GELF_ST_TYPE(sym.st_info);
(
 if (E1 ||
-    (t != STT_NOTYPE && t != STT_OBJECT)
+    GELF_ST_TYPE(sym.st_info) != STT_NOTYPE
     || E2 || E3) { continue; }
|
 if (E1 ||
-    (t != STT_NOTYPE && t != STT_OBJECT)
+    GELF_ST_TYPE(sym.st_info) != STT_NOTYPE
     || E2) { continue; }
)
 ...>
 }

@@
identifier f = {bpf_map_num_sym, bpf_map_verify_all_offs, bpf_map_fetch_name};
identifier condition.t, sym;
@@
 f(...)
 {
 <...
-int t;
 if (gelf_getsym(...) != &sym) { continue; }
 ...>
 }
