# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A row: one call of respin, what is wrong with it, and the exit code that it must end with."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Row:
    """One call. ``{name}`` in words and values stands for a thing that test_inputs.py makes."""

    args: str
    """Words, as a shell reads them."""
    code: int
    what: str = ""
    """What is wrong, where the words do not say it."""
    kind: str = "bad_input"
    says: str = ""
    """Has to be in what it says."""
    env: Mapping[str, str | None] = field(default_factory=dict)
    here: Mapping[str, str] = field(default_factory=dict)
    """Files in the current directory, by name: what the thing ``name`` is."""
    limits: Mapping[str, int] = field(default_factory=dict)
    closed: tuple[int, ...] = ()
    out: str = ""
    """Where standard output goes, if not into a file."""
    err: str = ""
    gone: bool = False
    """The current directory is removed before the call."""
    prints: bool = False
    """It may have written to standard output all the same."""

    @property
    def words(self) -> list[str]:
        """Its words."""
        return shlex.split(self.args)

    @property
    def name(self) -> str:
        """For people."""
        return f"respin {self.args}" + (f"  [{self.what}]" if self.what else "")


def row(args: str, code: int, what: str = "", **more: object) -> Row:
    """Return a row of bad input."""
    return Row(args=args, code=code, what=what, **more)  # type: ignore[arg-type]


def fault(args: str, code: int, what: str, **more: object) -> Row:
    """Return a row of a fault of the machine."""
    return Row(args=args, code=code, what=what, kind="fault", **more)  # type: ignore[arg-type]
