# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""respin.lock: the exact inputs of a run, so that it can be repeated.

pipeline/runs/lock.schema.json defines the form; runs/lockfile_reader.py reads it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.archives import dsc_file
from pipeline.archives.apt import AptArchive
from pipeline.errors import BuildError, FetchError, NotVerified
from pipeline.files import bounded
from pipeline.fixes import own_fix, own_patch
from pipeline.fixes.fixes import Fix, all_fixes
from pipeline.fixes.own_patch import OwnPatch
from pipeline.host.cache import Cache
from pipeline.model import GuestPackages, Package, Source
from pipeline.proof import statements
from pipeline.releases.releases import Pocket

NAME = "respin.lock"
SCHEMA = 2
PATCHES = "user-patches"
"""Beside the lock: the user's own patches as they were given."""
FIXES = "user-fixes"
"""Beside the lock: the directories of the user's own fixes."""
RESTORE = f"copy {PATCHES} and {FIXES} from the directory of the run, and put them beside the lock"


@dataclass(frozen=True, kw_only=True)
class LockedPatch:
    """A patch of the user's own."""

    name: str
    sha256: str
    optional: bool


@dataclass(frozen=True, kw_only=True)
class LockedFix:
    """A fix of the user's own."""

    name: str
    sha256: str
    """Of its directory (``content_of``)."""


@dataclass(frozen=True, kw_only=True)
class Lock:
    """The inputs of one run."""

    distro: str
    codename: str
    name: str
    version: str
    kind: str
    """Where the source came from: ``archive`` (or one of old versions), ``dsc``, ``tree``."""
    origin: str
    files: tuple[dsc_file.Listed, ...]
    """The files of the source, the .dsc first."""
    fixes: tuple[str, ...]
    """The requested fixes; empty: none was to be applied."""
    patches: tuple[LockedPatch, ...] = ()
    """The user's own patches; PATCHES beside the lock has their content."""
    own_fixes: tuple[LockedFix, ...] = ()
    """Those of the fixes that are the user's own; FIXES beside the lock has their directories."""
    number: int
    architecture: str = ""
    """The packages'; empty, as older locks have it: that of the machine that reads the lock."""
    time: str
    """When the archive was read: YYYYMMDDTHHMMSSZ."""
    pockets: tuple[Pocket, ...] = ()
    """The requested pockets."""
    root: tuple[Package, ...] = ()
    """The packages in the build's root; empty if nothing was built."""
    guest: GuestPackages | None = None
    """The guest's packages; None if nothing was tested."""
    control: Package | None = None
    """The distro's package that ours was compared with; None if it was built here."""
    path: Path | None = None


def to_json(lock: Lock) -> dict[str, Any]:
    """Return a lock as JSON values."""
    guest = lock.guest
    return {
        "schema": SCHEMA,
        "tool": "iproute2-respin",
        "time": lock.time,
        "release": {"distro": lock.distro, "codename": lock.codename},
        "pockets": list(lock.pockets),
        "source": {
            "name": lock.name,
            "version": lock.version,
            "kind": lock.kind,
            "origin": lock.origin,
            "files": [{"name": f.name, "size": f.size, "sha256": f.sha256} for f in lock.files],
        },
        "fixes": list(lock.fixes),
        **({"patches": [asdict(each) for each in lock.patches]} if lock.patches else {}),
        **({"own_fixes": [asdict(each) for each in lock.own_fixes]} if lock.own_fixes else {}),
        "number": lock.number,
        **({"architecture": lock.architecture} if lock.architecture else {}),
        "root": _packages(lock.root),
        "guest": {"root": _packages(guest.root), "kernel": _packages(guest.kernel)}
        if guest
        else None,
        "control": asdict(lock.control) if lock.control else None,
    }


def write(
    lock: Lock, directory: Path, patches: Sequence[OwnPatch] = (), fixes: Sequence[Fix] = ()
) -> Path:
    """Write the lock of a run into its directory, with the user's patches and fixes of their own.

    Returns its path.
    """
    for fix in fixes:
        (directory / FIXES).mkdir(exist_ok=True)
        bounded.copy_tree(fix.directory, directory / FIXES / fix.name, bounded.LARGE)
    if patches:
        (directory / PATCHES).mkdir(exist_ok=True)
    for each in patches:
        (directory / PATCHES / each.name).write_bytes(each.content)
    path = directory / NAME
    path.write_text(json.dumps(to_json(lock), indent=1) + "\n", "utf-8")
    return path


def _packages(packages: Sequence[Package]) -> list[dict[str, str]]:
    return [asdict(package) for package in packages]


def files(source: Source) -> tuple[dsc_file.Listed, ...]:
    """Return a source's files in the form of a lock."""
    return tuple(
        dsc_file.Listed(name=f.path.name, size=f.size, sha256=f.sha256) for f in source.files
    )


def check_source(lock: Lock, source: Source) -> None:
    """Compare a fetched source with the lock. Raises FetchError naming what differs."""
    there = {f.path.name: f for f in source.files}
    for want in lock.files:
        found = there.get(want.name)
        if found is None or (found.size, found.sha256) != (want.size, want.sha256):
            raise FetchError(
                f"{want.name} of {lock.path} is gone: what is there now has other content"
                if found
                else f"{want.name} of {lock.path} is gone: the source does not have it any more",
                details=f"locked: {want.sha256}" + (f"\nfound:  {found.sha256}" if found else ""),
                hint="run without --locked to use what is available now",
            )
    if set(there) != {f.name for f in lock.files}:
        raise FetchError(f"the source has files that {lock.path} does not list")


