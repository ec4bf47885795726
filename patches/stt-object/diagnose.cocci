// SPDX-FileCopyrightText: the iproute2-respin authors
// SPDX-License-Identifier: GPL-2.0-or-later

// Reports the shape of each function that counts, verifies or names the maps of an
// object by their symbols: "respin", shape, function, file, line, then what it calls
// its variables.
//
// The test of the type has to be an operand of the outermost || of a condition that
// goes on to the next symbol: anywhere else it means something else. What else stands
// in the function is for fix.toml to hold against what is known.

@initialize:python@
@@
def report(shape, p, **names):
    named = [f"{name}={word}" for name, word in names.items()]
    print("respin", shape, p[0].current_element, p[0].file, p[0].line, *named, sep="\t")

// v4.5 to v4.19: passes over every map that LLVM 8 or later made.
@skips@
identifier f = {bpf_map_num_sym, bpf_map_verify_all_offs, bpf_map_fetch_name};
identifier sym;
expression E, E1, E2, E3, E4, E5;
statement S;
position p;
@@
 f(...)
 {
 <+...
 if (gelf_getsym(...) != &sym) { continue; }
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
 GELF_ST_TYPE(sym.st_info) != STT_NOTYPE || E1 || E2 || E3 || E4 || E5
|
 E || GELF_ST_TYPE(sym.st_info) != STT_NOTYPE
|
 E || GELF_ST_TYPE(sym.st_info) != STT_NOTYPE || E1
|
 E || GELF_ST_TYPE(sym.st_info) != STT_NOTYPE || E1 || E2
|
 E || GELF_ST_TYPE(sym.st_info) != STT_NOTYPE || E1 || E2 || E3
|
 E || GELF_ST_TYPE(sym.st_info) != STT_NOTYPE || E1 || E2 || E3 || E4
)
 ) { continue; }
 ...+>
 }

@script:python@
p << skips.p;
sym << skips.sym;
@@
report("skips-object", p, sym=sym)

// The same with a variable in place of the call.
@skips_variable@
identifier f = {bpf_map_num_sym, bpf_map_verify_all_offs, bpf_map_fetch_name};
identifier sym, t;
type T;
expression E, E1, E2, E3, E4, E5;
position p;
@@
 f(...)
 {
 <+...
 if (gelf_getsym(...) != &sym) { continue; }
(
 t = GELF_ST_TYPE(sym.st_info);
|
 T t = GELF_ST_TYPE(sym.st_info);
)
 if@p (
(
 t != STT_NOTYPE || E1
|
 t != STT_NOTYPE || E1 || E2
|
 t != STT_NOTYPE || E1 || E2 || E3
|
 t != STT_NOTYPE || E1 || E2 || E3 || E4
|
 t != STT_NOTYPE || E1 || E2 || E3 || E4 || E5
|
 E || t != STT_NOTYPE
|
 E || t != STT_NOTYPE || E1
|
 E || t != STT_NOTYPE || E1 || E2
|
 E || t != STT_NOTYPE || E1 || E2 || E3
|
 E || t != STT_NOTYPE || E1 || E2 || E3 || E4
)
 ) { continue; }
 ...+>
 }

@script:python@
p << skips_variable.p;
sym << skips_variable.sym;
t << skips_variable.t;
@@
report("skips-object-by-variable", p, sym=sym, type=t)

// The test that passes over a symbol of neither type. Its operator is marked, so that the
// rules below need not spell it out: Coccinelle multiplies what stands in a disjunction.
@neither@
identifier t;
position q;
@@
(
 t != STT_NOTYPE &&@q t != STT_OBJECT
|
 t != STT_OBJECT &&@q t != STT_NOTYPE
|
 !(t == STT_NOTYPE ||@q t == STT_OBJECT)
|
 !(t == STT_OBJECT ||@q t == STT_NOTYPE)
)

// 7a04dd84 alone: the type is that of the symbol before this one.
@early@
identifier f = {bpf_map_num_sym, bpf_map_verify_all_offs, bpf_map_fetch_name};
identifier sym, neither.t;
position neither.q;
expression X, Y;
type T;
expression E, E1, E2, E3, E4, E5;
statement S;
position p;
@@
 f(...)
 {
 <+...
(
 t = GELF_ST_TYPE(sym.st_info);
|
 T t = GELF_ST_TYPE(sym.st_info);
)
 if (gelf_getsym(...) != &sym) { continue; }
 ... when != S
 if@p (
(
 \( (X &&@q Y) \| !(X ||@q Y) \) || E1
|
 \( (X &&@q Y) \| !(X ||@q Y) \) || E1 || E2
|
 \( (X &&@q Y) \| !(X ||@q Y) \) || E1 || E2 || E3
|
 \( (X &&@q Y) \| !(X ||@q Y) \) || E1 || E2 || E3 || E4
|
 \( (X &&@q Y) \| !(X ||@q Y) \) || E1 || E2 || E3 || E4 || E5
|
 E || \( (X &&@q Y) \| !(X ||@q Y) \)
|
 E || \( (X &&@q Y) \| !(X ||@q Y) \) || E1
|
 E || \( (X &&@q Y) \| !(X ||@q Y) \) || E1 || E2
|
 E || \( (X &&@q Y) \| !(X ||@q Y) \) || E1 || E2 || E3
|
 E || \( (X &&@q Y) \| !(X ||@q Y) \) || E1 || E2 || E3 || E4
)
 ) { continue; }
 ...+>
 }

