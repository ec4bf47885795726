# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's root: a release's packages, unpacked and recorded as installed for the guest's dpkg.

No program of a package runs on this machine, not even a maintainer script, whatever the guest's
architecture is. Of what those scripts would do, the guest needs what COPIES and LINKS say.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from debian.deb822 import Deb822

from pipeline.errors import SmokeImpossible
from pipeline.files import bounded
from pipeline.host.resources import package_data
from pipeline.isolation import lent, sandbox

FORMAT = "2"
"""Part of every key: raise it when roots are made in another way."""

LARGEST = 256 << 20
"""Bytes of a package; the largest of a guest's has 3 MiB."""
SECONDS = 300.0

MERGED = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
"""Directories of which the root has one in /usr, and a link: as every release since Debian 10."""

INFO = "var/lib/dpkg/info"

COPIES = {
    "etc/passwd": "usr/share/base-passwd/passwd.master",
    "etc/group": "usr/share/base-passwd/group.master",
}
LINKS = {"usr/bin/awk": "mawk", "usr/bin/sh": "dash"}
"""What base-passwd, mawk and dash do when they are configured, unless a package has the file."""


def write(debs: Sequence[Path], out: Path, *, work: Path, log: Path | None) -> None:
    """Write the tarball of a root with these packages to ``out``; ``work`` is a scratch directory.

    dpkg finds them there as installed and configured. Raises SmokeImpossible if one cannot be read.
    """
    with lent.lent(work, "debs-") as directory, tarfile.open(out, "w") as tar:
        try:
            for number, deb in enumerate(debs):
                bounded.copy(deb, directory / f"{number}.deb", LARGEST)
            sandbox.run(
                ["sh", "-eu", "-s"],
                directory=directory,
                stdin=package_data(__package__, "unpack-debs.sh"),
                timeout=SECONDS,
                log=log,
                error=SmokeImpossible,
                brief="dpkg-deb could not read the packages of the guest's root",
            )
            root = _Root(tar)
            for number in range(len(debs)):
                root.add(directory / f"{number}.control", directory / f"{number}.files")
            root.finish()
        except (OSError, tarfile.TarError, KeyError, ValueError) as e:
            raise SmokeImpossible(
                "respin could not unpack the packages of the guest's root",
                details=f"{type(e).__name__}: {e}",
            ) from e


class _Root:
    """A root that is being written."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._seen: set[str] = set()
        self._copied: dict[str, bytes] = {}
        self._status: list[str] = []

    def add(self, control: Path, files: Path) -> None:
        """Add a package: its files, and what dpkg notes when it installs it."""
        told = _files(control)
        text = told.pop("control").decode()
        fields = Deb822(text)
        sums: dict[str, str] = {}
        listed = ["/."]
        for member, data in _members(files):
            name = member.name.removeprefix("./").strip("/")
            if name in ("", "."):
                continue
            listed.append(f"/{name}")
            if data is not None:
                sums[f"/{name}"] = hashlib.md5(data, usedforsecurity=False).hexdigest()
            if member.issym() and name in MERGED:
                continue
            member.name = _merged(name)
            if member.islnk():
                member.linkname = _merged(member.linkname.removeprefix("./"))
            self._put(member, data)
        stanza = f"{text.strip()}\nStatus: install ok installed\n"
        own = [path for path in told.get("conffiles", b"").decode().split("\n") if path in sums]
        if own:
            stanza += "Conffiles:\n" + "".join(f" {path} {sums[path]}\n" for path in own)
        self._status.append(stanza)
        shared = fields.get("Multi-Arch") == "same"
        name = f"{fields['Package']}:{fields['Architecture']}" if shared else fields["Package"]
        lines = "".join(f"{path}\n" for path in listed)
        self._file(f"{INFO}/{name}.list", lines.encode("utf-8", "surrogateescape"))
        for each, content in told.items():
            self._file(f"{INFO}/{name}.{each}", content, 0o755)

    def finish(self) -> None:
        """Add what belongs to no package."""
        self._file("var/lib/dpkg/status", "\n".join(self._status).encode())
        self._file(f"{INFO}/format", b"1\n")
        for name, source in COPIES.items():
            if source in self._copied:
                self._file(name, self._copied[source])
        for top in sorted({name.split("/")[1] for name in self._seen if name[:4] == "usr/"}):
            if top in MERGED:
                self._link(top, f"usr/{top}")
        for name, target in LINKS.items():
            if f"usr/bin/{target}" in self._seen:
                self._link(name, target)

    def _put(self, member: tarfile.TarInfo, data: bytes | None) -> None:
        """Add a file unless the root has it; a directory may be in many packages."""
        if member.name in self._seen:
            return
        # A package may have /bin before /usr. Linux does not make the directories above a file.
        above = member.name.rpartition("/")[0]
        if above and above not in self._seen:
            parent = tarfile.TarInfo(above)
            parent.type, parent.mode = tarfile.DIRTYPE, 0o755
            self._put(parent, None)
        self._seen.add(member.name)
        if member.name in COPIES.values() and data is not None:
            self._copied[member.name] = data
        self._tar.addfile(member, io.BytesIO(data) if data is not None else None)

    def _file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(data), mode
        self._put(member, data)

    def _link(self, name: str, target: str) -> None:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = tarfile.SYMTYPE, target
        self._put(member, None)


def _merged(name: str) -> str:
    """Return where the root has a package's file."""
    return f"usr/{name}" if name.partition("/")[0] in MERGED else name


def _files(control: Path) -> dict[str, bytes]:
    """Return the files of a package's control archive, without its directory."""
    return {m.name.removeprefix("./"): data for m, data in _members(control) if data is not None}


def _members(archive: Path) -> Iterator[tuple[tarfile.TarInfo, bytes | None]]:
    """Yield the members of a plain tar archive, each with its content if it is a regular file.

    A package may come from anybody who can sign an index. Raises ValueError for a size that cannot
    be true: for one below 0, Debian 12's tarfile would go back and Debian 13's stop there, and a
    sparse file would fill up the memory. Also raises it where something follows that is no header,
    at which tarfile stops as at the end.
    """
    most, last = archive.stat().st_size, -1
    with tarfile.open(archive, "r:") as tar:
        for member in tar:
            if not 0 <= member.size <= most or member.offset <= last or member.issparse():
                raise ValueError(f"{member.name[:80]!r} has a size that is not in the archive")
            last = member.offset
            stream = tar.extractfile(member) if member.isreg() else None
            yield member, stream.read() if stream else None
        end = tar.offset
    with archive.open("rb") as file:
        file.seek(end)
        if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise ValueError(f"byte {end} begins neither a file nor the end of the archive")
