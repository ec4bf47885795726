# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
r"""Text that somebody else wrote, made fit to be shown: every character is visible.

A build's log, an archive's answer, or a name in an object or of a file may hold terminal escapes,
C1 controls, overrides of direction, or characters that are invisible. These are shown by their
number, as in ``\x1b``; all that respin says goes through here (cli/terminal.py, the pages, the
notifications). Logs keep the bytes as they came.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
"""What Unicode has among letters and marks but no font shows (Default_Ignorable_Code_Point)."""

_COMMAND = re.compile(r"^(?=[ \t]*(?:::|##\[|<\d+>))", re.MULTILINE)
"""Lines that GitHub's runner takes for a command of the workflow (``::add-mask::``,
``##[group]``), and the journal for a priority (``<3>``; sd-daemon(3))."""


_PLAIN = r" -~"
"""What needs no check: all printable ASCII."""


def lines(text: str) -> str:
    """Return text of one line or several: newlines and tabs stay."""
    text = re.sub(rf"[^\n\t{_PLAIN}]", _of_match, text.replace("\r\n", "\n"))
    return _COMMAND.sub(r"\\", text)


def line(text: str) -> str:
    """Return text in one line: a newline or a tab in it is shown by its number, too."""
    return _COMMAND.sub(r"\\", re.sub(rf"[^{_PLAIN}]", _of_match, text))


def as_json(value: Any, *, indent: int | None = None) -> str:
    """Return JSON in which text is readable, and invisible characters are escaped."""

    def escaped(match: re.Match[str]) -> str:
        return match[0] if _shown(match[0]) == match[0] else json.dumps(match[0])[1:-1]

    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return re.sub(rf"[^\n{_PLAIN}]", escaped, text)


def _of_match(match: re.Match[str]) -> str:
    return _shown(match[0])


def _shown(character: str) -> str:
    """Return a character, or its number if it is not visible."""
    number = ord(character)
    seen = character.isprintable() or unicodedata.category(character) == "Zs"
    if seen and character not in _UNSEEN and not _selector(number):
        return character
    if 0xDC80 <= number <= 0xDCFF:  # a byte that is not UTF-8, as Python keeps it (PEP 383)
        return f"\\x{number - 0xDC00:02x}"
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _selector(number: int) -> bool:
    """Tell whether it only chooses a variant of the character before; emoji have FE0E and FE0F."""
    return 0xFE00 <= number <= 0xFE0D or 0xE0100 <= number <= 0xE01EF
