"""respin.lock: exactly what a run was made of, so that it can be made again.

templates/lock.schema.json defines the form. A lock may have been edited by hand, so it is
read as anything else from outside: what is not as it must be is named and refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.archives import control
from pipeline.archives.apt import AptArchive
from pipeline.errors import FetchError, UsageError
from pipeline.model import Built, Package, Source

NAME = "respin.lock"
SCHEMA = 1
LIMIT = 4 << 20
KINDS = ("archive", "dsc", "tree")
_SHORT = 1000


@dataclass(frozen=True, kw_only=True)
class Lock:
    """The inputs of one run."""

    distro: str
    codename: str
    name: str
    version: str
    kind: str
    """Where the source came from: ``archive`` (or what keeps old versions), ``dsc``, ``tree``."""
    origin: str
    files: tuple[control.Listed, ...]
    """The .dsc first."""
    fixes: tuple[str, ...]
    """Those that were asked for."""
    number: int
    root: tuple[Package, ...]
    """What the build's root held; empty where nothing was built."""
    path: Path | None = None


def write(
    folder: Path,
    source: Source,
    built: Built | None,
    *,
    kind: str,
    fixes: Sequence[str],
    number: int,
) -> Path:
    """Write the lock of a run into its folder; return its path."""
    value = {
        "schema": SCHEMA,
        "tool": "iproute2-respin",
        "release": {"distro": source.release.distro, "codename": source.release.codename},
        "source": {
            "name": source.name,
            "version": source.version,
            "kind": kind,
            "origin": source.origin,
            "files": [
                {"name": f.path.name, "size": f.size, "sha256": f.sha256} for f in source.files
            ],
        },
        "fixes": list(fixes),
        "number": number,
        "root": [
            {"name": p.name, "version": p.version, "architecture": p.architecture}
            for p in (built.root if built else ())
        ],
    }
    path = folder / NAME
    path.write_text(json.dumps(value, indent=1) + "\n", "utf-8")
    return path


def read(path: Path) -> Lock:
    """Read a lock. Raises UsageError, naming what is not as it must be."""
    try:
        with path.open("rb") as f:
            data = f.read(LIMIT + 1)
        if len(data) > LIMIT:
            raise UsageError(f"{path} is no lock: it is longer than {LIMIT} bytes")
        value = json.loads(data.decode("utf-8"))
    except OSError as e:
        raise UsageError(
            f"{path} cannot be read: {e.strerror}", hint=f"give the {NAME} of a run's folder"
        ) from e
    except (ValueError, RecursionError) as e:
        raise UsageError(f"{path} is no lock: not JSON", details=str(e)[:400]) from e
    return _Reader(path).lock(value)


class _Reader:
    """Reads the parts of a lock; each error names the place."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _wrong(self, where: str, what: str) -> UsageError:
        return UsageError(
            f"{self._path} is not a lock that respin wrote: {where}: {what}",
            hint="take the one of the run's folder, unchanged, or run without --locked",
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
        if value.get("schema") != SCHEMA or isinstance(value.get("schema"), bool):
            raise self._wrong("schema", f"not {SCHEMA}")
        top = self._table(
            value, "top", ("schema", "tool", "release", "source", "fixes", "number", "root")
        )
        release = self._table(top["release"], "release", ("distro", "codename"))
        keys = ("name", "version", "kind", "origin", "files")
        source = self._table(top["source"], "source", keys)
        name = self._text(source["name"], "source.name")
        version = self._text(source["version"], "source.version")
        if not control.package_name(name) or not control.version_text(version):
            raise self._wrong("source", "its name and version are not those of a package")
        if source["kind"] not in KINDS:
            raise self._wrong("source.kind", f"not one of {', '.join(KINDS)}")
        number = top["number"]
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
            root=tuple(
                self._package(p, n) for n, p in enumerate(self._list(top["root"], "root", 5000))
            ),
            path=self._path,
        )

    def _files(self, value: object) -> tuple[control.Listed, ...]:
        given = self._list(value, "source.files", control.MOST_FILES)
        for number, each in enumerate(given):
            where = f"source.files[{number}]"
            table = self._table(each, where, ("name", "size", "sha256"))
            if not isinstance(table["size"], int) or isinstance(table["size"], bool):
                raise self._wrong(where, "its size is not a number")
        try:
            files = control.listed(given, f"{self._path}")
        except FetchError as e:
            raise self._wrong("source.files", e.brief) from e
        if not files[0].name.endswith(".dsc"):
            raise self._wrong("source.files", "the first is not a .dsc")
        return files

    def _package(self, value: object, number: int) -> Package:
        where = f"root[{number}]"
        table = self._table(value, where, ("name", "version", "architecture"))
        keys = ("name", "version", "architecture")
        name, version, architecture = (self._text(table[key], where) for key in keys)
        sound = control.package_name(name) and control.version_text(version)
        if not sound or not control.package_name(architecture):
            raise self._wrong(where, "not a package with version and architecture")
        return Package(name=name, version=version, architecture=architecture)


def check_source(lock: Lock, source: Source) -> None:
    """Hold a fetched source against the lock. Raises FetchError naming what differs."""
    there = {f.path.name: f for f in source.files}
    for want in lock.files:
        found = there.get(want.name)
        if found is None or (found.size, found.sha256) != (want.size, want.sha256):
            raise FetchError(
                f"{want.name} of {lock.path} is gone: what is there now has other content"
                if found
                else f"{want.name} of {lock.path} is gone: the source does not have it any more",
                details=f"locked: {want.sha256}" + (f"\nfound:  {found.sha256}" if found else ""),
                hint="run without --locked to take what there is now",
            )
    if set(there) != {f.name for f in lock.files}:
        raise FetchError(f"the source has files that {lock.path} does not list")


def check_root(lock: Lock, archive: AptArchive) -> None:
    """Hold the packages of the root against the archive. Raises FetchError naming what is gone."""
    gone = archive.lacking(lock.root)
    if gone:
        raise FetchError(
            f"{len(gone)} of the {len(lock.root)} packages of the locked root are gone from"
            f" {archive.release.codename}",
            details="\n".join(f"{p.name} {p.version} ({p.architecture})" for p in gone),
            hint="run without --locked to build with what there is now",
        )


def local_dsc(lock: Lock) -> Path:
    """Return the .dsc of a locked source that was the user's own.

    It is the one that it was, or else the copy in the run's folder, where the lock lies.
    Raises FetchError if both are gone.
    """
    places = [Path(lock.origin)] if lock.kind == "dsc" else []
    if lock.path is not None:
        places.append(lock.path.absolute().parent / "source" / lock.files[0].name)
    for place in places:
        try:
            control.check_file(place, lock.files[0], f"{lock.path}")
        except FetchError:
            continue
        return place
    raise FetchError(
        f"{lock.files[0].name} of {lock.path} is gone",
        details="It was looked for at\n" + "\n".join(map(str, places)),
        hint="put it back, or give it with --dsc and without --locked",
    )
