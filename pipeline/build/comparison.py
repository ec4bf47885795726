# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a patch changes in the packages: ours against a build of the same source without it.

Both are built in the same root, so the same source gives the same bytes, and what differs comes
from the patch. Files are compared as they are installed, functions as they are compiled, before the
linker gives them addresses: of 250 object files of iproute2, all but a few are the same byte for
byte, and in these functions.py tells which functions differ.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.archives import deb_file
from pipeline.build import functions, object_files
from pipeline.errors import BuildError
from pipeline.files import bounded
from pipeline.files.elf import Broken, Elf
from pipeline.host.cache import file_sha256
from pipeline.model import Artifact, ChangedFile, ChangedSymbol, Comparison, Difference

SYMBOLS_PACKAGE = re.compile(r"-dbg(sym)?_")
BUILD_ID = re.compile(rb"\x04\x00\x00\x00\x14\x00\x00\x00\x03\x00\x00\x00GNU\x00(.{20})", re.DOTALL)
"""The note with SHA-1 that the linker writes, on little-endian machines."""
BUILD_ID_BIG = re.compile(
    rb"\x00\x00\x00\x04\x00\x00\x00\x14\x00\x00\x00\x03GNU\x00(.{20})", re.DOTALL
)
LARGEST = 64 << 20
"""Bytes of one installed file that is read; tc has 0.6 MB."""
SECONDS = 120.0
"""Seconds for all object files that differ; for iproute2 it takes 2."""
SYMBOLS = 5000
"""How many functions and variables may differ."""
SYMBOL_LINKS = (".gnu_debuglink", ".gnu_debugaltlink")
LTO = ".gnu.lto_"


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two builds."""

    debs: tuple[Artifact, ...]
    objects: Path
    """The directory with its object files (object_files.py)."""


def compare(
    control: Side,
    ours: Side,
    scratch: Path,
    *,
    objdump: str,
    in_patch: Callable[[str], bool],
) -> Comparison:
    """Return what differs between two builds.

    ``scratch`` is a new directory for unpacked packages; ``objdump`` is the program that knows the
    architecture; ``in_patch`` says whether the patch changes the source of a function with a name.
    Raises BuildError for packages or object files that cannot be read.
    """
    started = time.monotonic()
    old = _unpacked(control, scratch / "control")
    new = _unpacked(ours, scratch / "ours")
    changed, unread, number = _objects(control.objects, ours.objects, objdump)
    names = _programs(ours, scratch)
    symbols = tuple(
        ChangedSymbol(
            name=name,
            object=place,
            variable=variable,
            how=how,
            in_patch=in_patch(name),
            programs=tuple(sorted(p for p, has in names.items() if name in has)),
        )
        for place, name, variable, how in changed
    )
    return Comparison(
        control={deb.path.name: deb.sha256 for deb in control.debs},
        files=tuple(_files(old, new)),
        objects=number,
        symbols=symbols,
        unread=tuple(unread),
        seconds=round(time.monotonic() - started, 3),
    )


def _unpacked(side: Side, into: Path) -> dict[tuple[str, str], str]:
    """Unpack the packages; return SHA-256, or the target of a link, by package and path."""
    found: dict[tuple[str, str], str] = {}
    for deb in side.debs:
        if SYMBOLS_PACKAGE.search(deb.path.name):
            continue
        package = deb.path.name.partition("_")[0]
        root = into / package
        deb_file.extract([deb.path], root, error=BuildError, log=None)
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(root))
            if path.is_symlink():
                found[package, name] = f"-> {path.readlink()}"
            elif path.is_file():
                found[package, name] = _fingerprint(path)
    return found


def _fingerprint(path: Path) -> str:
    """Return a digest of a file; of an ELF file, without what only names its debugging symbols.

    Those of all programs are in one package, so that they change with any of them.
    """
    data = bytearray(_elf(path))
    if not data:
        return file_sha256(path)
    try:
        for section in Elf(bytes(data)).sections:
            if section.name in SYMBOL_LINKS:
                start, size = section["sh_offset"], section["sh_size"]
                data[start : start + size] = bytes(len(data[start : start + size]))
    except Broken:
        return file_sha256(path)
    return hashlib.sha256(data).hexdigest()


def _files(
    old: Mapping[tuple[str, str], str], new: Mapping[tuple[str, str], str]
) -> Iterator[ChangedFile]:
    for package, path in sorted({*old, *new}):
        before, after = old.get((package, path)), new.get((package, path))
        if before != after:
            yield ChangedFile(package=package, path=path, how=_how(before, after))


def _how(before: object, after: object) -> Difference:
    if before is None:
        return Difference.ADDED
    return Difference.REMOVED if after is None else Difference.CHANGED


def _objects(
    control: Path, ours: Path, objdump: str
) -> tuple[list[tuple[str, str, bool, Difference]], list[str], int]:
    """Return what differs (object file, name, whether a variable, how); the object files whose
    code cannot be read although they differ; and how many object files there are.
    """
    old, new = object_files.names(control), object_files.names(ours)
    changed: list[tuple[str, str, bool, Difference]] = []
    unread: list[str] = []
    until = time.monotonic() + SECONDS
    for place in sorted({*old, *new}):
        if time.monotonic() > until or len(changed) > SYMBOLS:
            raise BuildError(
                "the object files differ too much to be compared",
                details=f"more than {SYMBOLS} functions, or more than {SECONDS:.0f} s",
            )
        both = [each[place] for each in (old, new) if place in each]
        if len(both) == 2 and file_sha256(both[0]) == file_sha256(both[1]):
            continue
        try:
            before, after = (
                functions.read(each[place], objdump) if place in each else {} for each in (old, new)
            )
            linked = any(_has_lto(path) for path in both)
        except (Broken, OSError, MemoryError) as e:
            raise BuildError(f"the object file {place} of the build cannot be read: {e}") from e
        if linked:
            unread.append(place)
        for name in sorted({*before, *after}):
            was, now = _bodies(before.get(name)), _bodies(after.get(name))
            if was != now:
                entry = (after.get(name) or before[name])[0]
                changed.append((place, name, entry.variable, _how(was, now)))
    return changed, unread, len({*old, *new})


def _bodies(found: Sequence[functions.Named] | None) -> list[tuple[bool, str]] | None:
    return sorted((each.variable, each.body) for each in found) if found else None


def _has_lto(path: Path) -> bool:
    """Return whether the linker, not the compiler, makes the code (link-time optimization)."""
    sections = Elf(bounded.read(path, functions.BYTES)).sections
    return any(section.name.startswith(LTO) for section in sections)


def _programs(side: Side, scratch: Path) -> dict[str, frozenset[str]]:
    """Return, for each program that is installed, the names of the functions that it has.

    They are in the package with its debugging symbols; without one, there is none.
    """
    symbols = [deb.path for deb in side.debs if SYMBOLS_PACKAGE.search(deb.path.name)]
    if not symbols:
        return {}
    debug = scratch / "symbols"
    deb_file.extract(symbols, debug, error=BuildError, log=None)
    found = {}
    for program in sorted((scratch / "ours").rglob("*")):
        data = _elf(program)
        note = (BUILD_ID.search(data) or BUILD_ID_BIG.search(data)) if data else None
        if note is None:
            continue
        name = note[1].hex()
        table = debug / f"usr/lib/debug/.build-id/{name[:2]}/{name[2:]}.debug"
        if table.is_file():
            try:
                listed = Elf(bounded.read(table, LARGEST)).symbols
            except (Broken, OSError) as e:
                raise BuildError(f"the symbols of {program.name} cannot be read: {e}") from e
            found[program.name] = frozenset(functions.plain(s.name) for s in listed)
    return found


def _elf(path: Path) -> bytes:
    """Return the content of an ELF file; empty for everything else."""
    if path.is_symlink() or not path.is_file():
        return b""
    try:
        data = bounded.read(path, LARGEST)
    except OSError:
        return b""
    return data if data.startswith(b"\x7fELF") else b""
