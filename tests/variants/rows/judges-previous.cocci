// SPDX-FileCopyrightText: the iproute2-respin authors
// SPDX-License-Identifier: GPL-2.0-or-later

// Back to 7a04dd84, the commit before 1a7d3ad8: the type of the symbol before.
@@
identifier f = {bpf_map_num_sym, bpf_map_verify_all_offs, bpf_map_fetch_name};
identifier t, sym;
@@
 f(...)
 {
 <...
-int t;
+int t = GELF_ST_TYPE(sym.st_info);
 if (gelf_getsym(...) != &sym) { continue; }
-t = GELF_ST_TYPE(sym.st_info);
 ...>
 }
