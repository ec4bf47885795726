# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Temporary files of this process, all in one directory: removed with it, or by the next run.

Programs that use this package without its command line keep the usual place.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.files import own_files
from pipeline.host import leftovers
from pipeline.host.interrupts import interrupts

YOUNG = 60.0
"""Seconds for which a directory may exist before the process that made it has locked it."""

_system = ""


def _prefix() -> str:
    return f"respin-{os.geteuid()}-"


def system() -> Path:
    """Return the system's directory, or $TMPDIR, for what outlives this process.

    Raises UsageError if none is writable.
    """
    if _system:
        return Path(_system)
    try:
        with interrupts.held():  # it tries to write a file
            return Path(tempfile.gettempdir())
    except FileNotFoundError as e:
        raise UsageError(
            "respin can write to no directory for temporary files", hint="choose one with TMPDIR"
        ) from e


@contextlib.contextmanager
def own() -> Iterator[None]:
    """Give the temporary files of Python's tempfile a directory of their own in the block.

    Raises UsageError if no directory for temporary files is writable.
    """
    global _system
    parent, before = system(), tempfile.tempdir
    with contextlib.ExitStack() as stack:
        try:
            directory = stack.enter_context(leftovers.directory(parent, _prefix()))
            stack.enter_context(own_files.locked(directory, shared=True, directory=True))
        except OSError as e:
            raise UsageError(
                f"{parent}, the directory for temporary files, cannot be used: {e.strerror}",
                hint="free some space there, or choose another one with TMPDIR",
            ) from e
        _system, tempfile.tempdir = str(parent), str(directory)
        try:
            yield
        finally:
            _system, tempfile.tempdir = "", before


def sweep() -> None:
    """Remove the directories of this user's killed processes."""
    for path in system().glob(f"{_prefix()}*"):
        with contextlib.suppress(OSError):
            found = path.lstat()
            if found.st_uid != os.geteuid() or time.time() - found.st_mtime < YOUNG:
                continue
            with own_files.locked(path, wait=False, directory=True) as locked, interrupts.held():
                if locked:
                    shutil.rmtree(path)
