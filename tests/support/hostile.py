# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Records in which every text is the attacker's."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TEXT = (
    "\x1b]0;pwned\x07\x1b]52;c;cHduZWQ=\x1b\\\x1b[2J\x1b[8mhidden\x1b[0m\x9b2J\x9d0;x\x9c"
    "good\rbad\x08\x08\x7f\x00\x0b\x0c\x85\u202e\u2066txt\u2069\u200b\ufeff\U000e0041\u2028\u3164"
    "\udcff[bold red][/b][link=http://x]y[/link]{x}%s <b>&amp;| `x` $(id)\n::add-mask::x\n<0>x"
)
"""Titles, the clipboard, a cleared screen, hidden text, C1 controls, carriage return, backspace,
overrides of direction, invisible characters, a byte that is not UTF-8, rich's markup, commands of
GitHub's runner and priorities of the journal."""


def record(cls: type[Any], text: str = TEXT, **given: Any) -> Any:
    """Return a record of a class whose every text, at any depth, is ``text``."""
    hints = typing.get_type_hints(cls)
    values = {f.name: value(hints[f.name], text) for f in dataclasses.fields(cls)}
    return cls(**{**values, **given})


def value(kind: Any, text: str) -> Any:
    """Return a value of a type."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return value(next(a for a in args if a is not type(None)), text)
    if origin is tuple:
        return tuple(value(a, text) for a in args if a is not Ellipsis)
    if origin is not None and issubclass(origin, Mapping):
        return {value(args[0], text): value(args[1], text)}
    if dataclasses.is_dataclass(kind):
        return record(kind, text)  # type: ignore[arg-type]
    if issubclass(kind, enum.Enum):
        return next(iter(kind))
    plain = {str: text, Path: Path(text.replace("\0", "")), int: 1, float: 1.0, bool: False}
    return plain[kind]
