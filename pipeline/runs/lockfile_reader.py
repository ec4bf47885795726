# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading respin.lock, which may have been edited by hand: what is not as it must be is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.archives import dsc_file
from pipeline.errors import FetchError, UsageError
from pipeline.files import bounded
from pipeline.model import GuestPackages, Package
from pipeline.releases.releases import Pocket
from pipeline.runs.lockfile import KINDS, NAME, SCHEMA, Lock

LIMIT = 4 << 20
"""Bytes."""
MOST = 5000
"""Packages in a root."""
_SHORT = 1000
_TIME = re.compile(r"20\d{2}(0[1-9]|1[0-2])([0-2]\d|3[01])T([01]\d|2[0-3])([0-5]\d){2}Z")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def read(path: Path) -> Lock:
    """Read a lock. Raises UsageError, naming what is not as it must be."""
    try:
        value = bounded.from_json(path, LIMIT)
    except OSError as e:
        raise UsageError(
            f"{path} cannot be read: {e.strerror}", hint=f"give the {NAME} of a run's directory"
        ) from e
    except ValueError as e:
        raise UsageError(f"{path} is no lock: not JSON", details=str(e)[:400]) from e
    return _Reader(path).lock(value)


TOP = (
    *("schema", "tool", "time", "release", "pockets", "source", "fixes", "number"),
    *("root", "guest", "control"),
)
"""The keys of a lock."""


class _Reader:
    """Reads the parts of a lock; each error names the place."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _wrong(self, where: str, what: str) -> UsageError:
        return UsageError(
            f"{self._path} is not a lock that respin wrote: {where}: {what}",
            hint="take the one of the run's directory, unchanged, or run without --locked",
        )

    def _table(self, value: object, where: str, keys: Sequence[str]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(where, "not an object")
        odd = sorted(set(value) ^ set(keys))
        if odd:
            what = "is missing" if odd[0] in keys else "is not known"
            raise self._wrong(where, f"{odd[0][:80]!r} {what}")
        return value

    def _list(self, value: object, where: str, most: int) -> list[Any]:
        if not isinstance(value, list) or len(value) > most:
            raise self._wrong(where, f"not a list of at most {most}")
        return value

    def _text(self, value: object, where: str) -> str:
        if not isinstance(value, str) or len(value) > _SHORT or not value.isprintable():
            raise self._wrong(where, f"not a text of at most {_SHORT} characters")
        return value

    def lock(self, value: object) -> Lock:
        """Read the whole."""
        if not isinstance(value, dict) or value.get("tool") != "iproute2-respin":
            raise self._wrong("tool", "not iproute2-respin")
        schema = value.get("schema")
        if not isinstance(schema, int) or isinstance(schema, bool):
            raise self._wrong("schema", "not a number")
        if schema != SCHEMA:
            raise UsageError(
                f"{self._path} is a lock of schema {schema}; this respin reads schema {SCHEMA}",
                hint="repeat the run with the version of respin that wrote it",
            )
        top = self._table(value, "top", TOP)
        release = self._table(top["release"], "release", ("distro", "codename"))
        keys = ("name", "version", "kind", "origin", "files")
        source = self._table(top["source"], "source", keys)
        name = self._text(source["name"], "source.name")
        version = self._text(source["version"], "source.version")
        if not dsc_file.package_name(name) or not dsc_file.version_text(version):
            raise self._wrong("source", "its name and version are not those of a package")
        if source["kind"] not in KINDS:
            raise self._wrong("source.kind", f"not one of {', '.join(KINDS)}")
        number, time = top["number"], self._text(top["time"], "time")
        if not _TIME.fullmatch(time):
            raise self._wrong("time", "not a time such as 20261122T105600Z")
        if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < 1000:
            raise self._wrong("number", "not a number from 1 to 999")
        return Lock(
            distro=self._text(release["distro"], "release.distro"),
            codename=self._text(release["codename"], "release.codename"),
            name=name,
            version=version,
            kind=source["kind"],
            origin=self._text(source["origin"], "source.origin"),
            files=self._files(source["files"]),
            fixes=tuple(self._text(f, "fixes") for f in self._list(top["fixes"], "fixes", 100)),
            number=number,
            time=time,
            pockets=tuple(
                self._pocket(p) for p in self._list(top["pockets"], "pockets", len(Pocket))
            ),
            root=self._packages(top["root"], "root"),
            guest=self._guest(top["guest"]),
            control=None if top["control"] is None else self._package(top["control"], "control"),
            path=self._path,
        )

    def _pocket(self, value: object) -> Pocket:
        if not isinstance(value, str) or value not in list(Pocket):
            raise self._wrong("pockets", f"not of {', '.join(Pocket)}")
        return Pocket(value)

    def _guest(self, value: object) -> GuestPackages | None:
        if value is None:
            return None
        table = self._table(value, "guest", ("root", "kernel"))
        root, kernel = (self._packages(table[k], f"guest.{k}") for k in ("root", "kernel"))
        if not root or not kernel:
            raise self._wrong("guest", "no packages")
        return GuestPackages(root=root, kernel=kernel)

    def _packages(self, value: object, where: str) -> tuple[Package, ...]:
        given = self._list(value, where, MOST)
        return tuple(self._package(p, f"{where}[{n}]") for n, p in enumerate(given))

    def _files(self, value: object) -> tuple[dsc_file.Listed, ...]:
        given = self._list(value, "source.files", dsc_file.MOST_FILES)
        for number, each in enumerate(given):
            where = f"source.files[{number}]"
            table = self._table(each, where, ("name", "size", "sha256"))
            if not isinstance(table["size"], int) or isinstance(table["size"], bool):
                raise self._wrong(where, "its size is not a number")
        try:
            files = dsc_file.listed(given, f"{self._path}")
        except FetchError as e:
            raise self._wrong("source.files", e.brief) from e
        if not files[0].name.endswith(".dsc"):
            raise self._wrong("source.files", "the first is not a .dsc")
        return files

    def _package(self, value: object, where: str) -> Package:
        keys = ("name", "version", "architecture", "sha256")
        table = self._table(value, where, keys)
        name, version, architecture, sha256 = (self._text(table[key], where) for key in keys)
        sound = dsc_file.package_name(name) and dsc_file.version_text(version)
        if not sound or not dsc_file.package_name(architecture) or not _SHA256.fullmatch(sha256):
            raise self._wrong(where, "not a package with version, architecture and SHA-256")
        return Package(name=name, version=version, architecture=architecture, sha256=sha256)
