// LLVM 8 and later make map symbols STT_OBJECT: accept them beside STT_NOTYPE.

// 7a04dd84 alone: take the type after gelf_getsym(), not before.
@early@
identifier f =~ "^bpf_map_(num_sym|verify_all_offs|fetch_name)$";
identifier sym, t;
type T;
@@
 f(...)
 {
 <...
(
-T t = GELF_ST_TYPE(sym.st_info);
+T t;
|
-t = GELF_ST_TYPE(sym.st_info);
)
 if (gelf_getsym(...) != &sym) continue;
 ...
+t = GELF_ST_TYPE(sym.st_info);
 if (<+... t != STT_OBJECT ...+>) continue;
 ...>
 }

@declare@
identifier f =~ "^bpf_map_(num_sym|verify_all_offs|fetch_name)$";
identifier sym;
@@
 f(...)
 {
 <...
+int type;
+
 if (gelf_getsym(...) != &sym) continue;
 ...
 if (<+... GELF_ST_TYPE(sym.st_info) != STT_NOTYPE ...+>) continue;
 ...>
 }

@accept@
identifier f =~ "^bpf_map_(num_sym|verify_all_offs|fetch_name)$";
identifier sym;
@@
 f(...)
 {
 <...
+type = GELF_ST_TYPE(sym.st_info);
 if (<+...
-    GELF_ST_TYPE(sym.st_info) != STT_NOTYPE
+    (type != STT_NOTYPE && type != STT_OBJECT)
     ...+>) continue;
 ...>
 }
