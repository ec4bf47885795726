# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run reports about itself while it goes on.

The pipeline reports to a ``Journal``; it never prints. The command line shows a journal
on the terminal; the default one says nothing and keeps only the timings.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


class Journal(Protocol):
    """Listens to a run. Methods may be called from several threads."""

    def begin(self, stage: str) -> None:
        """A stage begins."""

    def note(self, stage: str, text: str) -> None:
        """Something worth a line happened in a stage."""

    def end(self, stage: str, seconds: float, failed: bool) -> None:
        """A stage has ended."""


class Silence:
    """The journal of callers who do not listen."""

    def begin(self, stage: str) -> None:
        """Say nothing."""

    def note(self, stage: str, text: str) -> None:
        """Say nothing."""

    def end(self, stage: str, seconds: float, failed: bool) -> None:
        """Say nothing."""


@dataclass(frozen=True, kw_only=True)
class Named:
    """A journal of one of several runs, whose name comes before that of each stage."""

    name: str
    journal: Journal

    def begin(self, stage: str) -> None:
        """Pass it on."""
        self.journal.begin(f"{self.name} {stage}")

    def note(self, stage: str, text: str) -> None:
        """Pass it on."""
        self.journal.note(f"{self.name} {stage}", text)

    def end(self, stage: str, seconds: float, failed: bool) -> None:
        """Pass it on."""
        self.journal.end(f"{self.name} {stage}", seconds, failed)


class Progress:
    """Stages of one run: times them and passes them on to a journal."""

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal: Journal = journal or Silence()
        self._lock = threading.Lock()
        self.timings: dict[str, float] = {}
        """Seconds that each ended stage took, in the order in which they ended."""

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Time what happens inside; stages may overlap and may run in other threads."""
        self._journal.begin(name)
        started = time.monotonic()
        failed = True
        try:
            yield Stage(name, self._journal)
            failed = False
        finally:
            seconds = time.monotonic() - started
            with self._lock:
                self.timings[name] = round(seconds, 3)
            self._journal.end(name, seconds, failed)


class Stage:
    """A stage that is going on."""

    def __init__(self, name: str, journal: Journal) -> None:
        self.name = name
        self._journal = journal

    def note(self, text: str) -> None:
        """Tell the journal something worth a line."""
        self._journal.note(self.name, text)


QUIET = Stage("", Silence())
"""For callers who do not report progress."""
