# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compressed files that others made: unpacked within bounds of size and memory."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import FetchError
from pipeline.files import bounded

PIECE = 1 << 20
MEMORY = 256 << 20
"""Bytes that unpacking may take; xz -9 needs 65 MiB, a forged header could ask for 4 GiB."""

FORMS = (".xz", ".gz", ".bz2", ".lzma")


def pieces(path: Path, form: str, limit: int) -> Iterator[bytes]:
    """Yield the content of a file, piece by piece; ``form`` is its suffix, of FORMS or another.

    A file of another form is yielded as it is. Raises FetchError if it is broken, or exceeds
    ``limit`` bytes: a decompression bomb ends there, having used no more.
    """
    size = 0
    try:
        for piece in _raw(path, form):
            size += len(piece)
            if size > limit:
                raise FetchError(
                    f"{path.name} unpacks to more than {limit >> 20} MiB",
                    hint="do not use this source: it would fill the disk",
                )
            yield piece
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as e:
        raise FetchError(f"{path.name} cannot be unpacked", details=str(e)) from e
    except OSError as e:  # bz2 has no error of its own
        raise FetchError(f"{path.name} cannot be read", details=str(e)) from e


def _raw(path: Path, form: str) -> Iterator[bytes]:
    if form in (".xz", ".lzma"):
        yield from _lzma(path)
        return
    with bounded.open_regular(path) as f:
        if form == ".gz":
            with gzip.open(f) as unpacked:
                while piece := unpacked.read(PIECE):
                    yield piece
        elif form == ".bz2":
            with bz2.open(f) as unpacked_too:
                while piece := unpacked_too.read(PIECE):
                    yield piece
        else:
            while piece := f.read(PIECE):
                yield piece


def _lzma(path: Path) -> Iterator[bytes]:
    """Unpack xz, which may be several streams after one another, and lzma."""
    with bounded.open_regular(path) as f:
        waiting = f.read(PIECE)
        while waiting:
            stream = lzma.LZMADecompressor(memlimit=MEMORY)
            while not stream.eof:
                if stream.needs_input and not waiting:
                    waiting = f.read(PIECE)
                    if not waiting:
                        raise EOFError("the file ends before its stream does")
                piece = stream.decompress(waiting, PIECE)
                waiting = b""
                if piece:
                    yield piece
            waiting = (stream.unused_data or f.read(PIECE)).lstrip(b"\0")  # padding of streams
