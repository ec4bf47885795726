# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Ctrl-C and a stop by a service manager: heard once, and never during a clean-up.

The first signal ends what is going on, by KeyboardInterrupt. A signal during the clean-up is
answered with a sentence, for an interrupted clean-up leaves things behind. Signals are held back
while something runs that must not be cut in two (a program's start and the note of it, a directory
and its mark, a clean-up): they arrive at its end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """The signals by which a user or a service manager ends a program.

    ``install`` takes them; before that, and in other programs that use this package, Python's
    own handler stays.
    """

    def __init__(self) -> None:
        self._held = 0
        self._pending: int | None = None
        self.ending: int | None = None
        """The signal that ends this process, if there was one."""
        self._closed = False

    def install(self) -> None:
        """Take the signals."""
        for number in SIGNALS:
            # A shell lets background jobs ignore SIGINT, nohup SIGHUP; that is theirs to decide.
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._take)

    def close(self) -> None:
        """Ignore further signals: the process is at its end, and what comes now comes too late."""
        self._closed = True
        for number in SIGNALS:
            if signal.getsignal(number) == self._take:  # else it would end Python's own ending
                signal.signal(number, signal.SIG_IGN)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._closed:
            return
        if self.ending is not None or self._pending is not None:
            self._answer()
        elif self._held:
            self._pending = number
        else:
            self.ending = number
            raise KeyboardInterrupt

    def _answer(self) -> None:
        said = (
            "respin: stopping and cleaning up; please wait "
            f"(kill -KILL {os.getpid()} ends it at once, and the next run cleans up)\n"
        )
        # Not through a stream, which may be in the middle of a word.
        with contextlib.suppress(OSError):
            os.write(2, said.encode())

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold signals back while the block runs; they arrive at its end. For the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            self._come()

    def _come(self) -> None:
        if self._pending is not None and not self._held and not self._closed:
            self.ending, self._pending = self._pending, None
            raise KeyboardInterrupt


interrupts = Interrupts()
