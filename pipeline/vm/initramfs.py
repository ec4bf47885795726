# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Initial RAM file systems: archives in cpio's "newc" form, as Linux unpacks them at boot.

This module writes them itself, because no common program turns a tarball into one without
unpacking it: GNU cpio needs files (whose owners and device nodes an ordinary user cannot
make), and ``bsdtar --format=newc @root.tar`` leaves the second name of a hard link empty
(measured with libarchive 3.6.2: /usr/bin/perl5.36.0 had no bytes and no type).

Documentation/driver-api/early-userspace/buffer-format.rst in Linux describes the format. Linux
accepts several archives one after the other; a later file replaces an earlier one.
"""

from __future__ import annotations

import fnmatch
import stat
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

_TYPES = {
    tarfile.REGTYPE: stat.S_IFREG,
    tarfile.AREGTYPE: stat.S_IFREG,
    tarfile.LNKTYPE: stat.S_IFREG,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
}


class Initramfs:
    """Writes one archive to a binary stream; a context manager, which writes the trailer."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._ino = 0

    def __enter__(self) -> Initramfs:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None:
            self._entry("TRAILER!!!", 0, b"")

    def _entry(
        self,
        name: str,
        mode: int,
        data: bytes,
        *,
        owner: tuple[int, int] = (0, 0),
        device: tuple[int, int] = (0, 0),
        mtime: int = 0,
    ) -> None:
        self._ino += 1
        raw = name.encode("utf-8", "surrogateescape") + b"\0"
        fields = (self._ino, mode, *owner, 1, mtime, len(data), 0, 0, *device, len(raw), 0)
        header = b"070701" + "".join(f"{f:08x}" for f in fields).encode() + raw
        # The name and the data are each padded to four bytes, counted from the header.
        self._out.write(header + b"\0" * (-len(header) % 4))
        self._out.write(data)
        self._out.write(b"\0" * (-len(data) % 4))

    def directory(self, name: str, mode: int = 0o755) -> None:
        """Add a directory; its name has no leading slash."""
        self._entry(name, stat.S_IFDIR | mode, b"")

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """Add a file with this content; its directory must have been added before."""
        self._entry(name, stat.S_IFREG | mode, data)

    def node(self, name: str, major: int, minor: int, mode: int = 0o600) -> None:
        """Add a character device."""
        self._entry(name, stat.S_IFCHR | mode, b"", device=(major, minor))

    def tarball(self, path: Path, *, without: Sequence[str] = ()) -> None:
        """Add a whole tarball with its owners, modes and device nodes.

        ``without`` are shell patterns of names (no leading slash) to leave out. A hard link
        becomes a separate file. Raises OSError or tarfile.TarError.
        """
        with tarfile.open(path) as tar:
            for member in tar.getmembers():
                name = member.name.removeprefix("./").strip("/")
                kind = _TYPES.get(member.type)
                if name in ("", ".") or kind is None or _matches(name, without):
                    continue
                if kind == stat.S_IFLNK:
                    data = member.linkname.encode("utf-8", "surrogateescape")
                elif kind == stat.S_IFREG:
                    stream = tar.extractfile(member)
                    data = stream.read() if stream else b""
                else:
                    data = b""
                self._entry(
                    name,
                    kind | stat.S_IMODE(member.mode),
                    data,
                    owner=(member.uid, member.gid),
                    device=(member.devmajor, member.devminor),
                    mtime=max(0, int(member.mtime)),
                )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
