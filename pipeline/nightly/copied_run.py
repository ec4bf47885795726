# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Copy a run directory that somebody gives, and nothing from outside it.

Its content is served to the world later, and a symbolic link to /etc/shadow would be, too. So
only regular files and directories that the caller owns are copied, within bounds; no link is
followed, and anything else is refused.
"""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import PublishError
from pipeline.proof.manifest import BYTES, DEEPEST, FILES

PIECE = 1 << 20


@dataclass(kw_only=True)
class _Left:
    """What may still be copied."""

    files: int = FILES
    size: int = BYTES


def copy(directory: Path, dest: Path) -> None:
    """Copy a whole directory to ``dest``, which must not exist, or leave nothing there.

    Raises PublishError for what must not be copied, and if the disk is full.
    """
    try:
        number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            dest.mkdir(mode=0o755)
            _directory(number, directory, dest, _Left(), DEEPEST)
        finally:
            os.close(number)
    except OSError as e:
        shutil.rmtree(dest, ignore_errors=True)
        raise PublishError(
            f"respin could not copy {e.filename or directory}: {e.strerror}",
            hint="check who owns it, and whether the disk of the state directory is full",
        ) from e
    except BaseException:
        shutil.rmtree(dest, ignore_errors=True)
        raise


def _directory(number: int, path: Path, dest: Path, left: _Left, deep: int) -> None:
    """Copy the content of an open directory into ``dest``."""
    _check(os.fstat(number), path)
    if deep < 0:
        raise _refused(path, f"is nested deeper than {DEEPEST} directories")
    for name in sorted(os.listdir(number)):
        left.files -= 1
        if left.files < 0:
            raise _refused(path, f"is one of more than {FILES} files")
        mode = os.stat(name, dir_fd=number, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            inner = os.open(name, flags, dir_fd=number)
            try:
                (dest / name).mkdir(mode=0o755)
                _directory(inner, path / name, dest / name, left, deep - 1)
            finally:
                os.close(inner)
        elif stat.S_ISREG(mode):
            _file(number, name, path / name, dest / name, left)
        else:
            kind = "a symbolic link" if stat.S_ISLNK(mode) else "neither a file nor a directory"
            raise _refused(path / name, f"is {kind}")


def _file(number: int, name: str, path: Path, dest: Path, left: _Left) -> None:
    # The file may have become a pipe in the meantime.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, dir_fd=number), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise _refused(path, "is not a file")
        _check(found, path)
        if found.st_nlink > 1:
            raise _refused(path, "is a hard link: it has another name elsewhere")
        if found.st_size > left.size:
            raise _refused(path, f"makes the directory larger than {BYTES} bytes")
        with dest.open("xb") as out:
            while piece := file.read(min(PIECE, left.size + 1)):
                left.size -= len(piece)
                if left.size < 0:
                    raise _refused(path, f"makes the directory larger than {BYTES} bytes")
                out.write(piece)


def _check(found: os.stat_result, path: Path) -> None:
    if found.st_uid != os.geteuid():
        raise _refused(path, "belongs to another user")
    if found.st_mode & stat.S_IWOTH:
        raise _refused(path, "may be written by every user")


def _refused(path: Path, why: str) -> PublishError:
    return PublishError(
        f"respin does not publish this directory: {path} {why}",
        hint="give the unchanged directory of a run, as the user who ran respin, or a copy of it",
    )