def holding(
    lock: Lock,
    packages: Sequence[Package],
    archive: AptArchive,
    past: Callable[[], AptArchive | None],
) -> AptArchive:
    """Return an archive that has these packages of a lock: the ``archive`` or the ``past`` one.

    The second is called only if the first lacks some. Raises FetchError naming what is gone.
    """
    gone = archive.lacking(packages)
    if not gone:
        return archive
    then = past()
    gone = then.lacking(gone) if then else gone
    if then and not gone:
        return then
    where = f"{archive.release.codename}"
    if then:
        where += f", and from {then.sources[-1].uri}"
    raise FetchError(
        f"{len(gone)} of {len(packages)} packages in {lock.path} no longer exist in {where}",
        details="\n".join(f"{p.name} {p.version} ({p.architecture}) {p.sha256}" for p in gone),
        hint="run without --locked to use what is available now",
    )


def check_root(lock: Lock, packages: Sequence[Package]) -> None:
    """Compare the real content of a container with the lock. Raises BuildError if it differs.

    An image, or this machine itself, may hold other packages than the requested ones.
    """
    missing, more = set(lock.root) - set(packages), set(packages) - set(lock.root)
    if missing or more:
        lines = [f"lacking: {p.name} {p.version}" for p in missing]
        lines += [f"not in the lock: {p.name} {p.version}" for p in more]
        raise BuildError(
            f"the container cannot have exactly the packages in {lock.path}",
            details="\n".join(sorted(lines)),
            hint="use the kind of container, and the image, of the run that wrote the lock",
        )


def content_of(fix: Fix) -> str:
    """Return the SHA-256 of a fix: of all files in its directory (``statements.digest_of``)."""
    files = (path for path in fix.directory.rglob("*") if path.is_file())
    return statements.digest_of(
        {str(path.relative_to(fix.directory)): path.read_bytes() for path in files}
    )


def known_fixes(lock: Lock, cache: Cache) -> tuple[Fix, ...]:
    """Return the fixes that a lock may name: the project's, and its own beside it.

    Raises FetchError if one of these is not what the run had, UsageError if it cannot be read.
    """
    if not lock.own_fixes:
        return all_fixes()
    assert lock.path is not None
    there = lock.path.absolute().parent / FIXES
    found = own_fix.known(cache, (), [there / each.name for each in lock.own_fixes])
    contents = {fix.name: content_of(fix) for fix in found if fix.own}
    for each in lock.own_fixes:
        if contents[each.name] != each.sha256:
            raise FetchError(
                f"{FIXES}/{each.name} has other content than in the run of the lock",
                details=f"locked: {each.sha256}\nfound:  {contents[each.name]}",
                hint=RESTORE,
            )
    return found


def check_fixes(lock: Lock, fixes: Sequence[Fix]) -> None:
    """Raise FetchError if a fix of the user's own is not what a locked run had."""
    locked = {each.name: each.sha256 for each in lock.own_fixes}
    for fix in fixes:
        if fix.own and locked.get(fix.name) != content_of(fix):
            raise FetchError(
                f"{FIXES}/{fix.name} has other content than in the run of the lock", hint=RESTORE
            )


def own_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return, of the paths of files of a run, those of the user's own patches and fixes.

    Raises NotVerified for one that could lead out of their directories.
    """
    own = tuple(name for name in names if name.startswith((f"{PATCHES}/", f"{FIXES}/")))
    for name in own:
        if {"", ".", ".."} & set(name.split("/")) or "\0" in name:
            raise NotVerified(f"a run cannot have left the file {name!r}")
    return own


def own_patches(lock: Lock) -> tuple[OwnPatch, ...]:
    """Return the user's own patches of a locked run, from the directory beside the lock.

    Raises FetchError if one is gone, or is not what the run had.
    """
    if not lock.patches:
        return ()
    assert lock.path is not None
    there, found = lock.path.absolute().parent / PATCHES, []
    for each in lock.patches:
        try:
            content = bounded.read(there / each.name, bounded.SMALL)
        except OSError as e:
            raise FetchError(
                f"{PATCHES}/{each.name}, which the lock names, cannot be read: {e.strerror}",
                hint=RESTORE,
            ) from e
        patch = OwnPatch(name=each.name, content=content, optional=each.optional)
        if patch.sha256 != each.sha256:
            raise FetchError(
                f"{PATCHES}/{each.name} has other content than in the run of the lock",
                details=f"locked: {each.sha256}\nfound:  {patch.sha256}",
                hint=RESTORE,
            )
        found.append(own_patch.checked(patch))
    return tuple(found)


def local_dsc(lock: Lock) -> Path:
    """Return the .dsc of a locked source that was the user's own.

    It is the original file, or else the copy beside the lock in the run's directory. Raises
    FetchError if both are gone.
    """
    places = [Path(lock.origin)] if lock.kind == "dsc" else []
    if lock.path is not None:
        places.append(lock.path.absolute().parent / "source" / lock.files[0].name)
    for place in places:
        try:
            dsc_file.check_file(place, lock.files[0], f"{lock.path}")
        except FetchError:
            continue
        return place
    raise FetchError(
        f"{lock.files[0].name} of {lock.path} is gone",
        details="respin looked for it at\n" + "\n".join(map(str, places)),
        hint="restore it, or give it with --dsc and without --locked",
    )
