# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A row: one call of respin, what is wrong with it, and the exit code that it must have."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Row:
    """One call. ``{name}`` in words and values stands for a thing that test_inputs.py makes."""

    args: str
    """The words, as a shell reads them."""
    code: int
    what: str = ""
    """What is wrong, if the words do not show it."""
    kind: str = "bad_input"
    says: str = ""
    """A text that its output must contain."""
    env: Mapping[str, str | None] = field(default_factory=dict)
    here: Mapping[str, str] = field(default_factory=dict)
    """Files in the current directory by name, and the thing that each of them is."""
    limits: Mapping[str, int] = field(default_factory=dict)
    closed: tuple[int, ...] = ()
    out: str = ""
    """Where standard output goes, if not to a file."""
    err: str = ""
    gone: bool = False
    """Whether the current directory is removed before the call."""
    prints: bool = False
    """Whether it may have written to standard output all the same."""

    @property
    def words(self) -> list[str]:
        """The words of the call."""
        return shlex.split(self.args)

    @property
    def name(self) -> str:
        """A name for people."""
        return f"respin {self.args}" + (f"  [{self.what}]" if self.what else "")


def row(args: str, code: int, what: str = "", **more: object) -> Row:
    """Return a row with bad input."""
    return Row(args=args, code=code, what=what, **more)  # type: ignore[arg-type]


def fault(args: str, code: int, what: str, **more: object) -> Row:
    """Return a row with a fault of the machine."""
    return Row(args=args, code=code, what=what, kind="fault", **more)  # type: ignore[arg-type]
