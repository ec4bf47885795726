# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Read a configuration file: it must be a regular file that nobody else can write to."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import tomllib
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError
from pipeline.files import bounded

LIMIT = bounded.SMALL


def read(path: Path) -> dict[str, Any]:
    """Return the values of a TOML file. Raises UsageError as ``content``, or if it is not TOML."""
    data = content(path, "choose another file with --config")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as e:
        raise UsageError(f"{path} is not TOML", details=str(e), hint="see docs/sources.md") from e


def content(path: Path, hint: str) -> bytes:
    """Return the content of a configuration file, or of one that it names.

    The file decides which archives and keys are trusted, which commands are run, or what is built,
    so it must belong to root or to this user (under sudo also to the user who called it), and
    nobody else may write to it. Raises UsageError if that is not so, or if it cannot be read
    (``hint``) or is too long.
    """
    try:
        with bounded.open_regular(path) as f:
            _check(path, os.fstat(f.fileno()))  # checks the same file that is read
            data = f.read(LIMIT + 1)
    except OSError as e:
        raise UsageError(f"{path} cannot be read: {e.strerror}", hint=hint) from e
    if len(data) > LIMIT:
        raise UsageError(f"{path} is longer than {LIMIT} bytes", hint="see docs/sources.md")
    return data


def _check(path: Path, found: os.stat_result) -> None:
    """Raise UsageError for a file that somebody else can write to."""
    if found.st_uid not in trusted():
        raise UsageError(
            f"{path} belongs to {_user(found.st_uid)}, who would decide what is trusted and run",
            hint=f"read the file, and if you trust it, make it yours: chown {os.geteuid()} FILE",
        )
    others = found.st_mode & stat.S_IWOTH
    if others or (found.st_mode & stat.S_IWGRP and not _own_group(found)):
        raise UsageError(
            f"{path} can be written by other users, who would decide what is trusted and run",
            hint="read the file, and if you trust it, close it to them: chmod go-w FILE",
        )


def trusted() -> frozenset[int]:
    """Return the ids of the trusted users: root, this user, and the one who used sudo."""
    caller = os.environ.get("SUDO_UID", "") if os.geteuid() == 0 else ""
    return frozenset({0, os.geteuid(), *([int(caller)] if caller.isdecimal() else [])})


def _own_group(found: os.stat_result) -> bool:
    """Return whether the owner is the file's group's only member, as in Debian's private groups."""
    try:
        owner, group = pwd.getpwuid(found.st_uid), grp.getgrgid(found.st_gid)
    except KeyError:
        return False
    alone = owner.pw_gid == group.gr_gid and group.gr_name == owner.pw_name
    return alone and not set(group.gr_mem) - {owner.pw_name}


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"the user {number}"
