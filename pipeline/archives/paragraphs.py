# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""An index file, searched in place: Packages or Sources, 50 MB for a release.

Starting apt-cache for each question costs more than the question. The file is mapped, not read,
and what an archive writes into it is bounded: no paragraph, and no number of them, can exhaust
the memory.
"""

from __future__ import annotations

import hashlib
import mmap
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from pipeline.errors import FetchError

LONGEST = 4 << 20
"""Bytes of a paragraph; Debian's longest, of the source linux, has 400 kB."""
MOST = 500_000
"""Paragraphs whose places are noted; Debian's main has 63,000."""
VERSIONS = 1000
"""Paragraphs of one name."""
FEW = 8
"""Up to this many names, searching for each is quicker than noting where all are."""

_PACKAGE = re.compile(rb"^Package: (\S{1,200})$", re.MULTILINE)


class Paragraphs:
    """The paragraphs of one file."""

    def __init__(self, path: Path, where: str) -> None:
        """Open it; ``where`` names it in errors.

        The content stays that of this moment, whatever another run's update does to the file.
        """
        self._where = where
        with path.open("rb") as f:
            size = path.stat().st_size
            # An empty file cannot be mapped, and an index may be empty.
            self._data: mmap.mmap | bytes = (
                mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
            )

    def sha256(self) -> str:
        """Return the SHA-256 of the whole file."""
        return hashlib.sha256(self._data).hexdigest()

    def at(self, place: int) -> str:
        """Return the paragraph around a place. Raises FetchError if it is too long."""
        first, last = max(0, place - LONGEST), place + LONGEST
        before = self._data.rfind(b"\n\n", first, place)
        after = self._data.find(b"\n\n", place, last)
        begin = before + 2 if before >= 0 else first
        end = after if after >= 0 else min(last, len(self._data))
        if (before < 0 < first) or (after < 0 and last < len(self._data)):
            raise self._wrong(f"a paragraph is longer than {LONGEST} bytes")
        return self._data[begin:end].decode("utf-8", "replace")

    def lines(self, line: bytes) -> Iterator[int]:
        """Yield the places of this exact line (15 ms for 50 MB; a regular expression takes 250)."""
        if self._data[: len(line) + 1] == line + b"\n":
            yield 0
        at = self._data.find(b"\n" + line + b"\n")
        while at >= 0:
            yield at + 1
            at = self._data.find(b"\n" + line + b"\n", at + 1)

    def named(self, names: Iterable[str]) -> Iterator[str]:
        """Yield the paragraphs of these packages."""
        wanted = sorted({name.encode() for name in names})
        few = len(wanted) <= FEW and "_offsets" not in self.__dict__
        for name in wanted:
            where = self.lines(b"Package: " + name) if few else self._offsets.get(name, ())
            for number, at in enumerate(where):
                if number >= VERSIONS:
                    shown = name.decode("utf-8", "replace")
                    raise self._wrong(f"{shown!r} is listed more than {VERSIONS} times")
                yield self.at(at)

    def matching(self, pattern: str) -> set[str]:
        """Return the names of all packages that match a regular expression in full."""
        names = (name.decode("utf-8", "replace") for name in self._offsets)
        return {name for name in names if re.fullmatch(pattern, name)}

    @cached_property
    def _offsets(self) -> dict[bytes, list[int]]:
        found: dict[bytes, list[int]] = {}
        for number, match in enumerate(_PACKAGE.finditer(self._data)):
            if number >= MOST:
                raise self._wrong(f"it lists more than {MOST} packages")
            found.setdefault(match.group(1), []).append(match.start())
        return found

    def _wrong(self, what: str) -> FetchError:
        return FetchError(
            f"{self._where} is not usable: {what}",
            hint="use another mirror (--mirror): no distro has such an index",
        )
