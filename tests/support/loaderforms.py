# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Forms of the three functions, each with its truth.

The truth of a form is the right verdict besides ``unknown``: ``needed``, ``fixed``, or nothing
if neither would be right. ``KNOWN`` forms must not be ``unknown``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from support.loaderfunctions import BOTH, CALL, EARLY, FIXED, RELEASED, SKIPS, Form, variable

NEEDED, IS_FIXED, NEITHER = "needed", "fixed", ""


@dataclass(frozen=True, kw_only=True)
class Known:
    """A form with its truth."""

    form: Form
    truth: str
    must: bool = False
    """Whether it must be recognised."""


def _known(truth: str, form: Form, *, must: bool = False) -> Known:
    return Known(form=form, truth=truth, must=must)


def _helper(body: str, name: str = "@F_is_map", negated: bool = True) -> Form:
    before = f"static int {name}(const GElf_Sym *s)\n{{\n\t{body}\n}}\n\n"
    return Form(before=before, test=f"{'!' if negated else ''}{name}(&@S)")


def _macro(text: str, test: str) -> Form:
    return Form(before=f"#define {text}\n\n", test=test)


_N, _O = "STT_NOTYPE", "STT_OBJECT"
_COND = f"GELF_ST_BIND(@S.st_info) != STB_GLOBAL || {SKIPS} || @S.st_shndx != ctx->sec_maps"
_SKIP = f"if ({_COND})\n\tcontinue;"
_ONLY = "return GELF_ST_TYPE(s->st_info) == STT_NOTYPE;"
_EITHER = f"return GELF_ST_TYPE(s->st_info) == {_N} || GELF_ST_TYPE(s->st_info) == {_O};"

