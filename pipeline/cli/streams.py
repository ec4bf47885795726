# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The three standard streams of the process, wherever they lead.

cli/terminal.py writes to them; this module makes sure that all three exist, and handles failed
writes: text for people that cannot be written is dropped, output for programs is an error.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys


class _Noted(io.TextIOWrapper):
    """Standard output: a failed write is remembered, and the writer reports it."""

    problem: OSError | None = None

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as e:
            self.problem = self.problem or e
            raise

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as e:
            self.problem = self.problem or e
            raise


class _Steadfast(io.TextIOWrapper):
    """Standard error: text that cannot be written is dropped, and nothing fails."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()


def prepare() -> None:
    """Make sure that all three streams exist.

    The next file to be opened would take the place of a closed stream, and receive its text.
    Reading or writing there fails, except for text for people.
    """
    for number, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # the lowest number that is free
    # Any other stream belongs to a program that calls respin in its own process.
    if sys.stdout is sys.__stdout__:
        sys.stdout = _Noted(
            os.fdopen(1, "wb", closefd=False),
            encoding=getattr(sys.stdout, "encoding", None) or "utf-8",
            errors="surrogateescape",
            line_buffering=os.isatty(1),
        )
    if sys.stderr is sys.__stderr__:
        sys.stderr = _Steadfast(
            os.fdopen(2, "wb", buffering=0, closefd=False),
            encoding=getattr(sys.stderr, "encoding", None) or "utf-8",
            errors="backslashreplace",
            line_buffering=True,
            write_through=True,
        )


def flush() -> None:
    """Flush standard output. Raises OSError."""
    sys.stdout.flush()


def problem() -> OSError | None:
    """Return why standard output could not be written, if it could not."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    return getattr(sys.stdout, "problem", None)
