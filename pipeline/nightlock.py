"""One night at a time: a lock that says who holds it, and ends with its process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import LockHeld, UsageError

NAME = "lock"


@contextlib.contextmanager
def held(folder: Path, doing: str, now: datetime) -> Iterator[None]:
    """Hold the lock of a state folder. Raises LockHeld, naming the process that has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Not truncated before the lock is ours: it says who holds it.
        stream = (folder / NAME).open("a+")
    except OSError as e:
        raise UsageError(
            f"{folder} cannot be written: {e.strerror}",
            hint="name another folder: state = … under [nightly] in respin.toml",
        ) from e
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            raise _held(folder, stream.read(1000)) from None
        stream.truncate(0)
        who = {"pid": os.getpid(), "host": socket.gethostname(), "doing": doing}
        stream.write(json.dumps({**who, "since": now.astimezone(UTC).isoformat()}))
        stream.flush()
        yield
        stream.truncate(0)


def _held(folder: Path, text: str) -> LockHeld:
    try:
        who = json.loads(text)
        by = f"process {who['pid']} on {who['host']} ({who['doing']}), since {who['since']}"
    except (ValueError, KeyError, TypeError):
        by = "another process"
    return LockHeld(f"{folder} is in use by {by}", hint="wait for it to end; nothing was done")
