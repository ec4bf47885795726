# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading files that somebody else may have made: regular ones only, and within a bound.

A path from a user, an archive or a build may lead to a FIFO that nobody writes to, to a device
without an end, or to a sparse file of a terabyte. Nothing here waits for any of these.
An error is an OSError whose ``strerror`` completes the sentence "PATH cannot be read: …".
"""

from __future__ import annotations

import errno
import json
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn

PIECE = 1 << 20
SMALL = 1 << 20
"""Bytes of a file that people write, or that a program writes for them: a configuration, a list."""
LARGE = 32 << 20
"""Bytes of a file of records: a report, an index of installed packages."""
KEYRING = 64 << 20
"""Bytes of a keyring; the one of Debian's developers has 30 MiB."""


class NotRegular(OSError):
    """It is a FIFO, a device, a socket or a directory."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EINVAL, "it is not a regular file", str(path))


class TooLong(OSError):
    """It has more bytes than anybody needs."""

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(errno.EFBIG, f"it has more than {limit} bytes", str(path))


def open_regular(path: Path, *, follow: bool = True) -> BufferedReader:
    """Open a regular file to read, without waiting for anything.

    Without ``follow`` a symbolic link in its place is refused, too. Raises OSError.
    """
    # A FIFO is opened at once, and then recognised; reading /proc/kmsg and the like fails.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        number = os.open(path, flags if follow else flags | os.O_NOFOLLOW)
    except ValueError as e:  # a NUL in its name
        raise OSError(errno.EINVAL, "its name is not valid", str(path)) from e
    file = os.fdopen(number, "rb")
    if not stat.S_ISREG(os.fstat(number).st_mode):
        file.close()
        raise NotRegular(path)
    return file


def read(path: Path, limit: int, *, follow: bool = True) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes. Raises OSError."""
    with open_regular(path, follow=follow) as file:
        # The size is checked first: nothing is read of a sparse terabyte.
        if os.fstat(file.fileno()).st_size > limit:
            raise TooLong(path, limit)
        data = file.read(limit + 1) or b""  # None: nothing can be read without waiting
    if len(data) > limit:
        raise TooLong(path, limit)
    return data


def text(path: Path, limit: int, *, errors: str = "strict", follow: bool = True) -> str:
    """Return the UTF-8 text of a regular file. Raises OSError, or ValueError if it is not UTF-8."""
    return read(path, limit, follow=follow).decode("utf-8", errors)


def end(path: Path, limit: int) -> bytes:
    """Return the last bytes of a regular file, at most ``limit``. Raises OSError."""
    with open_regular(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - limit))
        return file.read(limit)


def from_json(path: Path, limit: int, *, follow: bool = True) -> Any:
    """Return the JSON in a regular file. Raises OSError, or ValueError if it is not JSON."""
    return parse_json(text(path, limit, follow=follow))


def parse_json(data: str | bytes) -> Any:
    """Return the JSON of a text. Raises ValueError, also if it is nested beyond measure.

    NaN and Infinity are Python's own, and not JSON.
    """
    try:
        return json.loads(data, parse_constant=_no_number)
    except RecursionError as e:
        raise ValueError("it is nested too deeply") from e


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def copy(source: Path, dest: Path, limit: int, *, follow: bool = True) -> None:
    """Copy a regular file of at most ``limit`` bytes to ``dest``, which must not exist.

    Raises OSError; what was already written to ``dest`` stays.
    """
    left = limit
    with open_regular(source, follow=follow) as file, dest.open("xb") as out:
        if os.fstat(file.fileno()).st_size > limit:
            raise TooLong(source, limit)
        while piece := file.read(PIECE):
            left -= len(piece)
            if left < 0:
                raise TooLong(source, limit)
            out.write(piece)


def copy_tree(source: Path, dest: Path, limit: int, *, most: int = 10_000) -> None:
    """Copy a directory of at most ``most`` directories and regular files, and ``limit`` bytes.

    Anything else in it (a link, a FIFO, a device) is refused. Raises OSError; what was already
    written to ``dest``, which must not exist, stays.
    """
    waiting = [(source, dest)]
    while waiting:
        directory, to = waiting.pop()
        to.mkdir()
        for path in sorted(directory.iterdir()):
            most -= 1
            if most < 0:
                raise TooLong(source, limit)
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode):
                waiting.append((path, to / path.name))
            else:
                copy(path, to / path.name, limit, follow=False)
                limit -= (to / path.name).stat().st_size
