// Turns the three functions back to what they were up to v4.19.
@back disable paren, drop_cast@
identifier f =~ "^bpf_map_(num_sym|verify_all_offs|fetch_name)$";
identifier t, sym;
@@
 f(...)
 {
 <...
-int t;
 if (gelf_getsym(...) != &sym) continue;
-t = GELF_ST_TYPE(sym.st_info);
 if (<+...
-     (t != STT_NOTYPE && t != STT_OBJECT)
+     GELF_ST_TYPE(sym.st_info) != STT_NOTYPE
     ...+>) continue;
 ...>
 }
