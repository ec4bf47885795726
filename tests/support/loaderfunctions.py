# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The three functions of the loader, put together from what a maintainer could change.

They were written for these tests; the released forms are in docs/facts.md. A ``Form`` says how a
function tests the type of a symbol, and what else was changed; ``render`` makes the C text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

FUNCTIONS = ("bpf_map_num_sym", "bpf_map_verify_all_offs", "bpf_map_fetch_name")

CALL = "GELF_ST_TYPE(@S.st_info)"
SKIPS = f"{CALL} != STT_NOTYPE"
BOTH = "(@T != STT_NOTYPE && @T != STT_OBJECT)"


@dataclass(frozen=True, kw_only=True)
class Form:
    """One function's form. ``@S`` is the symbol's name, ``@T`` the type variable's."""

    test: str = SKIPS
    """The operand that tests the type."""
    sym: str = "sym"
    var: str = "type"
    declare: tuple[str, ...] = ()
    """Lines before gelf_getsym() in the loop."""
    after: tuple[str, ...] = ()
    """Lines between gelf_getsym() and the condition."""
    top: tuple[str, ...] = ()
    """Declarations at the top of the function."""
    tail: tuple[str, ...] = ()
    """Lines after the condition."""
    before: str = ""
    """Text before the function."""
    position: int = 1
    """The position of the test among the operands."""
    extra: tuple[str, ...] = ()
    """More operands, before the last one."""
    instead: str = ""
    """A whole condition with its statement, which replaces the released one."""
    bind: str = "GELF_ST_BIND(@S.st_info) != STB_GLOBAL"
    style: Callable[[str], str] | None = None
    wrap: Callable[[str], str] | None = None
    """Changes the text of the whole function."""


RELEASED = Form()
FIXED = Form(test=BOTH, declare=("int @T;", ""), after=(f"@T = {CALL};",))
EARLY = Form(test=BOTH, declare=(f"int @T = {CALL};", ""))


def _condition(form: Form, function: str, row: str) -> str:
    if form.instead:
        return form.instead
    operands = [form.bind, "@S.st_shndx != ctx->sec_maps"]
    if function == "bpf_map_fetch_name":
        size = "sizeof(struct bpf_elf_map)" if row == "v4.5" else "ctx->map_len"
        operands.append(f"@S.st_value / {size} != which")
    operands[-1:-1] = form.extra
    if form.test:
        operands.insert(min(form.position, len(operands)), form.test)
    joined = " ||\n    ".join(operands)
    return f"if ({joined})\n\tcontinue;"


def _loop(form: Form, function: str, row: str) -> list[str]:
    return [
        *form.declare,
        "if (gelf_getsym(ctx->sym_tab, i, &@S) != &@S)",
        "\tcontinue;",
        *(() if form.after and form.after[0].startswith("/*") else ("",)),
        *form.after,
        *_condition(form, function, row).split("\n"),
        *form.tail,
    ]


def _indent(lines: list[str], depth: int) -> str:
    return "".join("\t" * depth + line + "\n" if line else "\n" for line in lines)


def _text(form: Form, function: str, row: str) -> str:
    loop = _loop(form, function, row)
    top = list(form.top)
    if function == "bpf_map_num_sym":
        return (
            "static int bpf_map_num_sym(struct bpf_elf_ctx *ctx)\n{\n"
            + _indent(["int i, num = 0;", "GElf_Sym @S;", *top, ""], 1)
            + "\tfor (i = 0; i < ctx->sym_num; i++) {\n"
            + _indent([*loop, "num++;"], 2)
            + "\t}\n\n\treturn num;\n}\n"
        )
    if function == "bpf_map_verify_all_offs":
        rest = [
            *("if (@S.st_value == off)", "\tbreak;"),
            *("if (i == ctx->sym_num - 1)", "\treturn -1;"),
        ]
        return (
            "static int bpf_map_verify_all_offs(struct bpf_elf_ctx *ctx, int end)\n{\n"
            + _indent(["GElf_Sym @S;", "int off, i;", *top, ""], 1)
            + "\tfor (off = 0; off < end; off += ctx->map_len) {\n"
            + "\t\t/* Order doesn't need to be linear here, hence we walk\n"
            + "\t\t * the table again.\n\t\t */\n"
            + "\t\tfor (i = 0; i < ctx->sym_num; i++) {\n"
            + _indent([*loop, *rest], 3)
            + "\t\t}\n\t}\n\n\treturn off == end ? 0 : -1;\n}\n"
        )
    annotated = row == "v5.11"
    found = ["return bpf_str_tab_name(ctx, &@S);"]
    if annotated:
        found = [
            "name = bpf_str_tab_name(ctx, &@S);",
            "bpf_btf_annotate(ctx, which, name);",
            "return name;",
        ]
    return (
        "static const char *bpf_map_fetch_name(struct bpf_elf_ctx *ctx, int which)\n{\n"
        + _indent([*(["const char *name;"] if annotated else []), "GElf_Sym @S;", "int i;"], 1)
        + _indent([*top, ""], 1)
        + "\tfor (i = 0; i < ctx->sym_num; i++) {\n"
        + _indent([*loop, "", *found], 2)
        + "\t}\n\n\treturn NULL;\n}\n"
    )


def render(form: Form, function: str, row: str) -> str:
    """Return the C text of a function in a form, as in a row of docs/facts.md.

    Rows: ``v4.5`` (tc/tc_bpf.c), ``v4.10`` (lib/bpf.c), ``v5.11`` (lib/bpf_legacy.c).
    """
    text = _text(form, function, row)
    if form.style:
        text = form.style(text)
    if form.wrap:
        text = form.wrap(text)
    text = form.before + text
    return text.replace("@S", form.sym).replace("@T", form.var).replace("@F", function)


def variable(test: str, **other: object) -> Form:
    """Return a form that stores the type in a variable after the symbol was read."""
    return replace(FIXED, test=test, **other)  # type: ignore[arg-type]