FORMS: dict[str, Known] = {
    # -- it skips STT_OBJECT
    "released": _known(NEEDED, RELEASED, must=True),
    "test-first": _known(NEEDED, replace(RELEASED, position=0), must=True),
    "test-last": _known(NEEDED, replace(RELEASED, position=9), must=True),
    "sides-swapped": _known(NEEDED, Form(test=f"{_N} != {CALL}"), must=True),
    "test-in-parentheses": _known(NEEDED, Form(test=f"({SKIPS})")),
    "not-equal": _known(NEEDED, Form(test=f"!({CALL} == {_N})")),
    "type-from-variable": _known(NEEDED, variable(f"@T != {_N}"), must=True),
    "type-from-other-variable": _known(NEEDED, variable(f"@T != {_N}", var="stt"), must=True),
    "type-initialised": _known(
        NEEDED, Form(test=f"@T != {_N}", after=(f"int @T = {CALL};",)), must=True
    ),
    "other-symbol-name": _known(NEEDED, replace(RELEASED, sym="s"), must=True),
    "extra-size": _known(NEEDED, replace(RELEASED, extra=("@S.st_size == 0",)), must=True),
    "extra-two": _known(
        NEEDED, replace(RELEASED, extra=("@S.st_size == 0", "@S.st_name == 0")), must=True
    ),
    "extra-other": _known(NEEDED, replace(RELEASED, extra=("@S.st_other != 0",)), must=True),
    "ternary": _known(NEEDED, Form(test=f"({CALL} == {_N} ? 0 : 1)")),
    "elf64-macro": _known(NEEDED, Form(test=f"ELF64_ST_TYPE(@S.st_info) != {_N}")),
    "bits": _known(NEEDED, Form(test="(@S.st_info & 0xf) != 0")),
    "non-zero": _known(NEEDED, Form(test=CALL)),
    "greater": _known(NEEDED, Form(test=f"{CALL} > {_N}")),
    "equal-to-zero": _known(NEEDED, Form(test=f"({CALL} == {_N}) == 0")),
    "helper": _known(NEEDED, _helper(_ONLY)),
    "helper-skips": _known(
        NEEDED, _helper(f"return GELF_ST_TYPE(s->st_info) != {_N};", negated=False)
    ),
    "macro": _known(
        NEEDED, _macro(f"@F_SKIP(s) (GELF_ST_TYPE((s).st_info) != {_N})", "@F_SKIP(@S)")
    ),
    "macro-without-arguments": _known(
        NEEDED, _macro("@F_SKIP (GELF_ST_TYPE(@S.st_info) != STT_NOTYPE)", "@F_SKIP")
    ),
    # Before v4.5, in the first versions that named maps.
    "own-elf-macro": _known(
        NEEDED,
        _macro(
            "__ELF_ST_TYPE(x) (((unsigned int) x) & 0xf)",
            "__ELF_ST_TYPE(@S.st_info) != STT_NOTYPE",
        ),
    ),
    "split-first": _known(NEEDED, Form(test="", after=(f"if ({SKIPS})", "\tcontinue;"))),
    "split-last": _known(NEEDED, Form(test="", tail=(f"if ({SKIPS})", "\tcontinue;"))),
    "else-branch": _known(
        NEEDED,
        Form(test="", tail=(f"if ({CALL} == {_N}) {{", "\t;", "} else {", "\tcontinue;", "}")),
    ),
    "switch": _known(
        NEEDED,
        Form(
            test="",
            tail=(f"switch ({CALL}) {{", f"case {_N}:", "\tbreak;", "default:", "\tcontinue;", "}"),
        ),
    ),
    "both-variable-and-call": _known(
        NEEDED, replace(FIXED, test=f"@T != {_N}", extra=(f"({BOTH})",))
    ),
    "typed-before-and-skips": _known(NEEDED, replace(EARLY, test=f"@T != {_N}")),
    "fixed-then-skips": _known(NEEDED, replace(FIXED, tail=(f"if (@T == {_O})", "\tcontinue;"))),
    "fixed-then-number": _known(NEEDED, replace(FIXED, tail=("if (@T == 1)", "\tcontinue;"))),
    "fixed-then-bare": _known(NEEDED, replace(FIXED, tail=("if (@T)", "\tcontinue;"))),
    "fixed-or-object": _known(NEEDED, replace(FIXED, extra=(f"{CALL} == {_O}",))),
    "fixed-or-type": _known(NEEDED, replace(FIXED, extra=("@T",))),
    "fixed-or-type-compared": _known(NEEDED, replace(FIXED, extra=("@T != 0",))),
    "fixed-or-bits": _known(NEEDED, replace(FIXED, extra=("(@S.st_info & 1)",))),
    "fixed-or-helper": _known(
        NEEDED,
        replace(FIXED, before=_helper(_ONLY).before, extra=(_helper(_ONLY).test,)),
    ),
    "fixed-after-skip": _known(
        NEEDED, replace(FIXED, after=(f"@T = {CALL};", f"if (@T == {_O})", "\tcontinue;"))
    ),
    "fixed-with-object-redefined": _known(
        NEEDED, replace(FIXED, before="#undef STT_OBJECT\n#define STT_OBJECT STT_NOTYPE\n")
    ),
    "fixed-with-call-redefined": _known(
        NEEDED,
        replace(FIXED, before="#undef GELF_ST_TYPE\n#define GELF_ST_TYPE(x) ((x) & 15 ? 9 : 0)\n"),
    ),
    "variable-is-object-twice": _known(
        NEEDED, replace(FIXED, after=(f"@T = {CALL} == {_O} ? 9 : {CALL};",))
    ),
    "fixed-in-if-0": _known(
        NEEDED,
        replace(
            RELEASED,
            wrap=lambda t: "#if 0\nstatic int @F(void)\n{ return STT_OBJECT; }\n#endif\n" + t,
        ),
        must=True,
    ),
    "if-0-else": _known(
        NEEDED,
        Form(
            instead=f"#if 0\nif (STT_OBJECT)\n\tcontinue;\n#else\nif ({_COND})\n\tcontinue;\n#endif"
        ),
    ),
    "positive": _known(
        NEEDED,
        Form(
            instead=f"if (!(GELF_ST_BIND(@S.st_info) == STB_GLOBAL && {CALL} == {_N}))\n\tcontinue;"
        ),
    ),
    # -- 7a04dd84's order
    "early": _known(NEEDED, EARLY, must=True),
    "early-assigned": _known(
        NEEDED, replace(EARLY, declare=("int @T;", "", f"@T = {CALL};")), must=True
    ),
    "early-other-name": _known(NEEDED, replace(EARLY, var="sym_type"), must=True),
    "early-test-first": _known(NEEDED, replace(EARLY, position=0), must=True),
    "early-declared-at-the-top": _known(
        NEEDED, replace(EARLY, declare=(f"@T = {CALL};",), top=("int @T;",)), must=True
    ),
    "early-not-either": _known(
        NEEDED, replace(EARLY, test=f"!(@T == {_N} || @T == {_O})"), must=True
    ),
    "early-in-the-loop-head": _known(
        NEEDED, replace(EARLY, wrap=lambda t: t.replace("i++)", "i++, i = i)"))
    ),
    # -- it takes both
    "fixed": _known(IS_FIXED, FIXED, must=True),
    "fixed-first": _known(IS_FIXED, replace(FIXED, position=0), must=True),
    "fixed-last": _known(IS_FIXED, replace(FIXED, position=9), must=True),
    "fixed-other-name": _known(IS_FIXED, replace(FIXED, var="symtype", sym="elf_sym"), must=True),
    "fixed-initialised": _known(IS_FIXED, Form(test=BOTH, after=(f"int @T = {CALL};",)), must=True),
    "fixed-declared-at-the-top": _known(
        IS_FIXED, replace(FIXED, declare=(), top=("int @T;",)), must=True
    ),
    "fixed-object-first": _known(
        IS_FIXED, replace(FIXED, test=f"(@T != {_O} && @T != {_N})"), must=True
    ),
    "fixed-not-either": _known(
        IS_FIXED, replace(FIXED, test=f"!(@T == {_N} || @T == {_O})"), must=True
    ),
    "fixed-sides-swapped": _known(IS_FIXED, replace(FIXED, test=f"({_N} != @T && {_O} != @T)")),
    "fixed-without-parentheses": _known(
        IS_FIXED, replace(FIXED, test=f"@T != {_N} && @T != {_O}"), must=True
    ),
    "fixed-by-calls": _known(IS_FIXED, Form(test=f"({SKIPS} && {CALL} != {_O})"), must=True),
    "fixed-not-either-by-calls": _known(
        IS_FIXED, Form(test=f"!({CALL} == {_N} || {CALL} == {_O})")
    ),
    "fixed-extra": _known(IS_FIXED, replace(FIXED, extra=("@S.st_size == 0",)), must=True),
    "fixed-function-too": _known(
        IS_FIXED, replace(FIXED, test=f"(@T != {_N} && @T != {_O} && @T != STT_COMMON)")
    ),
    "fixed-by-number": _known(IS_FIXED, replace(FIXED, test=f"(@T != {_N} && @T != 1)")),
    "fixed-greater": _known(IS_FIXED, replace(FIXED, test=f"@T > {_O}")),
    "fixed-ternary": _known(IS_FIXED, Form(test=f"({CALL} == {_N} ? 0 : {CALL} != {_O})")),
    "fixed-helper": _known(IS_FIXED, _helper(_EITHER)),
    "fixed-macro": _known(
        IS_FIXED,
        _macro(f"@F_SKIP(s) (GELF_ST_TYPE((s).st_info) > {_O})", "@F_SKIP(@S)"),
    ),
    "fixed-split": _known(IS_FIXED, replace(FIXED, test="", tail=(f"if {BOTH}", "\tcontinue;"))),
    "fixed-nested": _known(
        IS_FIXED,
        replace(
            FIXED, test="", tail=(f"if (@T != {_N}) {{", f"\tif (@T != {_O})", "\t\tcontinue;", "}")
        ),
    ),
    "fixed-switch": _known(
        IS_FIXED,
        Form(
            test="",
            tail=(
                f"switch ({CALL}) {{",
                f"case {_N}:",
                f"case {_O}:",
                "\tbreak;",
                "default:",
                "\tcontinue;",
                "}",
            ),
        ),
    ),
    "fixed-no-test-at-all": _known(IS_FIXED, replace(RELEASED, test="0")),
    "skips-but-made-alike": _known(
        IS_FIXED,
        replace(
            RELEASED,
            after=(f"if ({CALL} == {_O})", f"\t@S.st_info = GELF_ST_INFO(STB_GLOBAL, {_N});"),
        ),
    ),
    "skips-but-bits-cleared": _known(IS_FIXED, replace(RELEASED, after=("@S.st_info &= 0xf0;",))),
    "skips-but-by-helper": _known(
        IS_FIXED,
        replace(
            RELEASED,
            before="static void @F_alike(GElf_Sym *s)\n{\n\tif ((s->st_info & 0xf) == 1)\n"
            "\t\ts->st_info &= 0xf0;\n}\n\n",
            after=("@F_alike(&@S);",),
        ),
    ),
    "skips-only-if-not-object": _known(IS_FIXED, Form(test=f"({SKIPS} && {CALL} != 1)")),
    "skips-never": _known(IS_FIXED, Form(test=f"(0 && {SKIPS})")),
    "skips-in-if-0": _known(
        IS_FIXED,
        replace(
            FIXED, wrap=lambda t: f"#if 0\nstatic int @F(void)\n{{ return {_N}; }}\n#endif\n" + t
        ),
        must=True,
    ),
    "skips-in-if-0-else-fixed": _known(
        IS_FIXED,
        replace(
            FIXED,
            test="",
            tail=(
                "#if 0",
                f"if ({SKIPS})",
                "\tcontinue;",
                "#else",
                f"if {BOTH}",
                "\tcontinue;",
                "#endif",
            ),
        ),
    ),
    "skips-continue-in-do-while": _known(
        IS_FIXED, Form(test="", tail=("do {", f"\tif ({SKIPS})", "\t\tcontinue;", "} while (0);"))
    ),
    "fixed-in-do-while": _known(
        NEEDED,
        Form(
            instead=f"do {{\n\tif ({BOTH})\n\t\tcontinue;\n}} while (0);\n{_SKIP}",
            declare=FIXED.declare,
            after=FIXED.after,
        ),
    ),
    # -- neither can be said
    "only-object": _known(NEITHER, Form(test=f"{CALL} != {_O}")),
    "either-differs": _known(NEITHER, replace(FIXED, test=f"(@T != {_N} || @T != {_O})")),
    "equal-to-both": _known(NEITHER, replace(FIXED, test=f"(@T == {_N} && @T != {_O})")),
    "and-of-bind": _known(
        NEITHER, Form(bind=f"(GELF_ST_BIND(@S.st_info) != STB_GLOBAL && {SKIPS})", test="")
    ),
    "compiled-in-part": _known(
        NEITHER,
        Form(
            instead=f"#ifdef LLVM8\nif ({BOTH})\n\tcontinue;\n#else\n{_SKIP}\n#endif",
            declare=FIXED.declare,
            after=FIXED.after,
        ),
    ),
    "notype-redefined": _known(
        NEITHER, replace(RELEASED, before="#undef STT_NOTYPE\n#define STT_NOTYPE STT_OBJECT\n")
    ),
    "defined-twice": _known(
        NEITHER,
        replace(
            RELEASED,
            wrap=lambda t: (
                f"#ifdef LLVM8\n{t.replace(SKIPS, f'{CALL} > STT_OBJECT')}#else\n{t}#endif\n"
            ),
        ),
    ),
    "old-style-definition": _known(
        NEEDED,
        replace(
            RELEASED,
            wrap=lambda t: t.replace(
                "(struct bpf_elf_ctx *ctx)\n", "(ctx)\nstruct bpf_elf_ctx *ctx;\n"
            ),
        ),
    ),
    "goto": _known(
        NEEDED,
        Form(
            instead=f"if ({_COND})\n\tgoto next;",
            wrap=lambda t: t.replace("\t}\n\n\treturn", "next: ;\n\t}\n\n\treturn", 1),
        ),
    ),
    "spliced-word": _known(NEEDED, Form(test=f"{CALL} != STT_NO\\\nTYPE")),
    "copy-of-the-symbol": _known(
        NEEDED,
        Form(test="GELF_ST_TYPE(copy.st_info) != STT_NOTYPE", after=("GElf_Sym copy = @S;",)),
    ),
    "attribute": _known(
        NEEDED,
        replace(
            RELEASED,
            wrap=lambda t: t.replace(
                "(struct bpf_elf_ctx *ctx", "(struct bpf_elf_ctx *ctx __attribute__((unused))"
            ),
        ),
    ),
}
