# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""When a command has to end, and how it is ended."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""

LOOK = 1.0
"""Seconds between two checks of what a command uses."""


def kill(group: int, *signals: int) -> None:
    """Send signals to a process group, if it still exists."""
    for sig in signals:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, sig)


class Limit:
    """How long a command may take, if its time does not always count."""

    def __init__(self, seconds: float, *, excused: Callable[[], bool] = lambda: False) -> None:
        """Begin with ``seconds`` from now; they start anew if it is ``excused`` when they end."""
        self.seconds = seconds
        self._excused = excused
        self._at = time.monotonic() + seconds

    def renew(self) -> None:
        """Start anew from now."""
        self._at = time.monotonic() + self.seconds

    def left(self) -> float:
        """Return the seconds that are left; zero or less if time is up."""
        if time.monotonic() >= self._at and self._excused():
            self.renew()
        return self._at - time.monotonic()


class Watch:
    """Ends a command when its time is up, or when it is told to: SIGTERM, then SIGKILL."""

    def __init__(self, limit: Limit | None, *, look: Callable[[int], str] | None = None) -> None:
        """``look`` gets its process group, and returns words if it is to be ended: why."""
        self.passed = False
        """Its time was up."""
        self.seen = ""
        """Why ``look`` ended it, if it did."""
        self.fired = False
        """The command was ended."""
        self.seconds = limit.seconds if limit is not None else 0.0
        self._limit = limit
        self._look = look
        self._group = 0
        self._told = False
        self._ended = threading.Event()
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def end(self) -> None:
        """End the command, now or as soon as it has started; from any thread."""
        self._told = True
        self._changed.set()

    @contextlib.contextmanager
    def over(self, group: int) -> Iterator[None]:
        """Watch over a command that has started; the block waits for its end."""
        self._group = group
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._changed.set()

    def _run(self) -> None:
        seen = ""
        while not self._told:
            left = self._limit.left() if self._limit is not None else None
            if left is not None and left <= 0:
                break
            if self._look is not None:
                left = LOOK if left is None else min(left, LOOK)
            if self._changed.wait(left):
                break
            if self._look is not None and (seen := self._look(self._group)):
                break
        if self._ended.is_set():
            return
        self.seen = seen
        self.passed, self.fired = not (self._told or seen), True
        kill(self._group, signal.SIGTERM)
        if not self._ended.wait(GRACE):
            kill(self._group, signal.SIGKILL)
