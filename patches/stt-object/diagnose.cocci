// Reports the shape of each function that counts, verifies or names the maps of an
// object by their symbols: "respin", shape, function, file, line, one match a line.
//
// The test of the type has to be an operand of the outermost || of a condition that
// goes on to the next symbol: anywhere else it means something else.

@initialize:python@
@@
def report(shape, p):
    print("respin", shape, p[0].current_element, p[0].file, p[0].line, sep="\t")

// v4.5 to v4.19: passes over every map that LLVM 8 or later made.
@skips@
identifier f =~ "^bpf_map_(num_sym|verify_all_offs|fetch_name)$";
identifier sym;
expression E, E1, E2, E3, E4;
position p;
statement S;
@@
 f(...)
 {
 <+...
 if (gelf_getsym(...) != &sym) continue;
 ... when != S
 if@p (
(
 GELF_ST_TYPE(sym.st_info) != STT_NOTYPE || E1
|
 GELF_ST_TYPE(sym.st_info) != STT_NOTYPE || E1 || E2
|
 GELF_ST_TYPE(sym.st_info) != STT_NOTYPE || E1 || E2 || E3
|
 GELF_ST_TYPE(sym.st_info) != STT_NOTYPE || E1 || E2 || E3 || E4
|
 E || GELF_ST_TYPE(sym.st_info) != STT_NOTYPE
|
 E || GELF_ST_TYPE(sym.st_info) != STT_NOTYPE || E1
|
 E || GELF_ST_TYPE(sym.st_info) != STT_NOTYPE || E1 || E2
|
 E || GELF_ST_TYPE(sym.st_info) != STT_NOTYPE || E1 || E2 || E3
)
 ) continue;
 ...+>
 }

@script:python@
p << skips.p;
@@
report("skips-object", p)

// 7a04dd84 alone: the type is that of the symbol before this one.
@early@
identifier f =~ "^bpf_map_(num_sym|verify_all_offs|fetch_name)$";
identifier sym, t;
type T;
expression E, E1, E2, E3, E4;
position p;
statement S;
@@
 f(...)
 {
 <+...
(
 T t = GELF_ST_TYPE(sym.st_info);
|
 t = GELF_ST_TYPE(sym.st_info);
)
 if (gelf_getsym(...) != &sym) continue;
 ... when != S
 if@p (
(
 (t != STT_NOTYPE && t != STT_OBJECT) || E1
|
 (t != STT_NOTYPE && t != STT_OBJECT) || E1 || E2
|
 (t != STT_NOTYPE && t != STT_OBJECT) || E1 || E2 || E3
|
 (t != STT_NOTYPE && t != STT_OBJECT) || E1 || E2 || E3 || E4
|
 E || (t != STT_NOTYPE && t != STT_OBJECT)
|
 E || (t != STT_NOTYPE && t != STT_OBJECT) || E1
|
 E || (t != STT_NOTYPE && t != STT_OBJECT) || E1 || E2
|
 E || (t != STT_NOTYPE && t != STT_OBJECT) || E1 || E2 || E3
)
 ) continue;
 ...+>
 }

@script:python@
p << early.p;
@@
report("judges-previous", p)

// 1a7d3ad8, v4.20 on: the type is taken after the symbol was read.
@accepts@
identifier f =~ "^bpf_map_(num_sym|verify_all_offs|fetch_name)$";
identifier sym, t;
expression E, E1, E2, E3, E4;
position p;
@@
 f(...)
 {
 <+...
 if (gelf_getsym(...) != &sym) continue;
 t = GELF_ST_TYPE(sym.st_info);
 if@p (
(
 (t != STT_NOTYPE && t != STT_OBJECT) || E1
|
 (t != STT_NOTYPE && t != STT_OBJECT) || E1 || E2
|
 (t != STT_NOTYPE && t != STT_OBJECT) || E1 || E2 || E3
|
 (t != STT_NOTYPE && t != STT_OBJECT) || E1 || E2 || E3 || E4
|
 E || (t != STT_NOTYPE && t != STT_OBJECT)
|
 E || (t != STT_NOTYPE && t != STT_OBJECT) || E1
|
 E || (t != STT_NOTYPE && t != STT_OBJECT) || E1 || E2
|
 E || (t != STT_NOTYPE && t != STT_OBJECT) || E1 || E2 || E3
)
 ) continue;
 ...+>
 }

@script:python@
p << accepts.p;
@@
report("accepts-object", p)

// Every definition that Coccinelle could read: what is missing here was not understood.
@defined@
identifier f =~ "^bpf_map_(num_sym|verify_all_offs|fetch_name)$";
position p;
@@
 f@p(...) { ... }

@script:python@
p << defined.p;
@@
report("defined", p)
