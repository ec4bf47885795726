// SPDX-FileCopyrightText: the iproute2-respin authors
// SPDX-License-Identifier: GPL-2.0-or-later

// LLVM 8 and later make map symbols STT_OBJECT: accept them beside STT_NOTYPE.

// What is right already, in a source that is half-fixed.
@right@
identifier t;
position p;
@@
(
 (t@p != STT_NOTYPE && t != STT_OBJECT)
|
 (t != STT_OBJECT && t@p != STT_NOTYPE)
)

@accept_variable@
identifier f = {bpf_map_num_sym, bpf_map_verify_all_offs, bpf_map_fetch_name};
identifier sym, t;
type T;
position p != right.p;
@@
 f(...)
 {
 <...
(
 t = GELF_ST_TYPE(sym.st_info);
|
 T t = GELF_ST_TYPE(sym.st_info);
)
 if (<+...
-    t@p != STT_NOTYPE
+    (t != STT_NOTYPE && t != STT_OBJECT)
     ...+>) { continue; }
 ...>
 }

// Looked for anew before each change: a change moves what stands behind it.
@right_calls@
identifier sym;
position p;
@@
 (GELF_ST_TYPE@p(sym.st_info) != STT_NOTYPE && GELF_ST_TYPE(sym.st_info) != STT_OBJECT)

@declare@
identifier f = {bpf_map_num_sym, bpf_map_verify_all_offs, bpf_map_fetch_name};
identifier sym;
position p != right_calls.p;
@@
 f(...)
 {
 <...
+int type;
+
 if (gelf_getsym(...) != &sym) { continue; }
 ...
 if (<+... GELF_ST_TYPE@p(sym.st_info) != STT_NOTYPE ...+>) { continue; }
 ...>
 }

@still_right_calls@
identifier sym;
position p;
@@
 (GELF_ST_TYPE@p(sym.st_info) != STT_NOTYPE && GELF_ST_TYPE(sym.st_info) != STT_OBJECT)

@accept@
identifier f = {bpf_map_num_sym, bpf_map_verify_all_offs, bpf_map_fetch_name};
identifier sym;
position p != still_right_calls.p;
@@
 f(...)
 {
 <...
+type = GELF_ST_TYPE(sym.st_info);
 if (<+...
-    GELF_ST_TYPE@p(sym.st_info) != STT_NOTYPE
+    (type != STT_NOTYPE && type != STT_OBJECT)
     ...+>) { continue; }
 ...>
 }

// 7a04dd84 alone: take the type after gelf_getsym(), not before.
@early@
identifier f = {bpf_map_num_sym, bpf_map_verify_all_offs, bpf_map_fetch_name};
identifier sym, t;
type T;
expression list es;
@@
 f(...)
 {
 <...
(
-T t = GELF_ST_TYPE(sym.st_info);
+T t;
 if (gelf_getsym(...) != &sym) { continue; }
|
-t = GELF_ST_TYPE(sym.st_info);
-if (gelf_getsym(es) != &sym) { continue; }
+if (gelf_getsym(es) != &sym)
+	continue;
)
 ...
+t = GELF_ST_TYPE(sym.st_info);
 if (<+... \(t != STT_OBJECT\|t == STT_OBJECT\) ...+>) { continue; }
 ...>
 }
