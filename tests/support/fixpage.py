# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The walk of docs/fixes.md: its files and its commands, as they stand there."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/fixes.md"
WALK = "### From an empty directory to a proven package\n"
NAME = "section-or-name"

_PARAGRAPH = re.compile(
    r"(?P<before>(?:^\S[^\n]*\n)+)\n(?P<block>(?:    [^\n]*\n|\n(?=    |\n    ))+)", re.M
)
_FILE = re.compile(r"`([^`]+)`:$")


def walk() -> tuple[dict[str, str], list[str]]:
    """Return the files that the reader writes, by their paths, and the commands, in order."""
    text = PAGE.read_text("utf-8").partition(WALK)[2]
    files, commands = {}, []
    for found in _PARAGRAPH.finditer(text):
        block = textwrap.dedent(found["block"])
        named = _FILE.search(found["before"].strip())
        if named:
            files[named[1]] = block
        else:
            commands += block.strip().splitlines()
    return files, commands


def write(directory: Path) -> Path:
    """Write the walk's fix into a directory; return the fix's."""
    for name, text in walk()[0].items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory / NAME
