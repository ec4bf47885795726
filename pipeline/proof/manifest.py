# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every file in a run's directory, by its path and SHA-256."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from pipeline.errors import NotVerified
from pipeline.files import bounded
from pipeline.proof.envelope import NAME

FILES = 5_000
LARGEST = 1 << 30
BYTES = 4 << 30
DEEPEST = 10
"""Bounds of a directory that somebody gives: files, bytes of each and of all, levels. A run of
iproute2 has fifty files, 30 MB, in three levels."""


def names(directory: Path, without: Collection[str] = (NAME,)) -> tuple[str, ...]:
    """Return the paths of all files in a directory, relative to it, sorted; not those ``without``.

    Raises NotVerified for anything but regular files and directories, and beyond the bounds, and
    OSError if it cannot be read.
    """
    found = []
    size = 0
    for name, more in _walk(directory, "", DEEPEST):
        size += more
        if name not in without:
            found.append(name)
        if size > BYTES:
            raise NotVerified(f"{directory} has more than {BYTES} bytes, so it is no run of respin")
        if len(found) > FILES:
            raise NotVerified(f"{directory} has more than {FILES} files, so it is no run of respin")
    return tuple(sorted(found))


def _walk(directory: Path, below: str, deep: int) -> Iterator[tuple[str, int]]:
    if deep < 0:
        raise NotVerified(f"{directory / below} is nested too deeply to be a run of respin")
    with os.scandir(directory / below) as entries:
        for entry in entries:
            name = f"{below}{entry.name}"
            info = entry.stat(follow_symlinks=False)
            mode = info.st_mode
            if stat.S_ISDIR(mode):
                yield from _walk(directory, f"{name}/", deep - 1)
            elif stat.S_ISREG(mode):
                yield name, info.st_size
            else:
                raise NotVerified(
                    f"{directory / name} is neither a file nor a directory, and no run leaves that"
                )


def sha256(path: Path) -> str:
    """Return the SHA-256 of a regular file, lower-case hexadecimal. Raises OSError."""
    with bounded.open_regular(path, follow=False) as file:
        if os.fstat(file.fileno()).st_size > LARGEST:
            raise bounded.TooLong(path, LARGEST)
        return hashlib.file_digest(file, "sha256").hexdigest()


def of(directory: Path, without: Collection[str] = (NAME,)) -> dict[str, str]:
    """Return the SHA-256 of every file in a directory; raises like ``names``."""
    return {name: sha256(directory / name) for name in names(directory, without)}
