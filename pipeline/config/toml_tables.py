# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The values of a configuration file: what is wrong is named with its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError
from pipeline.text.address import Address

URI = re.compile(r"(https?|file|copy|mirror\+\w+):/[^\s'\"]+")
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.~_/-]{0,99}")
_SIZE = re.compile(r"(\d{1,9})([MGT])")


def known(table: Mapping[str, Any], allowed: Iterable[str], where: str) -> None:
    """Raise UsageError for a key that is not among the ``allowed``, naming the nearest."""
    names = list(allowed)
    for key in table:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1, cutoff=0.0)[0]
            raise UsageError(
                f"{where}: there is no key {key[:80]!r}",
                details=f"The keys are {', '.join(names)}.",
                hint=f"did you mean {near!r}?",
            )


def wrong(where: str, hint: str) -> UsageError:
    """Return the error of what is not as it must be."""
    return UsageError(f"{where} is not as it must be", hint=hint)


def table(value: object, where: str) -> Mapping[str, Any]:
    """Return a table. Raises UsageError."""
    if not isinstance(value, dict):
        raise wrong(where, "it is a table")
    return value


def text(value: object, where: str) -> str:
    """Return a text in one line. Raises UsageError."""
    if not isinstance(value, str) or len(value) > 1000 or not value.isprintable():
        raise wrong(where, "it is a text in one line")
    return value


def uri(value: object, where: str, *, empty: bool = False) -> Address:
    """Return an address without a slash at its end. Raises UsageError."""
    address = text(value, where).rstrip("/")
    if not (empty and not address) and not URI.fullmatch(address):
        raise wrong(where, "it is an address such as http://mirror.example.org/debian")
    try:
        return Address(address)
    except ValueError as e:
        raise wrong(where, str(e)) from None


def words(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    """Return a list of words, or for the key ``uris`` of texts. Raises UsageError."""
    value = table.get(key, [])
    if not isinstance(value, list) or len(value) > 100:
        raise wrong(f"{where} {key}", "it is a list of texts")
    found = tuple(text(v, f"{where} {key}") for v in value)
    if key != "uris" and not all(WORD.fullmatch(w) and ".." not in w for w in found):
        raise wrong(f"{where} {key}", "each is a word, as in sources.list(5)")
    return found


def number(value: object, where: str, least: int, most: int) -> int:
    """Return a whole number within bounds. Raises UsageError."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise wrong(where, f"it is a number from {least} to {most}")
    return value


def size(value: object, where: str) -> int:
    """Return the bytes of a size such as ``10G``. Raises UsageError."""
    match = _SIZE.fullmatch(text(value, where))
    if not match:
        raise wrong(where, 'it is a size such as "500M" or "10G"')
    return int(match[1]) << {"M": 20, "G": 30, "T": 40}[match[2]]


def path(value: object, where: str, beside: Path) -> Path | None:
    """Return a path, which may be relative to the file ``beside``; None for an empty text."""
    given = text(value, where)
    return (beside.parent / Path(given).expanduser()).absolute() if given else None
