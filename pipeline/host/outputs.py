# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a program writes: kept as far as it is wanted, and never more.

A build may write without end. The end of each output is kept, and the whole as long as it
is within a bound; a log file takes all up to a bound of its own, and then the end of the rest.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO

from pipeline.files.bounded import NotRegular

WHOLE = 4 << 20
"""Bytes of an output that are kept whole unless the caller asks for more or for less."""

END = 64 << 10
"""Bytes of an output's end, which is kept in any case."""

LOG = 256 << 20
"""Bytes of a log file; iproute2's build writes 0.2 MB."""

LOG_END = 1 << 20
"""Bytes of the end of what is left out of a log."""


class _End:
    """The last bytes of what arrives."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._data = bytearray()

    def add(self, chunk: bytes) -> None:
        self._data += chunk[-self._size :]
        if len(self._data) > 2 * self._size:
            del self._data[: -self._size]

    def get(self) -> bytes:
        return bytes(self._data[-self._size :])


class Log:
    """A log file, appended to; what exceeds its bound is left out, except for the end."""

    def __init__(self, path: Path, bound: int | None = None) -> None:
        """Open it, without following a link or waiting for anything. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        number = os.open(path, flags | os.O_NOFOLLOW, 0o666)
        self._file: IO[bytes] = os.fdopen(number, "ab", buffering=0)
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode):
            self._file.close()
            raise NotRegular(path)
        self._left = max(0, (LOG if bound is None else bound) - found.st_size)
        self._omitted = 0
        self._end = _End(LOG_END)

    def write(self, chunk: bytes) -> None:
        """Take what arrives. Raises OSError."""
        kept = chunk[: self._left]
        self._left -= len(kept)
        _write(self._file, kept)
        if rest := chunk[len(kept) :]:
            self._omitted += len(rest)
            self._end.add(rest)

    def close(self) -> None:
        """Say what was left out, write its end as far as there is room, and close the file."""
        with contextlib.suppress(OSError), self._file:
            if self._omitted:
                end = self._end.get()
                note = f"\n[respin: the log is full; {self._omitted - len(end)} bytes omitted]\n"
                _write(self._file, note.encode() + end)


def _write(file: IO[bytes], data: bytes) -> None:
    """Write all of it: without a buffer, less may be taken at once."""
    while data:
        data = data[file.write(data) :]


class Output:
    """One output of a program, for sh to write to."""

    def __init__(
        self,
        *,
        log: Log | None,
        failed: Callable[[], None],
        sink: IO[bytes] | None = None,
        limit: int | None = None,
    ) -> None:
        """Take an output into memory, or into ``sink``, and copy it into the log.

        More than ``limit`` bytes are a failure; ``failed`` is called then, and if the log or the
        sink cannot be written, but only once. Nothing that comes later is kept.
        """
        self._log, self._sink, self._failed = log, sink, failed
        self.limit = limit
        self._most = WHOLE if limit is None else limit
        self._data: bytearray | None = bytearray()
        self._end = _End(END)
        self.size = 0
        self.problem: OSError | None = None
        """Why what arrived could not be written."""

    @property
    def over(self) -> bool:
        """It exceeded its limit."""
        return self.limit is not None and self.size > self.limit

    def write(self, chunk: bytes) -> int:
        """Take what arrives. Never raises: sh would stop reading, and the program never end."""
        if self.problem is not None or self.over:
            return len(chunk)
        self.size += len(chunk)
        self._end.add(chunk)
        try:
            if self._log is not None:
                self._log.write(chunk)
            if self.over:
                self._data = None
            elif self._sink is not None:
                self._sink.write(chunk)
            elif self._data is not None:
                self._data += chunk
                if self.size > self._most:
                    self._data = None
        except OSError as e:
            self.problem = e
        if self.problem is not None or self.over:
            self._failed()
        return len(chunk)

    def flush(self) -> None:
        """Pass on what the sink holds back."""
        if self._sink is not None and self.problem is None:
            try:
                self._sink.flush()
            except OSError as e:
                self.problem = e
                self._failed()

    def whole(self) -> bytes | None:
        """Return all that arrived; None if that was too much. It is empty if a sink took it."""
        return None if self._data is None else bytes(self._data)

    def end(self) -> bytes:
        """Return the end of what arrived."""
        return self._end.get()
