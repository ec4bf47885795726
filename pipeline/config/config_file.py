# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""How a configuration file is read: only a plain file that nobody else can have written."""

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
    """Return the values of a TOML file.

    It says which archives and keys are trusted and which commands are run: so it must belong to
    root or to this user (by sudo: also to who called it), and nobody else may write to it. Raises
    UsageError if that is not so, or it cannot be read, or is not TOML.
    """
    try:
        with bounded.open_regular(path) as f:
            _check(path, os.fstat(f.fileno()))  # what is judged is what is read
            data = f.read(LIMIT + 1)
    except OSError as e:
        raise UsageError(
            f"{path} cannot be read: {e.strerror}", hint="name another file with --config"
        ) from e
    if len(data) > LIMIT:
        raise UsageError(f"{path} is longer than {LIMIT} bytes", hint="see docs/sources.md")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as e:
        raise UsageError(f"{path} is not TOML", details=str(e), hint="see docs/sources.md") from e


def _check(path: Path, found: os.stat_result) -> None:
    """Raise UsageError for what somebody else can have written."""
    if found.st_uid not in trusted():
        raise UsageError(
            f"{path} belongs to {_user(found.st_uid)}, who would decide what is trusted and run",
            hint=f"read it, and if it is good make it yours: chown {os.geteuid()} FILE",
        )
    others = found.st_mode & stat.S_IWOTH
    if others or (found.st_mode & stat.S_IWGRP and not _own_group(found)):
        raise UsageError(
            f"{path} can be written by other users, who would decide what is trusted and run",
            hint="read it, and if it is good: chmod go-w FILE",
        )


def trusted() -> frozenset[int]:
    """Return the numbers of the users whose files are believed: root, this user, who used sudo."""
    caller = os.environ.get("SUDO_UID", "") if os.geteuid() == 0 else ""
    return frozenset({0, os.geteuid(), *([int(caller)] if caller.isdecimal() else [])})


def _own_group(found: os.stat_result) -> bool:
    """Tell whether a file's group is its owner alone, as Debian's user private groups are."""
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
