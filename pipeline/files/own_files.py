# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of ours in directories of ours (ownership.py): opened, locked and written safely.

No link is followed, nothing is waited for, and what is there is not lost before it is ours.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

NOT_OURS = (errno.EPERM, errno.ELOOP, errno.ENXIO, errno.EISDIR)
"""What ``open_file`` says of a link, a FIFO, a directory, and what is another's."""


def open_file(path: Path, *, mode: int = 0o600, create: bool = True) -> int:
    """Open a file of ours to read and write, which ``create`` makes; nothing of it is lost.

    Neither a link is followed, nor anything waited for. Raises OSError, also for what is no
    regular file, another user's, or has a second name elsewhere.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    number = os.open(path, flags | os.O_CREAT if create else flags, mode)
    found = os.fstat(number)
    ours = found.st_uid == os.geteuid() and found.st_nlink <= 1
    if stat.S_ISREG(found.st_mode) and ours:
        return number
    os.close(number)
    raise OSError(errno.EPERM, "it is not a file of ours", str(path))


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of a file (flock(2)), which is made if it is not there.

    Without ``wait`` another one may have it: False is yielded. Raises OSError.
    """
    number = open_file(path)
    try:
        yield lock(number, wait=wait)
    finally:
        os.close(number)


def lock(number: int, *, wait: bool = True) -> bool:
    """Lock an open file until it is closed; return whether that was to be had without waiting."""
    try:
        fcntl.flock(number, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def write(path: Path, data: str | bytes, *, mode: int = 0o644, sync: bool = False) -> None:
    """Write a file in one step, whatever the umask; who reads it finds all or what was before.

    With ``sync`` it is on the disk then, and not only on its way there.
    Raises OSError.
    """
    number, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as out:
            out.write(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data)
            out.flush()
            os.fchmod(number, mode)
            if sync:
                os.fsync(number)
        Path(part).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(part).unlink()
        raise
