# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of ours in directories of ours (ownership.py): opened, locked and written safely.

No link is followed, nothing is waited for, and no content is lost before the file is ours.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

NOT_OURS = (errno.EPERM, errno.ELOOP, errno.ENXIO, errno.EISDIR)
"""What ``open_file`` raises for a link, a FIFO, a directory, or somebody else's file."""


def open_file(path: Path, *, mode: int = 0o600, create: bool = True) -> int:
    """Open a file of ours to read and write; ``create`` makes it. Its content is not lost.

    No link is followed, and nothing is waited for. Raises OSError, also if it is not a regular
    file, is another user's, or has a second name elsewhere.
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
def locked(
    path: Path, *, wait: bool = True, shared: bool = False, directory: bool = False
) -> Iterator[bool]:
    """Hold the lock of a file (flock(2)), which is made if it does not exist, or of a directory.

    Without ``wait``, False is yielded if another process holds the lock, or if a directory
    cannot be locked (NFS locks only what is open for writing). ``shared`` locks do not
    exclude each other. Raises OSError.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    number = os.open(path, flags) if directory else open_file(path)
    try:
        try:
            held = lock(number, wait=wait, shared=shared)
        except OSError:
            if wait or not directory:
                raise
            held = False
        yield held
    finally:
        os.close(number)


def lock(number: int, *, wait: bool = True, shared: bool = False) -> bool:
    """Lock an open file until it is closed; return False if that would mean waiting."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(number, kind | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def replacing(path: Path, *, alone: bool = False) -> Iterator[Path]:
    """Yield a free name beside ``path``; the file or directory that is made there replaces it.

    If the block fails, what it has made is removed and ``path`` is unchanged. A caller that is
    ``alone``, because it holds a lock, gets the same name each time, and so also replaces what
    a killed process left there. Raises OSError.
    """
    end = "part" if alone else secrets.token_hex(4)
    part = path.with_name(f".{path.name}.{end}")
    if alone:
        _remove(part)
    try:
        yield part
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            _remove(part)
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write(path: Path, data: str | bytes, *, mode: int = 0o644, sync: bool = False) -> None:
    """Write a file in one step, whatever the umask; readers find all of it or what was before.

    With ``sync``, it is then on the disk, and not only on its way there.
    Raises OSError.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with replacing(path) as part, os.fdopen(os.open(part, flags, 0o600), "wb") as out:
        out.write(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data)
        out.flush()
        os.fchmod(out.fileno(), mode)
        if sync:
            os.fsync(out.fileno())
