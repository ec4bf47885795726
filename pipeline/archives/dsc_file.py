# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Source control files (.dsc): what they name, and whether the files beside them match."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from debian import deb822

from pipeline.errors import FetchError
from pipeline.files import bounded
from pipeline.host.cache import file_sha256

LIMIT = 1 << 20
"""Bytes; no .dsc is longer (iproute2's has 2 KiB)."""

MOST_FILES = 64
"""Files of one source package; those with many tarballs have a dozen."""

LARGEST = 1 << 30
"""Bytes of one file of a source package; iproute2's has 1 MiB."""

# A name is at most what a file system takes; a version is part of such a name.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.~_%:-]{0,254}")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,99}")
# This is narrower than dpkg, which takes more than one colon: no distro has such a version, and
# it would be part of file names. A program would take a dash at its beginning for an option.
_VERSION = re.compile(r"(?:[0-9]{1,9}:)?[0-9][A-Za-z0-9.+~-]{0,119}(?<!-)")
# A line of Package-List (dsc(5)); with python-debian it is a field of another kind in each release.
_INDEPENDENT = re.compile(
    r"^ ([a-z0-9][a-z0-9+.-]{1,99}) deb \S+ \S+ (?:\S+ )*arch=all(?: .*)?$", re.MULTILINE
)
_SIZE = re.compile(r"[0-9]{1,10}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A file as an index or a .dsc lists it."""

    name: str
    size: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Dsc:
    """The fields of a .dsc that the pipeline relies on."""

    name: str
    version: str
    format: str
    files: tuple[Listed, ...]
    build_depends: tuple[str, ...]
    """Build-Depends and -Arch, as written."""
    build_depends_indep: tuple[str, ...]
    build_conflicts: tuple[str, ...]
    """Build-Conflicts, -Arch and -Indep, as written."""
    independent: tuple[str, ...]
    """The binary packages that are the same for every architecture, by its Package-List."""


def package_name(text: str) -> bool:
    """Tell whether this is a package name (Debian policy 5.6.1)."""
    return _PACKAGE.fullmatch(text) is not None


def file_name(text: str) -> bool:
    """Tell whether this is a plain file name, such as a .dsc may give."""
    return _NAME.fullmatch(text) is not None


def version_text(text: str) -> bool:
    """Tell whether this is a version (Debian policy 5.6.12): [EPOCH:]UPSTREAM[-REVISION]."""
    return _VERSION.fullmatch(text) is not None


def listed(entries: object, where: str) -> tuple[Listed, ...]:
    """Read a Checksums-Sha256 field as python-debian parses it; raise FetchError if it is unsound.

    A name must be a plain file name: what apt or dpkg-source writes must stay in its directory.
    """
    found = []
    given = entries if isinstance(entries, list) else []
    if len(given) > MOST_FILES:
        raise FetchError(
            f"{where} lists {len(given)} files; respin accepts at most {MOST_FILES}",
            hint="do not use this source",
        )
    for entry in given:
        name, size, sha = (str(entry.get(k, "")) for k in ("name", "size", "sha256"))
        if len(name) > 255:
            raise FetchError(
                f"{where} lists a file with a name of {len(name)} characters: {name[:40]!r}…",
                hint="do not use this source: no distro makes such a name",
            )
        if not _NAME.fullmatch(name):
            raise FetchError(
                f"{where} lists a file outside its directory: {name!r}",
                hint="do not use this source: no distro makes such a name",
            )
        if not _SIZE.fullmatch(size) or not _SHA256.fullmatch(sha):
            raise FetchError(
                f"the entry of {name} in the Checksums-Sha256 field of {where} is malformed"
            )
        if int(size) > LARGEST:
            raise FetchError(
                f"{where} lists {name} with {size} bytes; respin accepts at most {LARGEST}",
                hint="do not use this source",
            )
        found.append(Listed(name=name, size=int(size), sha256=sha))
    if not found or len({f.name for f in found}) != len(found):
        raise FetchError(
            f"{where} has no valid Checksums-Sha256 field",
            hint="use another source package: one without SHA-256 sums cannot be verified",
        )
    return tuple(found)


def parse(data: bytes, where: str) -> Dsc:
    """Read a .dsc, signed or not; ``where`` names it in errors. Raises FetchError."""
    if len(data) > LIMIT:
        raise FetchError(f"{where} is not a .dsc: it is longer than {LIMIT} bytes")
    try:
        fields = deb822.Dsc(data.decode("utf-8"))
        sums = fields.get("Checksums-Sha256")
    except (ValueError, KeyError, EOFError, TypeError) as e:
        raise FetchError(f"{where} is not a .dsc", details=str(e)) from e
    name, version = str(fields.get("Source", "")), str(fields.get("Version", ""))
    if not package_name(name) or not version_text(version):
        raise FetchError(f"{where} is not a .dsc: it has no valid Source and Version")
    sound = listed(sums, where)
    weak = fields.get("Files")
    if isinstance(weak, list) and {str(e.get("name")) for e in weak} != {f.name for f in sound}:
        raise FetchError(f"the fields Files and Checksums-Sha256 of {where} list different files")
    return Dsc(
        name=name,
        version=version,
        format=str(fields.get("Format", "1.0")),
        files=sound,
        build_depends=_values(fields, "Build-Depends", "", "-Arch"),
        build_depends_indep=_values(fields, "Build-Depends", "-Indep"),
        build_conflicts=_values(fields, "Build-Conflicts", "", "-Arch", "-Indep"),
        independent=tuple(_INDEPENDENT.findall(data.decode("utf-8"))),
    )


def read(path: Path) -> Dsc:
    """Read the .dsc in a file. Raises FetchError."""
    return parse(load(path), str(path))


def load(path: Path) -> bytes:
    """Return the bytes of a .dsc. Raises FetchError if it cannot be one."""
    try:
        return bounded.read(path, LIMIT)
    except OSError as e:
        raise FetchError(
            f"{path} cannot be read: {e.strerror}", hint="give the path of a .dsc file"
        ) from e


def _values(fields: deb822.Deb822, name: str, *ends: str) -> tuple[str, ...]:
    """Return those forms of a field that end in ``ends``, each on one line."""
    values = (str(fields.get(name + end, "")) for end in ends)
    return tuple(" ".join(v.split()).strip(", ") for v in values if v.strip())


def described(path: Path) -> Listed:
    """Return a file's name, size and SHA-256."""
    return Listed(name=path.name, size=path.stat().st_size, sha256=file_sha256(path))


def take(path: Path, dest: Path, want: Listed, where: str) -> None:
    """Copy a file that ``where`` lists to ``dest``, and check the copy. Raises FetchError."""
    try:
        same = path.is_file() and path.stat().st_size == want.size
        if same:
            bounded.copy(path, dest, want.size)
    except OSError as e:
        raise FetchError(f"{path} cannot be copied: {e.strerror}") from e
    check_file(dest if same else path, want, where)


def check_file(path: Path, want: Listed, where: str) -> None:
    """Check a file's size and SHA-256 against what ``where`` lists; raise FetchError."""
    hint = (
        "fetch it again; if that does not help, the mirror is broken or something changes the "
        "file in transit"
    )
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise FetchError(f"{path} is not a file")
        found = file_sha256(path) if size == want.size else ""
    except FileNotFoundError:
        raise FetchError(f"{want.name} is missing, although {where} lists it", hint=hint) from None
    except OSError as e:
        raise FetchError(f"{path} cannot be read: {e.strerror}") from e
    if size != want.size:
        raise FetchError(f"{want.name} has {size} bytes, but {where} lists {want.size}", hint=hint)
    if found != want.sha256:
        raise FetchError(
            f"{want.name} is not the file that {where} lists: its SHA-256 differs",
            details=f"listed: {want.sha256}\nfound:  {found}",
            hint=hint,
        )
