# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A package of the guest's root has an archive of files that is made to trouble who unpacks it.

dpkg-deb unpacks it in the sandbox; respin itself reads what that writes, a plain tar archive.
"""

from __future__ import annotations

import gzip
import io
import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.vm import guest_root

pytestmark = pytest.mark.attack

SIZE = slice(124, 136)
REAL_SIZE = slice(483, 495)
"""Of a sparse file (GNU tar's old form)."""


def number(value: int) -> bytes:
    """Return a number in tar's binary form, which may be negative."""
    return (b"\xff" if value < 0 else b"\x80") + (value % (1 << 88)).to_bytes(11, "big")


def header(kind: bytes, **fields: int) -> bytes:
    """Return the header of a file with these numbers, and its checksum."""
    member = tarfile.TarInfo("./usr/share/it")
    member.type = kind
    data = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    for name, value in fields.items():
        data[{"size": SIZE, "real": REAL_SIZE}[name]] = number(value)
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


def packed() -> bytes:
    """Return a sound archive, compressed."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo("./usr/share/it")
        member.size = 1000
        tar.addfile(member, io.BytesIO(bytes(1000)))
    return gzip.compress(out.getvalue())


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    """End what would not end."""
    signal.alarm(20)
    yield
    signal.alarm(0)


@pytest.mark.parametrize(
    "data",
    [
        header(tarfile.REGTYPE) + header(b"?", size=-512) + bytes(1024),
        header(tarfile.REGTYPE) + header(b"?", size=-1024) + bytes(1024),
        header(tarfile.REGTYPE) + b"?" * 512 + header(tarfile.REGTYPE) + bytes(1024),
        header(tarfile.REGTYPE) + b"?" * 100,
        header(tarfile.REGTYPE, size=1 << 40) + bytes(1024),
        header(tarfile.GNUTYPE_SPARSE, real=1 << 40) + bytes(1024),
        packed(),
        packed()[:-100],
    ],
    ids=[
        *("back", "farther back", "no header", "half a header"),
        *("too large", "sparse", "compressed", "compressed and cut"),
    ],
)
def test_an_archive_that_cannot_be_true_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "files").write_bytes(data)
    control = b"Package: it\nVersion: 1\nArchitecture: all\n"
    with tarfile.open(tmp_path / "control", "w") as tar:
        member = tarfile.TarInfo("./control")
        member.size = len(control)
        tar.addfile(member, io.BytesIO(control))
    with tarfile.open(tmp_path / "root.tar", "w") as out:
        root = guest_root._Root(out)
        # What guest_root.write() turns into a sentence.
        with pytest.raises((OSError, tarfile.TarError, ValueError)):
            root.add(tmp_path / "control", tmp_path / "files")
