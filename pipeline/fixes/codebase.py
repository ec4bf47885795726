# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The C code of a source tree, as far as the fixes concern it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.files import bounded
from pipeline.fixes import c_source

FILE_BYTES = 4 << 20
"""A source file of iproute2 is at most 150 kB; a larger one is not read."""


def read(path: Path) -> str:
    """Return a file's text, or nothing if it is no regular file there, or too large."""
    try:
        return bounded.text(path, FILE_BYTES, errors="replace", follow=False)
    except OSError:
        return ""


@dataclass(frozen=True)
class Code:
    """What a tree's own code says, comments, strings and ``#if 0`` blanked."""

    tree: Path

    @cached_property
    def files(self) -> dict[str, str]:
        """The C files where a function could be hidden: path in the tree -> code."""
        paths = sorted(
            p for d in ("lib", "tc", "ip", "include") for p in (self.tree / d).glob("*.[ch]")
        )
        return {str(p.relative_to(self.tree)): c_source.code_only(read(p)) for p in paths}

    @cached_property
    def header_macros(self) -> set[str]:
        """The macros of all headers."""
        return {m for p in (self.tree / "include").rglob("*.h") for m in c_source.macros(read(p))}

    def redefined(self, file: str) -> set[str]:
        """Return the macros that a file could see, other than the system's."""
        return self.header_macros | c_source.macros(self.files[file])

    def definitions(self, function: str) -> list[tuple[str, int, str]]:
        """Return where a function is defined: (file, line, text)."""
        return [
            (file, line, text)
            for file, code in self.files.items()
            if function in code
            for line, text in c_source.definitions(code, function)
        ]

    def original(self, file: str, line: int, lines: int) -> str:
        """Return lines of a file as they are."""
        return "\n".join(read(self.tree / file).split("\n")[line - 1 : line - 1 + lines])
