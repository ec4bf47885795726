# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A lock of the state directory: it says who holds it, and ends with its process."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import LockHeld, UsageError
from pipeline.files import own_files, ownership

NAME = "lock"
PAGE, NOTIFY = "lock.page", "lock.notify"
"""Held while the status page is written, and while notifications are sent. While a repository
is changed, the lock of its target is held."""
POLL = 0.2
WHAT = "the state directory"
HINT = "choose another one: state = … under [nightly] in respin.toml, or RESPIN_STATE"
LONGEST = 1000
"""Bytes of a lock that are read."""


@contextlib.contextmanager
def held(
    directory: Path, doing: str, now: datetime, *, name: str = NAME, wait: float = 0.0
) -> Iterator[None]:
    """Hold a lock of a state directory; ``wait`` for so many seconds if another process has it.

    Raises LockHeld, naming that process, or UsageError if such a lock cannot be made.
    """
    number = _open(directory, name)
    try:
        _lock(number, directory, wait)
        # Nothing is written before the lock is ours: the file says who holds it.
        who = {"pid": os.getpid(), "host": socket.gethostname(), "doing": doing}
        text = json.dumps({**who, "since": now.astimezone(UTC).isoformat()})
        try:
            os.ftruncate(number, 0)
            os.pwrite(number, text.encode(), 0)
        except OSError as e:
            raise _unwritable(directory, e) from e
        yield
        os.ftruncate(number, 0)
    finally:
        os.close(number)


def _open(directory: Path, name: str) -> int:
    """Open a lock's file, in a directory that is ours alone."""
    try:
        ownership.directory(directory, WHAT, HINT, mode=ownership.PUBLIC)
        return own_files.open_file(directory / name, mode=0o644)
    except OSError as e:
        if Path(e.filename or directory) == directory / name and e.errno in own_files.NOT_OURS:
            raise UsageError(
                f"{directory / name} does not belong to respin", hint="move it away"
            ) from e
        raise _unwritable(directory, e) from e


def _unwritable(directory: Path, e: OSError) -> UsageError:
    return UsageError(
        f"{directory} cannot be written: {e.strerror}",
        hint=f"check who owns it and whether its disk is full, or {HINT}",
    )


def _lock(number: int, directory: Path, wait: float) -> None:
    until = time.monotonic() + wait
    while not own_files.lock(number, wait=False):
        if time.monotonic() >= until:
            raise _held(directory, os.pread(number, LONGEST, 0))
        time.sleep(POLL)


def _held(directory: Path, text: bytes) -> LockHeld:
    try:
        who = json.loads(text)
        by = f"process {who['pid']} on {who['host']} ({who['doing']}), since {who['since']}"
    except (ValueError, KeyError, TypeError):
        by = "another process"
    return LockHeld(
        f"{directory} is in use by {by}", hint="wait until it ends, and try again; nothing was done"
    )
