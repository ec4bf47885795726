# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The directories that a sandboxed tool works in: lent to it, and checked after it has ended.

What is in one afterwards was made by somebody else. We read none of it before we know that it
holds only regular files, directories and links that stay inside, and has a bearable size.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import RespinError
from pipeline.host import command

LARGEST = 2 << 30
"""Bytes that a directory may hold: an unpacked source, twice, and its tarballs (fetch.LARGEST)."""
ENTRIES = 200_000
"""Files and directories; iproute2 has 750, a kernel's package 5,000."""
DEPTH = 64
"""Depth of nested directories; iproute2 has 5."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Strange(Exception):
    """Something that no source holds, or too much of it; the text says what and where."""


@dataclass(frozen=True, kw_only=True)
class LentEntry:
    """A file, directory or link of a tree, whose directory is open as ``at``."""

    at: int
    name: str
    path: str
    """Relative to the top."""
    info: os.stat_result


def entries(top: Path, *, without: Collection[str] = ()) -> Iterator[LentEntry]:
    """Yield everything below a directory, each directory before its contents; follow no link.

    Names that are in ``without`` are passed over. An entry may be changed or removed before
    the next is asked for. Raises Strange if there is too much, and OSError.
    """
    left = ENTRIES
    number = os.open(top, _DIRECTORY)
    try:
        for entry in _below(number, "", DEPTH, without):
            left -= 1
            if left < 0:
                raise Strange(f"more than {ENTRIES} files")
            yield entry
    finally:
        os.close(number)


def _below(at: int, path: str, depth: int, without: Collection[str]) -> Iterator[LentEntry]:
    if depth == 0:
        raise Strange(f"directories that are {DEPTH} deep: {path[:80]!r}")
    with os.scandir(at) as found:
        for each in found:
            if each.name in without:
                continue
            here = f"{path}{each.name}"
            info = each.stat(follow_symlinks=False)
            yield LentEntry(at=at, name=each.name, path=here, info=info)
            if stat.S_ISDIR(info.st_mode):
                with contextlib.suppress(FileNotFoundError):  # removed by the caller meanwhile
                    number = os.open(each.name, _DIRECTORY, dir_fd=at)
                    try:
                        yield from _below(number, f"{here}/", depth - 1, without)
                    finally:
                        os.close(number)


def lend(directory: Path, owner: int) -> None:
    """Give a directory, and all that is in it, to another user."""
    os.chown(directory, owner, owner, follow_symlinks=False)
    for each in entries(directory):
        os.chown(each.name, owner, owner, dir_fd=each.at, follow_symlinks=False)


def take_back(directory: Path, *, drop_links: bool = False) -> None:
    """Make all in a directory this user's own again, and check that it is bearable (``look``).

    With ``drop_links``, links that lead out of the directory are removed. Raises Strange or
    OSError; then what is in the directory can only be removed.
    """
    mine, group, seen = os.geteuid(), os.getegid(), _Look(directory)
    top = directory.stat()
    if top.st_uid != mine:
        os.chown(directory, mine, group)
    directory.chmod(stat.S_IMODE(top.st_mode) & 0o777 | 0o700)
    for each in entries(directory):
        if each.info.st_uid != mine:
            os.chown(each.name, mine, group, dir_fd=each.at, follow_symlinks=False)
        mode = each.info.st_mode
        if drop_links and stat.S_ISLNK(mode) and seen.leads_out(each):
            os.unlink(each.name, dir_fd=each.at)
            continue
        seen.at(each)
        if stat.S_ISLNK(mode):
            continue
        usable = stat.S_IMODE(mode) & 0o777 | (0o700 if stat.S_ISDIR(mode) else 0o600)
        if usable != stat.S_IMODE(mode):
            os.chmod(each.name, usable, dir_fd=each.at)


def look(directory: Path, *, without: Collection[str] = ()) -> None:
    """Check that a directory that is not ours is bearable. Raises Strange if not, and OSError.

    It may hold files, directories and links that stay in it, up to ENTRIES and LARGEST.
    """
    seen = _Look(directory)
    for each in entries(directory, without=without):
        seen.at(each)


class _Look:
    """Checks the entries of a directory one by one."""

    def __init__(self, directory: Path) -> None:
        self._top = os.path.realpath(directory)
        self._left = LARGEST

    def at(self, each: LentEntry) -> None:
        """Raise Strange if an entry is strange, or one too many."""
        mode = each.info.st_mode
        if stat.S_ISLNK(mode):
            if self.leads_out(each):
                raise Strange(f"a link that leads out of it: {each.path[:200]!r}")
        elif stat.S_ISREG(mode):
            self._left -= each.info.st_size
            if self._left < 0:
                raise Strange(f"more than {LARGEST >> 20} MiB")
        elif not stat.S_ISDIR(mode):
            raise Strange(f"something that is not a file, directory or link: {each.path[:200]!r}")

    def leads_out(self, each: LentEntry) -> bool:
        """Whether a link leads out of the directory, directly or through other links."""
        path = os.path.join(self._top, each.path)  # noqa: PTH118 - names may not be UTF-8
        end = os.path.realpath(path)
        return end != self._top and not end.startswith(f"{self._top}/")


@contextlib.contextmanager
def lent(parent: Path | None, prefix: str) -> Iterator[Path]:
    """Yield a new directory, in ``parent`` or where temporary files are; remove it afterwards.

    It may be moved away meanwhile.
    """
    directory = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
    try:
        yield directory
    finally:
        remove(directory)


def remove(directory: Path) -> None:
    """Remove a directory, however deep it is and whatever its modes are."""
    try:
        shutil.rmtree(directory)
    except FileNotFoundError:
        return
    except (OSError, RecursionError):
        with contextlib.suppress(RespinError):
            command.run(["chmod", "-R", "u+rwX", "--", directory], check=False, cleanup=True)
            command.run(["rm", "-rf", "--", directory], check=False, cleanup=True)
