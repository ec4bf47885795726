# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Give files to a running guest through a virtio port.

The guest starts while the packages that it will test are still being built. Each file is a
line with its name and its size in bytes, then its content; the line ``end`` follows the last
(``agent take``). The guest's answers never come this way.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.files import bounded

POLL_SECONDS = 0.2
"""Seconds between checks that the guest is still there, while it does not read."""


class Feed:
    """The pipe to a guest: QEMU's chardev ``pipe`` reads from PATH.in and writes to PATH.out."""

    def __init__(self, path: Path) -> None:
        """Name the pipe; both of its ends are made in the directory of ``path``."""
        self.path = path
        self._fd = -1

    def __enter__(self) -> Self:
        """Make it."""
        for end in ("in", "out"):
            os.mkfifo(f"{self.path}.{end}", 0o600)
        # Opened to read, too: this does not wait for QEMU, and no write raises SIGPIPE.
        self._fd = os.open(f"{self.path}.in", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        os.close(self._fd)

    def give(self, files: Mapping[str, Path], *, gone: Callable[[], bool]) -> None:
        """Give files by their names in the guest; return when all is written or the guest is gone.

        ``gone`` says whether the guest has ended; its own output then tells why.
        """
        for name, path in files.items():
            with bounded.open_regular(path) as file:
                left = os.fstat(file.fileno()).st_size
                self._write(f"{name} {left}\n".encode(), gone)
                # Send exactly the announced number of bytes, even if the file has grown since.
                while left and (piece := file.read(min(left, bounded.PIECE))):
                    left -= len(piece)
                    self._write(piece, gone)
        self._write(b"end\n", gone)

    def _write(self, data: bytes, gone: Callable[[], bool]) -> None:
        rest = memoryview(data)
        while rest and not gone():
            _, ready, _ = select.select([], [self._fd], [], POLL_SECONDS)
            if ready:
                rest = rest[os.write(self._fd, rest) :]
