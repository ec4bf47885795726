# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Directories for work in progress, below the cache, removed afterwards or by the next run.

Beside each lies a file that the working process has locked (flock(2)). However that process
ends, the kernel unlocks the file: a directory whose file is not locked is abandoned.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import RespinError
from pipeline.files import own_files
from pipeline.host import leftovers
from pipeline.host.cache import Cache
from pipeline.host.interrupts import interrupts
from pipeline.isolation.namespaces import remove_tree

KIND = "work"
LOCK = ".lock"


@contextlib.contextmanager
def scratch(
    cache: Cache, name: str, *, remove: Callable[[Path], None] = shutil.rmtree
) -> Iterator[Path]:
    """Yield a new directory of the cache that nobody else can enter, and remove it after the block.

    ``name`` begins its name; ``remove`` removes it. Raises UsageError if the cache belongs to
    another user.
    """
    with contextlib.ExitStack() as stack:
        with cache.lock(KIND, "all"), interrupts.held():
            parent = cache.directory(KIND).resolve()
            number, lock = tempfile.mkstemp(prefix=f"{name}-", suffix=LOCK, dir=parent)
            directory = Path(lock.removesuffix(LOCK))
            stack.callback(os.close, number)
            own_files.lock(number)
            leftovers.note(Path(lock), lambda _: _end(directory, remove))
        try:
            directory.mkdir(mode=0o700)
            yield directory
        finally:
            with interrupts.held():
                _end(directory, remove)
                leftovers.done(Path(lock))


def sweep(cache: Cache) -> None:
    """Remove the directories that killed processes have left.

    What cannot be removed now is left for the next time.
    """
    parent = cache.directory(KIND)
    with contextlib.ExitStack() as stack:
        # Nobody can make one meanwhile, whose file would exist and not be locked yet.
        with cache.lock(KIND, "all"):
            locks = [path for path in parent.glob(f"*{LOCK}") if _nobody_s(path, stack)]
        # They stay locked: another run that sweeps now leaves them to this one.
        for lock in locks:
            with contextlib.suppress(RespinError, OSError):
                _end(lock.with_suffix(""), remove_tree)


def _nobody_s(lock: Path, stack: contextlib.ExitStack) -> bool:
    """Lock a file for as long as the stack is open, if nobody else has locked it."""
    try:
        number = own_files.open_file(lock, create=False)
    except OSError:  # it has gone since
        return False
    with contextlib.ExitStack() as now:
        now.callback(os.close, number)
        if not own_files.lock(number, wait=False):
            return False
        stack.push(now.pop_all())
        return True


def _end(directory: Path, remove: Callable[[Path], None]) -> None:
    """Remove a directory, and then its file."""
    if directory.exists():
        remove(directory)
    directory.with_name(f"{directory.name}{LOCK}").unlink(missing_ok=True)
