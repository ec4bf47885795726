# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare a package of ours with the distro's: the patch changes programs, and nothing else.

So ours has no file, maintainer script, dependency or other control field that the distro's does not
have. This says nothing about what the programs do.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from debian.deb822 import Deb822, PkgRelation

from pipeline.archives import deb_file
from pipeline.errors import BuildError
from pipeline.files import bounded
from pipeline.host.cache import file_sha256

MEMBER = re.compile(r" +\d+ bytes, +\d+ lines +(?:\* +)?(\S+)(?: .*)?")
"""A file of the control archive, as dpkg-deb --info lists it."""
OWN = ("version", "installed-size", "source")
"""Fields in which the two differ. Source has a version after a binNMU of the distro."""
DEPENDS = ("depends", "pre-depends")
DEBUG = "-dbgsym"
DEBUG_PLACE, DOC = "./usr/lib/debug/", "./usr/share/doc/"
ABOVE = ("./", "./usr/", "./usr/lib/", "./usr/share/", DOC)
DIRECTORY, FILE = "drwxr-xr-x root/root ", "-rw-r--r-- root/root "
DEBUG_FIELDS = frozenset(
    {
        *("package", "source", "version", "auto-built-package", "architecture", "maintainer"),
        *("installed-size", "depends", "section", "priority", "build-ids", "description"),
        *("multi-arch", "homepage", "original-maintainer"),
    }
)
SAME = frozenset({"DEBIAN/control", "DEBIAN/md5sums"})
"""What differs in any case; the first is compared field by field."""
SHOWN = 10
ELF = b"\x7fELF"


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a package has."""

    members: frozenset[str]
    """The files of its control archive."""
    fields: Mapping[str, str]
    """Its control fields, by their names in lower case."""
    files: Mapping[str, str]
    """Its files: path -> mode, owner, and where a link leads."""


def hold(ours: Path, distros: Path, libraries: Collection[str] = ()) -> None:
    """Check a package of ours against the distro's of the same name.

    ``libraries`` are the beginnings of names that ours may depend on besides. Raises BuildError.
    """
    mine, theirs = read(ours), read(distros)
    found = [*_control(mine, theirs, libraries), *_files(mine, theirs)]
    if not found:
        found = list(_contents(ours, distros))
    if found:
        more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        raise BuildError(
            f"{ours.name} is not like the distro's {distros.name}: {found[0]}",
            details="\n".join([*found[:SHOWN], *more]),
            hint="the patch changes programs and nothing else: look at who built it, and with what",
        )


def hold_debug(ours: Path) -> None:
    """Check a package of debug symbols, which the distro keeps elsewhere.

    It has nothing but files that nobody runs, in one place, and the link that debhelper makes in
    the place of its documentation. Raises BuildError.
    """
    mine = read(ours)
    of = mine.fields.get("package", "").removesuffix(DEBUG)
    strange = [
        f"{path} as {what}"
        for path, what in mine.files.items()
        if not _is_debug(path, what, of, mine.fields.get("package", ""))
    ]
    strange += sorted(mine.members - {"control", "md5sums"})
    strange += sorted(f"{name.title()}:" for name in mine.fields.keys() - DEBUG_FIELDS)
    depends = f"{of} (= {mine.fields.get('version')})"
    if mine.fields.get("depends", depends) != depends:
        strange.append(f"Depends: {mine.fields['depends']}")
    if strange:
        raise BuildError(
            f"{ours.name} has more than debug symbols: {strange[0][:200]}",
            hint="look at who built it, and with what",
        )


def _is_debug(path: str, what: str, of: str, name: str) -> bool:
    """Tell whether a file of a package of debug symbols is one that debhelper puts there."""
    if path == f"{DOC}{name}":
        return what == f"lrwxrwxrwx root/root  -> {of}"
    parts = path.removesuffix("/").split("/")
    if ".." in parts or "" in parts or "." in parts[1:]:
        return False
    if what == DIRECTORY:
        return path in ABOVE or path.startswith(DEBUG_PLACE)
    return what == FILE and path.startswith(DEBUG_PLACE)


def read(deb: Path) -> Content:
    """Return what a package has. Raises BuildError if it is not one."""
    lines = deb_file.information(deb, error=BuildError).splitlines()
    members = [found[1] for line in lines if (found := MEMBER.fullmatch(line.rstrip()))]
    fields = [line[1:] for line in lines if not MEMBER.fullmatch(line.rstrip())][2:]
    listed = list(map(_file, deb_file.contents(deb, error=BuildError).splitlines()))
    if len(dict(listed)) != len(listed):  # dpkg unpacks both, one after the other
        raise BuildError(f"{deb.name} has two files of one name")
    return Content(
        members=frozenset(members),
        fields={k.lower(): str(v) for k, v in Deb822(fields).items()},
        files=dict(listed),
    )


def _file(line: str) -> tuple[str, str]:
    mode, owner, _size, _date, _time, path = line.split(maxsplit=5)
    path, arrow, leads = path.partition(" -> " if mode.startswith("l") else " link to ")
    return path, f"{mode} {owner} {arrow}{leads}"


def _control(mine: Content, theirs: Content, libraries: Collection[str]) -> Iterator[str]:
    for name in sorted(mine.members - theirs.members):
        yield f"the file {name[:100]} in its control archive"
    for name in sorted(mine.fields.keys() | theirs.fields.keys()):
        ours, distros = mine.fields.get(name, ""), theirs.fields.get(name, "")
        if name in DEPENDS:
            more = _names(ours) - _names(distros)
            for each in sorted(more):
                if not any(re.fullmatch(f"{re.escape(lib)}[0-9]*", each) for lib in libraries):
                    yield f"{name.title()}: {each[:100]}"
        elif name not in OWN and ours != distros:
            yield f"{name.title()}: {ours[:100] or 'nothing'}"


def _contents(ours: Path, distros: Path) -> Iterator[str]:
    """Yield what has another content, and is no program that was compiled.

    A changelog has our entry; other compressed files are documentation.
    """
    with tempfile.TemporaryDirectory(prefix="respin-compare-") as tmp:
        for name, deb in (("ours", ours), ("distros", distros)):
            deb_file.extract([deb], Path(tmp) / name, error=BuildError, log=None, control=True)
        for path in sorted(p for p in (Path(tmp) / "ours").rglob("*") if p.is_file()):
            name = str(path.relative_to(Path(tmp) / "ours"))
            other = Path(tmp) / "distros" / name
            if path.is_symlink() or name in SAME or name.endswith(".gz") or _compiled(path, other):
                continue
            if not other.is_file() or file_sha256(path) != file_sha256(other):
                yield f"{name[:200]} has another content"


def _compiled(*each: Path) -> bool:
    """Tell whether files are compiled programs or libraries."""
    for path in each:
        if not path.is_file():
            return False
        with bounded.open_regular(path, follow=False) as file:
            if file.read(len(ELF)) != ELF:
                return False
    return True


def _names(field: str) -> set[str]:
    """Return the packages that a relation field names."""
    return {one["name"] for each in PkgRelation.parse_relations(field) for one in each}


def _files(mine: Content, theirs: Content) -> Iterator[str]:
    for path, what in mine.files.items():
        if path not in theirs.files:
            yield f"the file {path[:200]}"
        elif theirs.files[path] != what:
            yield f"{path[:200]} as {what[:200]} (the distro's: {theirs.files[path][:200]})"
