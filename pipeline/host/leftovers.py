# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What this process has begun and has to clear away, so that what it says of that is true.

Whoever makes a directory that must not outlive the process notes it here at the same moment, and
removes the note when the directory is gone or in its place. However the process ends, it then
clears away what is still noted, and names what it cannot remove.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import RespinError
from pipeline.host.interrupts import interrupts

Remove = Callable[[Path], object]

_noted: dict[Path, Remove] = {}
_whole: list[str] = []
_lock = threading.Lock()


def note(path: Path, remove: Remove = shutil.rmtree) -> None:
    """Note what has to be removed before this process ends, and how."""
    with _lock:
        _noted[path] = remove


def done(path: Path) -> None:
    """Remove the note: the path is gone, or in its place, or stays on purpose."""
    with _lock:
        _noted.pop(path, None)


def whole(sentence: str) -> None:
    """Remember what is complete and stays, however the process ends."""
    _whole.append(sentence)


def what_is_whole() -> tuple[str, ...]:
    """Return what is complete and stays."""
    return tuple(_whole)


@contextlib.contextmanager
def directory(parent: Path | None, prefix: str, remove: Remove = shutil.rmtree) -> Iterator[Path]:
    """Yield a new directory, closed to others; it is removed after the block, or else named.

    Raises OSError if it cannot be made.
    """
    with interrupts.held():
        path = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
        note(path, remove)
    try:
        yield path
    finally:
        with interrupts.held():
            clear(path)


def clear(path: Path) -> bool:
    """Remove what is noted under this path; return whether it is gone."""
    with _lock:
        remove = _noted.get(path)
    if remove is None:
        return not os.path.lexists(path)
    with contextlib.suppress(OSError, RespinError):
        if os.path.lexists(path):
            remove(path)
    gone = not os.path.lexists(path)
    if gone:
        done(path)
    return gone


def clear_all() -> tuple[Path, ...]:
    """Remove all that is noted; return what could not be removed.

    A directory that is to be removed only if it is empty is no failure if it is not.
    """
    with interrupts.held():
        with _lock:
            paths = sorted(_noted, reverse=True)  # contents come before their directory
            empty = {path for path, remove in _noted.items() if remove is Path.rmdir}
        return tuple(path for path in paths if not clear(path) and path not in empty)
