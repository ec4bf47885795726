# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches of a user's own, for the small package (support/smallpackage.py)."""

from __future__ import annotations

import difflib
from pathlib import Path

MAKEFILE = "first: second\n\ttrue\n\nsecond:\n\ttrue\n\nthird:\n\ttrue\n\nfourth:\n\ttrue\n"
"""The file that they change; it is among those of ``source``."""


def diff(old: str, new: str, name: str = "Makefile", *, header: str = "", lines: int = 3) -> str:
    """Return a patch of a file from one text to another; an empty text: there is no such file."""
    return header + "".join(
        difflib.unified_diff(
            old.splitlines(keepends=True),
            new.splitlines(keepends=True),
            f"a/{name}" if old else "/dev/null",
            f"b/{name}" if new else "/dev/null",
            n=lines,
        )
    )


def write(directory: Path, text: str, name: str = "mine.patch") -> Path:
    """Write a patch; return its path."""
    path = directory / name
    path.write_text(text)
    return path


GOOD = diff(MAKEFILE, MAKEFILE.replace("third:", "third: fourth"))
"""A patch that applies."""
OTHER = diff(MAKEFILE.replace("second:\n\ttrue", "second:\n\tfalse"), "fifth:\n\ttrue\n" + MAKEFILE)
"""One that does not."""
THERE = diff(MAKEFILE.replace("first: second", "first:"), MAKEFILE)
"""One that the source already has."""
