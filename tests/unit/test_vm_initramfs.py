# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""cpio's newc form, read back by an independent reader in this test."""

from __future__ import annotations

import io
import stat
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.vm.initramfs import Initramfs

Entry = tuple[int, tuple[int, int], tuple[int, int], bytes]


def read(data: bytes) -> dict[str, Entry]:
    """Return name to (mode, owner, device, content), as buffer-format.rst describes it."""
    entries: dict[str, Entry] = {}
    at = 0
    while True:
        header = data[at : at + 110]
        assert header[:6] == b"070701"
        f = [int(header[6 + 8 * i : 14 + 8 * i], 16) for i in range(13)]
        name = data[at + 110 : at + 110 + f[11] - 1].decode()
        assert data[at + 110 + f[11] - 1] == 0
        at += 110 + f[11]
        at += -at % 4
        content = data[at : at + f[6]]
        assert len(content) == f[6]
        at += f[6]
        at += -at % 4
        if name == "TRAILER!!!":
            assert at == len(data)
            return entries
        entries[name] = (f[1], (f[2], f[3]), (f[9], f[10]), content)


@given(st.dictionaries(st.from_regex(r"[a-zé]{1,9}", fullmatch=True), st.binary(max_size=9)))
def test_files_come_back_as_they_were(files: dict[str, bytes]) -> None:
    out = io.BytesIO()
    with Initramfs(out) as archive:
        for name, content in files.items():
            archive.file(name, content, 0o755)
    there = read(out.getvalue())
    assert {n: e[3] for n, e in there.items()} == files
    assert all(e[0] == stat.S_IFREG | 0o755 for e in there.values())


def tarball(path: Path) -> None:
    with tarfile.open(path, "w") as tar:

        def add(name: str, kind: bytes, content: bytes = b"", **more: int | str) -> None:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.mode = kind, len(content), 0o755
            for key, value in more.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(content))

        add("./", tarfile.DIRTYPE)
        add("./bin", tarfile.DIRTYPE)
        add("./bin/perl", tarfile.REGTYPE, b"binary", uid=1, gid=2)
        add("./bin/perl5", tarfile.LNKTYPE, linkname="./bin/perl")
        add("./bin/sh", tarfile.SYMTYPE, linkname="dash")
        add("./dev/null", tarfile.CHRTYPE, devmajor=1, devminor=3)
        add("./doc/long", tarfile.REGTYPE, b"words")


def test_a_tarball_with_every_kind_of_entry(tmp_path: Path) -> None:
    tarball(tmp_path / "root.tar")
    out = io.BytesIO()
    with Initramfs(out) as archive:
        archive.tarball(tmp_path / "root.tar", without=["doc/*"])
    assert read(out.getvalue()) == {
        "bin": (stat.S_IFDIR | 0o755, (0, 0), (0, 0), b""),
        "bin/perl": (stat.S_IFREG | 0o755, (1, 2), (0, 0), b"binary"),
        # The second name of a hard link has its content, where bsdtar's is empty.
        "bin/perl5": (stat.S_IFREG | 0o755, (0, 0), (0, 0), b"binary"),
        "bin/sh": (stat.S_IFLNK | 0o755, (0, 0), (0, 0), b"dash"),
        "dev/null": (stat.S_IFCHR | 0o755, (0, 0), (1, 3), b""),
    }


def test_a_tarball_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "root.tar").write_bytes(b"not a tarball" * 100)
    with pytest.raises(tarfile.TarError), Initramfs(io.BytesIO()) as archive:
        archive.tarball(tmp_path / "root.tar")


def test_an_archive_that_failed_has_no_end() -> None:
    out = io.BytesIO()
    with pytest.raises(ValueError, match="stop"), Initramfs(out) as archive:
        archive.file("a", b"")
        raise ValueError("stop")
    assert b"TRAILER" not in out.getvalue()