@script:python@
p << early.p;
sym << early.sym;
t << neither.t;
@@
report("judges-previous", p, sym=sym, type=t)

// 1a7d3ad8, v4.20 on: the type is taken after the symbol was read.
@accepts@
identifier f = {bpf_map_num_sym, bpf_map_verify_all_offs, bpf_map_fetch_name};
identifier sym, neither.t;
position neither.q;
expression X, Y;
type T;
expression E, E1, E2, E3, E4, E5;
position p;
@@
 f(...)
 {
 <+...
 if (gelf_getsym(...) != &sym) { continue; }
(
 t = GELF_ST_TYPE(sym.st_info);
|
 T t = GELF_ST_TYPE(sym.st_info);
)
 if@p (
(
 \( (X &&@q Y) \| !(X ||@q Y) \) || E1
|
 \( (X &&@q Y) \| !(X ||@q Y) \) || E1 || E2
|
 \( (X &&@q Y) \| !(X ||@q Y) \) || E1 || E2 || E3
|
 \( (X &&@q Y) \| !(X ||@q Y) \) || E1 || E2 || E3 || E4
|
 \( (X &&@q Y) \| !(X ||@q Y) \) || E1 || E2 || E3 || E4 || E5
|
 E || \( (X &&@q Y) \| !(X ||@q Y) \)
|
 E || \( (X &&@q Y) \| !(X ||@q Y) \) || E1
|
 E || \( (X &&@q Y) \| !(X ||@q Y) \) || E1 || E2
|
 E || \( (X &&@q Y) \| !(X ||@q Y) \) || E1 || E2 || E3
|
 E || \( (X &&@q Y) \| !(X ||@q Y) \) || E1 || E2 || E3 || E4
)
 ) { continue; }
 ...+>
 }

@script:python@
p << accepts.p;
sym << accepts.sym;
t << neither.t;
@@
report("accepts-object", p, sym=sym, type=t)

// The same without a variable.
@accepts_calls@
identifier f = {bpf_map_num_sym, bpf_map_verify_all_offs, bpf_map_fetch_name};
identifier sym;
expression E, E1, E2, E3, E4, E5;
statement S;
position p;
@@
 f(...)
 {
 <+...
 if (gelf_getsym(...) != &sym) { continue; }
 ... when != S
 if@p (
(
 (GELF_ST_TYPE(sym.st_info) != STT_NOTYPE && GELF_ST_TYPE(sym.st_info) != STT_OBJECT) || E1
|
 (GELF_ST_TYPE(sym.st_info) != STT_NOTYPE && GELF_ST_TYPE(sym.st_info) != STT_OBJECT) || E1 || E2
|
 (GELF_ST_TYPE(sym.st_info) != STT_NOTYPE && GELF_ST_TYPE(sym.st_info) != STT_OBJECT) || E1 || E2 || E3
|
 (GELF_ST_TYPE(sym.st_info) != STT_NOTYPE && GELF_ST_TYPE(sym.st_info) != STT_OBJECT) || E1 || E2 || E3 || E4
|
 (GELF_ST_TYPE(sym.st_info) != STT_NOTYPE && GELF_ST_TYPE(sym.st_info) != STT_OBJECT) || E1 || E2 || E3 || E4 || E5
|
 E || (GELF_ST_TYPE(sym.st_info) != STT_NOTYPE && GELF_ST_TYPE(sym.st_info) != STT_OBJECT)
|
 E || (GELF_ST_TYPE(sym.st_info) != STT_NOTYPE && GELF_ST_TYPE(sym.st_info) != STT_OBJECT) || E1
|
 E || (GELF_ST_TYPE(sym.st_info) != STT_NOTYPE && GELF_ST_TYPE(sym.st_info) != STT_OBJECT) || E1 || E2
|
 E || (GELF_ST_TYPE(sym.st_info) != STT_NOTYPE && GELF_ST_TYPE(sym.st_info) != STT_OBJECT) || E1 || E2 || E3
|
 E || (GELF_ST_TYPE(sym.st_info) != STT_NOTYPE && GELF_ST_TYPE(sym.st_info) != STT_OBJECT) || E1 || E2 || E3 || E4
)
 ) { continue; }
 ...+>
 }

@script:python@
p << accepts_calls.p;
sym << accepts_calls.sym;
@@
report("accepts-object-by-calls", p, sym=sym)

// Every definition that Coccinelle could read: what is missing here was not understood.
@defined@
identifier f = {bpf_map_num_sym, bpf_map_verify_all_offs, bpf_map_fetch_name};
position p;
@@
 f@p(...) { ... }

@script:python@
p << defined.p;
@@
report("defined", p)
