# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Directories and files that are ours alone: nobody else can have put anything into them.

What lies in the cache and in the state is executed, installed and published. So a directory of
these belongs to this user; and so that nobody can put another one in its place, every directory on
the way to it belongs to root or to this user, and nobody else may write to it. But in a directory
with the sticky bit, such as /tmp, others cannot remove what is ours (unlink(2)). A group that has
no other member is not somebody else: Debian gives each user one, and sshd judges in the same way
(``StrictModes``).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import grp
import os
import pwd
import stat
from pathlib import Path

from pipeline.errors import UsageError

PRIVATE, PUBLIC = 0o700, 0o755
LINKS_MAX = 40
"""Symbolic links in one path, as in Linux."""
FRESH = frozenset({"lost+found"})
"""What a new file system contains."""


def close_to_others() -> None:
    """Keep others from writing to anything that this process and its programs make.

    This is for users who have a umask of 000, or of 002 in a group that is not theirs alone.
    """
    os.umask(os.umask(0o077) | 0o022)


def directory(path: Path, what: str, hint: str, *, mode: int = PRIVATE) -> Path:
    """Return ``path``, a directory that is ours alone; it is made with ``mode`` if it is missing.

    ``what`` and ``hint`` are for the error: ``the cache directory``, and how to choose another.
    Raises UsageError, OSError.
    """
    here, missing = path.absolute(), list[Path]()
    while not os.path.lexists(here):
        missing.append(here)
        here = here.parent
    if missing:
        for place, found in _way(here):
            _check_above(place, found, path, what, hint)
        for each in reversed(missing):
            _make(each, mode if each == missing[0] else PUBLIC)
    check(path, what, hint)
    return path


def check(path: Path, what: str, hint: str) -> None:
    """Raise UsageError if a directory is not ours alone, OSError if it does not exist."""
    *above, (last, found) = _way(path.absolute())
    for place, each in above:
        _check_above(place, each, path, what, hint)
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    if found.st_uid != os.geteuid():
        owner = _user(found.st_uid)
        raise UsageError(
            f"{what} {path} belongs to {owner}, not to {_user(os.geteuid())}",
            details="respin does not trust its content, and its owner could not remove what this "
            "run would write there.",
            hint=f"run respin as that user (runuser -u {owner} -- respin …), or {hint}",
        )
    if _written_by_others(found) and not _close(last):
        raise UsageError(
            f"{what} {path} may be written by other users",
            details="respin does not trust its content.",
            hint=f"if everything in it is yours, run chmod go-w {last}; or {hint}",
        )


def _check_above(place: Path, found: os.stat_result, path: Path, what: str, hint: str) -> None:
    """Raise UsageError for a directory or link through which others can change what ``path`` is."""
    why = ""
    if found.st_uid not in (0, os.geteuid(), _unmapped()):
        why = f"belongs to {_user(found.st_uid)}"
    elif not _fixed(found) and _written_by_others(found):
        why, hint = "may be written by other users", f"chmod go-w {place}, or {hint}"
    if why:
        raise UsageError(
            f"{what} {path} cannot be trusted: {place} {why}",
            details="They could replace the directory.",
            hint=hint,
        )


def check_place(path: Path, what: str, hint: str) -> None:
    """Check less strictly the directories on the way to what others may well read and replace.

    A directory that everybody may write to, without the sticky bit, is refused. If this is root, so
    is a directory of an ordinary user, except for the one who called sudo: whoever may rename what
    root is writing to can make root write elsewhere. Raises UsageError, OSError.
    """
    caller = os.environ.get("SUDO_UID", "")
    trusted = {0, os.geteuid(), _unmapped(), int(caller) if caller.isdecimal() else 0}
    for place, each in _way(path.absolute()):
        if each.st_mode & stat.S_IWOTH and not _fixed(each):
            raise UsageError(
                f"{what} {path} cannot be trusted: everybody may write to {place}",
                hint=f"chmod o-w {place}, or {hint}",
            )
        if os.geteuid() == 0 and each.st_uid not in trusted:
            raise UsageError(
                f"{what} {path} cannot be trusted: {place} belongs to {_user(each.st_uid)}",
                details="Its owner could redirect what root writes.",
                hint=f"run respin as {_user(each.st_uid)}, or {hint}",
            )


def _make(path: Path, mode: int) -> None:
    """Make a directory in one where only we may write, whatever the umask says."""
    with contextlib.suppress(FileExistsError):  # another run was faster
        path.mkdir(mode=PRIVATE)
        path.chmod(mode)


def _way(path: Path) -> list[tuple[Path, os.stat_result]]:
    """Return each directory and link on the way to a directory, and what it is, from the top on."""
    here = Path("/")
    rest = [part for part in reversed(path.parts) if part != "/"]
    way, links = [(here, here.lstat())], 0
    while rest:
        name = rest.pop()
        if name == "..":
            here = here.parent
            continue
        here = here / name
        found = here.lstat()
        way.append((here, found))
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > LINKS_MAX:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            target = here.readlink()
            rest += [part for part in reversed(target.parts) if part != "/"]
            here = Path("/") if target.is_absolute() else here.parent
    return way if way[-1][0] == here else [*way, (here, here.lstat())]


def _fixed(found: os.stat_result) -> bool:
    """Whether others cannot remove what is ours: a link, or a directory with the sticky bit."""
    return stat.S_ISLNK(found.st_mode) or bool(found.st_mode & stat.S_ISVTX)


def _written_by_others(found: os.stat_result) -> bool:
    others = found.st_mode & stat.S_IWOTH
    group = found.st_mode & stat.S_IWGRP and not _own_group(found.st_gid)
    return bool(others or group)


def _own_group(gid: int) -> bool:
    """Whether a group is this user's own, with no other member."""
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return (
        user.pw_gid == gid
        and group.gr_name == user.pw_name
        and set(group.gr_mem) <= {user.pw_name}
        and not any(u.pw_gid == gid and u.pw_uid != user.pw_uid for u in pwd.getpwall())
    )


@functools.cache
def _unmapped() -> int:
    """Return the number that stands for users who are not in our user namespace; -1: all are.

    In one, the machine's root, to whom / belongs, is one of them (user_namespaces(7)).
    """
    try:
        ranges = Path("/proc/self/uid_map").read_text().splitlines()
        if sum(int(each.split()[2]) for each in ranges) < (1 << 32) - 1:
            return int(Path("/proc/sys/kernel/overflowuid").read_text())
    except (OSError, ValueError, IndexError):
        pass
    return -1


def _close(path: Path) -> bool:
    """Close a directory of ours to others, if nothing in it can come from them."""
    if _listed(path) - FRESH:
        return False
    path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o022)
    return not _listed(path) - FRESH  # nothing was added in between


def _listed(path: Path) -> set[str]:
    return {each.name for each in path.iterdir()}


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
