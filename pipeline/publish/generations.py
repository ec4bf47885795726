# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The generations of a repository on the disk: each state complete in its own directory.

Clients see a symbolic link to one of them, so they see the old state or the new one, whenever
respin is killed. The hashes of a generation's files are recorded outside the served directory.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.errors import PublishError
from pipeline.files import own_files
from pipeline.host.cache import file_sha256

DIRECTORY = ".generations"
"""Mode of the served directory."""


@dataclass(frozen=True, kw_only=True)
class Issued:
    """One published generation of a target."""

    generation: str
    serial: int
    """A number that no other generation of the target has."""
    date: int
    """The date of its index, in seconds since 1970; a later generation never has an older one."""
    placed: bool = False
    """Whether clients see it or saw it, unless respin was killed before it could record that."""
    keys: tuple[str, ...] = ()
    """The fingerprints of the keys that signed it."""
    keyring: str = ""
    """The version of the package with the public keys."""
    offered: tuple[str, ...] = ()
    """Our versions in it."""
    files: Mapping[str, str] = field(default_factory=dict)
    """All files in it: path -> SHA-256 and size."""
    own: tuple[str, ...] = ()
    """Those of them that its own index lists by hash or in the pool."""
    kept: tuple[str, ...] = ()
    """Those that the index before it listed."""


class PublishedMemory(Protocol):
    """The record of what was published, which is not in the served directory."""

    def issued(self, target: str) -> tuple[Issued, ...]:
        """Return the last generations of a target, by serial."""

    def issue(self, target: str, issued: Issued) -> None:
        """Record a generation of a target."""

    def forget_issued(self, target: str, but: Collection[str]) -> None:
        """Forget the generations of a target, except these."""


def standing(known: Sequence[Issued]) -> tuple[Issued, ...]:
    """Return the recorded generations of a target that clients may see now.

    These are the last one that was published, and after a kill one that was about to be.
    """
    placed = max((i.serial for i in known if i.placed), default=0)
    return tuple(i for i in known if i.serial >= placed)


def visible(known: Sequence[Issued]) -> tuple[str, ...]:
    """Return our versions that clients see now."""
    return tuple(dict.fromkeys(v for i in standing(known) for v in i.offered))


def serial(generation: str) -> int:
    """Return the number in the name of a generation; 0 if it has none."""
    number = generation.rpartition("-")[2]
    return int(number) if number.isdecimal() and len(number) < 10 else 0


def inventory(generation: Path) -> dict[str, str]:
    """Return all files in a directory of respin's: path -> SHA-256 and size in bytes."""
    return {name: _described(generation / name) for name in _names(generation)}


def _names(generation: Path) -> set[str]:
    """Return the paths of everything in a directory that is not itself a directory."""
    found = set()
    for directory, directories, names in os.walk(generation):
        paths = [Path(directory) / name for name in names]
        paths += [path for name in directories if (path := Path(directory) / name).is_symlink()]
        found |= {str(path.relative_to(generation)) for path in paths}
    return found


def _described(path: Path) -> str:
    return f"{file_sha256(path)} {path.stat().st_size}"


def _same(path: Path, wanted: str) -> bool:
    """Return whether a file is what was published; read nothing larger, and follow no link."""
    try:
        found = path.lstat()
        size = int(wanted.rpartition(" ")[2])
        return stat.S_ISREG(found.st_mode) and found.st_size == size and _described(path) == wanted
    except (OSError, ValueError):
        return False


def differences(link: Path, known: Sequence[Issued]) -> tuple[str, ...]:
    """Return the names of files that clients see and that are not what was published."""
    try:
        there = link.readlink()
    except FileNotFoundError:
        return ()  # an administrator may remove it; it is made again
    except OSError:
        return (link.name,)
    issued = next((i for i in standing(known) if there == Path(DIRECTORY) / i.generation), None)
    generation = link.parent / there
    if issued is None or generation.is_symlink():
        return (link.name,)
    names = _names(generation) | set(issued.files)
    return tuple(sorted(n for n in names if not _same(generation / n, issued.files.get(n, ""))))


def keep(before: Path, issued: Issued, paths: Sequence[str], part: Path) -> tuple[str, ...]:
    """Link these paths of the generation before into the new one; return the new content.

    So a client that read the old index still finds what it lists. A file that is not what was
    published is omitted.
    """
    done = []
    for name in paths:
        old, new = before / name, part / name
        if not new.exists() and _same(old, issued.files.get(name, "")):
            new.parent.mkdir(parents=True, exist_ok=True)
            os.link(old, new, follow_symlinks=False)
            done.append(name)
    return tuple(done)


def own(part: Path) -> tuple[str, ...]:
    """Return what a generation's index promises a client: files by hash, and in the pool."""
    found = [*part.rglob("by-hash/*/*"), *(part / "pool").rglob("*")]
    return tuple(sorted(str(p.relative_to(part)) for p in found if p.is_file()))


def clear(store: Path, target: str, leave: Iterable[str]) -> None:
    """Remove generations that no client can be reading any more, and what a kill left behind."""
    if not store.is_dir():
        return
    for path in store.iterdir():
        part = path.name.startswith(f".part-{target}-")
        old = re.fullmatch(rf"{re.escape(target)}-[0-9a-f]{{16}}-[0-9]+", path.name)
        if path.is_symlink():
            path.unlink()
        elif part or (old and path.name not in leave):
            shutil.rmtree(path, ignore_errors=True)


def current(link: Path) -> str:
    """Return the name of the generation that clients see; empty if there is no repository."""
    try:
        return link.readlink().name
    except FileNotFoundError:
        return ""
    except OSError as e:
        raise PublishError(
            f"{link} is not a repository that respin made", hint="move it away"
        ) from e


def point(link: Path, to: Path) -> None:
    """Replace a symbolic link atomically."""
    with own_files.replacing(link, alone=True) as part:
        part.symlink_to(to)
    _sync(link.parent)


def to_disk(part: Path) -> None:
    """Wait until a generation is on the disk: a power failure must not leave it incomplete."""
    done: set[int] = set()
    for path in (*part.rglob("*"), part):
        inode = path.stat().st_ino
        if inode not in done:
            _sync(path)
        done.add(inode)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
