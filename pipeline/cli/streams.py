# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The three standard streams of the process, whatever is behind them.

Writing to them is cli/terminal.py's; here is that there are three, and what becomes of words that
cannot be written: those for people end nothing, those for a program are an error.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys


class _Noted(io.TextIOWrapper):
    """Standard output: that it could not be written is remembered, and said by who writes."""

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
    """Standard error: what cannot be written there is not said, and ends nothing."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()


def prepare() -> None:
    """See to it that there are three.

    In place of one that is closed the next file would come, and take what is said. What was to
    be read or written there fails, but for words to people.
    """
    for number, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # the lowest number that is free
    # Another one in its place is somebody's who calls us in their process.
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
    """Write what is still to be written to standard output. Raises OSError."""
    sys.stdout.flush()


def problem() -> OSError | None:
    """Return why standard output could not be written, if it could not."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    return getattr(sys.stdout, "problem", None)
