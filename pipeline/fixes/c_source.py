# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Just enough C lexing to tell code from comments, strings and disabled branches.

Coccinelle reads the code; this module finds what Coccinelle did not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.files import bounded

_SKIPPED = re.compile(
    r"/\*.*?(?:\*/|\Z)"  # a comment
    r"|//(?:\\\n|[^\n])*"
    r'|"(?:\\.|[^"\\\n])*(?:"|$)'  # a string
    r"|'(?:\\.|[^'\\\n])*(?:'|$)",
    re.DOTALL | re.MULTILINE,
)
_DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(if|ifdef|ifndef|else|elif|endif)\b[ \t]*(.*?)[ \t]*$")
_DIRECTIVES = re.compile(r"^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", re.MULTILINE)
_MACRO = re.compile(r"^[ \t]*#[ \t]*(?:define|undef)[ \t]+(\w+)", re.MULTILINE)


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _without_if_0(text: str) -> str:
    """Blank the code between ``#if 0`` and its ``#else`` or ``#endif``, including these lines.

    An ``#elif`` of an ``#if 0`` stays, so that a caller reports it as not understood.
    """
    out: list[str] = []
    nest: list[bool] = []  # for each open conditional: is this branch an #if 0?
    ours: list[bool] = []  # for each open conditional: was its first branch an #if 0?
    for line in text.split("\n"):
        found = _DIRECTIVE.match(line)
        word = found[1] if found else ""
        dead = any(nest)
        if found and word in ("if", "ifdef", "ifndef"):
            nest.append(word == "if" and found[2] == "0")
            ours.append(nest[-1])
            dead = dead or nest[-1]
        elif nest and word in ("else", "elif"):
            nest[-1] = False
            dead = any(nest) or (ours[-1] and word == "else")
        elif nest and word == "endif":
            nest.pop()
            was_ours = ours.pop()
            dead = any(nest) or was_ours
        out.append(_blank(line) if dead else line)
    return "\n".join(out)


def code_only(text: str) -> str:
    """Return C source with comments, strings and ``#if 0`` blanked; offsets and lines are kept."""
    return _without_if_0(_SKIPPED.sub(lambda m: _blank(m[0]), text))


def definitions(code: str, function: str) -> list[tuple[int, str]]:
    """Return where ``code`` (from ``code_only``) defines a function: (line from 1, its text).

    The text runs from the function's name to the brace that ends it, or to the end of the
    file if there is none.
    """
    found = []
    for match in re.finditer(rf"\b{re.escape(function)}\s*\([^;{{}}()]*\)\s*\{{", code):
        depth = 0
        end = len(code)
        for brace in re.finditer(r"[{}]", code[match.end() - 1 :]):
            depth += 1 if brace[0] == "{" else -1
            if depth == 0:
                end = match.end() - 1 + brace.end()
                break
        found.append((code.count("\n", 0, match.start()) + 1, code[match.start() : end]))
    return found


def mentions(code: str, what: str, names: Mapping[str, str] | None = None) -> int:
    """Return how often a word, or a regular expression, occurs in code.

    ``<name>`` in an expression is replaced by its value in ``names``.
    """
    for name, word in (names or {}).items():
        what = what.replace(f"<{name}>", re.escape(word))
    pattern = rf"\b{what}\b" if what.isidentifier() else what
    return len(re.findall(pattern, code))


def words(code: str) -> set[str]:
    """Return every identifier and keyword in code (from ``code_only``), except in directives."""
    return set(re.findall(r"\b[A-Za-z_]\w*", _DIRECTIVES.sub("", code)))


def directives(code: str) -> list[str]:
    """Return the preprocessor directives in code, with normalized white space."""
    return [re.sub(r"#\s*", "#", " ".join(d.split())) for d in _DIRECTIVES.findall(code)]


def macros(text: str) -> set[str]:
    """Return the names that C source defines or undefines as macros, anywhere in it."""
    return set(_MACRO.findall(text))


FILE_BYTES = 4 << 20
"""Bytes of the largest source file that is read; iproute2's have at most 150 kB."""


def read(path: Path) -> str:
    """Return the text of a file; empty if it is not a regular file or is too large."""
    try:
        return bounded.text(path, FILE_BYTES, errors="replace", follow=False)
    except OSError:
        return ""


@dataclass(frozen=True)
class Code:
    """The code of a tree, with comments, strings and ``#if 0`` blanked."""

    tree: Path

    @cached_property
    def files(self) -> dict[str, str]:
        """The C files in which a function could be hidden: path in the tree -> code."""
        paths = sorted(
            p for d in ("lib", "tc", "ip", "include") for p in (self.tree / d).glob("*.[ch]")
        )
        return {str(p.relative_to(self.tree)): code_only(read(p)) for p in paths}

    @cached_property
    def header_macros(self) -> set[str]:
        """The macros in all headers."""
        return {m for p in (self.tree / "include").rglob("*.h") for m in macros(read(p))}

    def redefined(self, file: str) -> set[str]:
        """Return the macros that a file can see, except those of the system's headers."""
        return self.header_macros | macros(self.files[file])

    def definitions(self, function: str) -> list[tuple[str, int, str]]:
        """Return where a function is defined: (file, line, text)."""
        return [
            (file, line, text)
            for file, code in self.files.items()
            if function in code
            for line, text in definitions(code, function)
        ]

    def original(self, file: str, line: int, lines: int) -> str:
        """Return lines of a file without changes."""
        return "\n".join(read(self.tree / file).split("\n")[line - 1 : line - 1 + lines])
