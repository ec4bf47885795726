# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes of style that a maintainer may make in a function without changing what it does."""

from __future__ import annotations

import re
from collections.abc import Callable

DEFECT = "GELF_ST_TYPE(sym.st_info) != STT_NOTYPE ||"
FIXED = "(type != STT_NOTYPE && type != STT_OBJECT) ||"


def _after_getsym(insert: str) -> Callable[[str], str]:
    """Put text before the condition (after the released blank line, if there is one)."""
    return lambda text: re.sub(r"(!= &@S\)\n\t+continue;\n\n?)", rf"\1{insert}", text, count=1)


def _braces(text: str) -> str:
    return re.sub(r"\)\n(\t+)\tcontinue;", r") {\n\1\tcontinue;\n\1}", text)


def _allman(text: str) -> str:
    return re.sub(r"\)\n(\t+)\tcontinue;", r")\n\1{\n\1\tcontinue;\n\1}", text)


def _one_line(text: str) -> str:
    return re.sub(r" \|\|\n\s+", " || ", text)


def _leading_operators(text: str) -> str:
    return re.sub(r" \|\|\n(\s+)", r"\n\1|| ", text)


def _comment_in_condition(text: str) -> str:
    return re.sub(r" \|\|\n", " || /* LLVM 7: STT_NOTYPE, LLVM 8: STT_OBJECT */\n", text, count=1)


def _if_0(text: str) -> str:
    return re.sub(
        r"(\n)(\t+if \(GELF_ST_BIND)", rf"\1#if 0\n\tif ({DEFECT} 0) continue;\n#endif\n\2", text
    )


STYLES: dict[str, Callable[[str], str]] = {
    "no-space-after-if": lambda t: t.replace("if (", "if(").replace("for (", "for("),
    "four-spaces": lambda t: t.replace("\t", "    "),
    "no-indentation": lambda t: re.sub(r"(?m)^[ \t]+", "", t),
    "braces-on-the-line": _braces,
    "braces-below": _allman,
    "one-line-condition": _one_line,
    "leading-operators": _leading_operators,
    "comment-in-condition": _comment_in_condition,
    "comment-like-defect": lambda t: _after_getsym(f"\t\t/* {DEFECT} */\n")(t),
    "comment-like-fix": lambda t: _after_getsym(f"\t\t/* {FIXED} */\n")(t),
    "line-comment-like-fix": lambda t: _after_getsym(f"\t\t// {FIXED}\n")(t),
    "line-comment-continued": lambda t: _after_getsym("\t\t// STT_OBJECT \\\n\t\tSTT_NOTYPE\n")(t),
    "if-0-like-defect": _if_0,
    "blank-lines": lambda t: t.replace(";\n", ";\n\n"),
    "spaces-in-parentheses": lambda t: re.sub(r"\(([^()]*)\)", r"( \1 )", t),
    "trailing-white-space": lambda t: t.replace(" ||\n", " || \n"),
    "form-feeds": lambda t: t.replace("\n\n", "\n\f\n"),
    "carriage-returns": lambda t: t.replace("\n", "\r\n"),
    "no-spaces-around": lambda t: t.replace(" != ", "!=").replace(" || ", "||"),
    "string-like-defect": lambda t: t.replace(
        "\treturn num;", f'\tfprintf(stderr, "{DEFECT}");\n\treturn num;'
    ).replace("\treturn NULL;", f'\tfprintf(stderr, "{DEFECT}");\n\treturn NULL;'),
    "quotes-in-comments": lambda t: t.replace("{\n", "{ /* don't \" */\n", 1),
}
