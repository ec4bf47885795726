# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The libraries of a release that its programs need, found in the root of its guest.

That root is a tarball which smoke/guest_image.py made of the release's signed packages. It is read,
and nothing of it runs.
"""

from __future__ import annotations

import posixpath
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import FetchError
from pipeline.files import bounded
from pipeline.files.elf import Broken, Elf
from pipeline.vm.guest_root import INFO, MERGED

LARGEST = 64 << 20
"""Bytes of a program or a library; the C library has 2 MB."""
LINKS = 8
"""Symbolic links that lead from one to the next."""
ALSO = ("libnss_files.so.2",)
"""What the C library loads by itself, before 2.34: it reads /etc/group and the like."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


@dataclass(frozen=True, kw_only=True)
class Library:
    """A file that the loader looks for by its name."""

    name: str
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Found:
    """What some programs need."""

    loader: str
    """The name of the library that starts them (ld.so)."""
    libraries: tuple[Library, ...]
    copyrights: tuple[Library, ...]
    """The licences of the packages that they are from, by the name of the package."""


def find(programs: Iterable[Path], plugins: Iterable[Path], tar: Path, multiarch: str) -> Found:
    """Return what ``programs`` need, and ``plugins``, which may lack something.

    ``multiarch`` is the directory of the architecture's libraries in /usr/lib. Raises FetchError
    if a program is no ELF file with a loader, or needs what the root does not have.
    """
    try:
        with tarfile.open(tar, "r:") as opened:
            root = _Root(opened, multiarch)
            loaders = {root.add_program(path) for path in programs}
            for path in plugins:
                root.add_plugin(path)
            if len(loaders) != 1:
                raise FetchError("the programs of this package do not have one loader in common")
            for name in ALSO:
                root.add_if_there(name)
            return Found(
                loader=loaders.pop(),
                libraries=tuple(root.libraries()),
                copyrights=tuple(root.copyrights()),
            )
    except (OSError, tarfile.TarError, Broken) as e:
        raise FetchError(
            "respin could not find the libraries that this package needs",
            details=f"{type(e).__name__}: {e}",
        ) from e


class _Root:
    """A root, and what has been found in it."""

    def __init__(self, tar: tarfile.TarFile, multiarch: str) -> None:
        self._tar = tar
        self._members = {m.name.removeprefix("./"): m for m in tar}
        self._where = (f"usr/lib/{multiarch}", "usr/lib", "usr/lib64", "usr/libx32")
        self._found: dict[str, tuple[str, bytes]] = {}
        """Name -> the path of the file itself, and its content."""

    def add_program(self, path: Path) -> str:
        """Add what a program needs; return the name of its loader."""
        elf = Elf(bounded.read(path, LARGEST, follow=False))
        loader = posixpath.basename(elf.interpreter)
        if not loader or not self._add(loader) or not self._add_all(elf.needed):
            missing = [name for name in (loader, *elf.needed) if name not in self._found]
            raise FetchError(
                f"{path.name} needs {', '.join(missing) or 'no loader'}, which the packages of the "
                "guest do not have",
                hint="please report this release as a bug",
            )
        return loader

    def add_plugin(self, path: Path) -> None:
        """Add what a plugin needs, if all of it is there: it may be of a package only suggested."""
        before = dict(self._found)
        if not self._add_all(Elf(bounded.read(path, LARGEST, follow=False)).needed):
            self._found = before

    def add_if_there(self, name: str) -> None:
        """Add a library that older releases need."""
        self._add(name)

    def _add_all(self, names: Iterable[str]) -> bool:
        return all([self._add(name) for name in names])

    def _add(self, name: str) -> bool:
        """Add a library and what it needs; return whether all of it is there."""
        if name in self._found:
            return True
        if not _NAME.fullmatch(name):
            raise Broken(f"{name[:80]!r} is not the name of a library")
        paths = (self._resolved(f"{directory}/{name}") for directory in self._where)
        path = next(filter(None, paths), None)
        if path is None:
            return False
        member = self._members[path]
        stream = self._tar.extractfile(member) if member.size <= LARGEST else None
        if stream is None:
            raise Broken(f"{name} is larger than any library")
        data = stream.read()
        self._found[name] = (path, data)
        return self._add_all(Elf(data).needed)

    def _resolved(self, path: str) -> str | None:
        """Return the regular file that a path leads to, or None."""
        for _ in range(LINKS):
            top = path.partition("/")[0]
            path = f"usr/{path}" if top in MERGED else path
            member = self._members.get(path)
            if member is None or member.isreg():
                return path if member else None
            if not (member.issym() or member.islnk()):
                return None
            beside = "" if member.islnk() else posixpath.dirname(path)
            target = posixpath.normpath(posixpath.join("/", beside, member.linkname))
            path = target.lstrip("/")
        return None

    def libraries(self) -> Iterator[Library]:
        """Yield all libraries that were found."""
        for name, (_, data) in sorted(self._found.items()):
            yield Library(name=name, data=data)

    def copyrights(self) -> Iterator[Library]:
        """Yield the licences of the packages that the libraries are from."""
        files = {f"/{path}" for path, _ in self._found.values()}
        files |= {path.removeprefix("/usr") for path in files}  # as packages list them
        for name in sorted(self._members):
            if not (name.startswith(f"{INFO}/") and name.endswith(".list")):
                continue
            stream = self._tar.extractfile(self._members[name])
            listed = stream.read().decode("utf-8", "replace").split("\n") if stream else []
            package = posixpath.basename(name).removesuffix(".list").partition(":")[0]
            path = self._resolved(f"usr/share/doc/{package}/copyright")
            licence = self._tar.extractfile(self._members[path]) if path else None
            if licence and not files.isdisjoint(listed) and _NAME.fullmatch(package):
                yield Library(name=package, data=licence.read(LARGEST))
