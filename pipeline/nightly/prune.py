# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep the disk bounded: old runs and the cache, by age and by size.

What a repository offers, and the newest run of a release, always stay. So does what was used
within a day: another run may be using it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.nightly import Nightly
from pipeline.errors import RespinError
from pipeline.host.cache import Cache
from pipeline.isolation.namespaces import remove_tree
from pipeline.nightly import plan
from pipeline.nightly.state import State

KINDS = (
    *("roots", "root-tars", "images", "guests", "downloads", "partial", "solutions", "apt"),
    *("controls", "ccache", "objects", "corpora", "programs", "kvm", "self-checks", "own-fixes"),
)
"""Directories of the cache. The last few logs are kept, whatever their age."""

IN_USE = 24 * 3600
"""Seconds."""


@dataclass(frozen=True, kw_only=True)
class Removable:
    """Something that could be removed."""

    path: Path
    used: float
    """When it was last used, in seconds since 1970."""
    size: int
    """Bytes on the disk."""


def runs(state: State, directory: Path, settings: Nightly, keep: int, now: int) -> None:
    """Remove the directories of old runs; what the history says of them stays."""
    kept: set[Path] = set()
    there: list[Removable] = []
    for name, target in state.targets().items():
        mine = state.runs(name)
        kept |= {run.folder for run in plan.offered(target, mine, keep)}
        kept |= {run.folder for run in mine if run.ended is None}
        newest = {r.architecture: r.folder for r in mine if r.version == target.version}
        kept |= set(newest.values())
    for run in state.runs():
        unfinished = run.folder.parent.glob(f".{run.folder.name}.*")
        for path in (
            run.folder,
            run.folder.with_name(f"{run.folder.name}.logs"),
            *unfinished,
        ):
            if path.exists() and run.folder not in kept:
                there.append(
                    Removable(path=path, used=run.ended or run.started, size=size_of(path))
                )
    for entry in too_much(there, now - settings.keep_runs.total_seconds(), settings.runs_size):
        shutil.rmtree(entry.path, ignore_errors=True)
        number = entry.path.name.lstrip(".").partition(".")[0]
        shutil.rmtree(directory / "public" / "runs" / number, ignore_errors=True)


def too_much(entries: list[Removable], oldest: float, most: int) -> Iterator[Removable]:
    """Yield what is older than ``oldest``, and the oldest of what exceeds ``most`` bytes."""
    total = 0
    for entry in sorted(entries, key=lambda e: e.used, reverse=True):
        total += entry.size
        if entry.used < oldest or total > most:
            yield entry


def cache(of: Cache, settings: Nightly, clock: float | None = None) -> None:
    """Remove what is old in the cache, or exceeds its size; all of it can be obtained again."""
    now = time.time() if clock is None else clock
    there = [
        Removable(path=path, used=_used(path), size=size_of(path))
        for kind in KINDS
        for path in (of.root / kind).glob("[!.]*")
    ]
    oldest = now - settings.keep_cache.total_seconds()
    for entry in too_much(there, oldest, settings.cache_size):
        if now - entry.used > IN_USE:
            with of.trying(entry.path.parent.name, entry.path.name) as free:
                if free:
                    of.drop(entry.path, _remove)


def _used(path: Path) -> float:
    """Return when an entry was made or last used, whichever is later.

    apt gives a download the server's time of the file, perhaps years ago. Only the kernel sets
    the time of the last status change (inode(7), ctime).
    """
    found = path.lstat()
    return max(found.st_mtime, found.st_ctime)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        # A root has files with other user ids, which only its namespace can remove.
        with contextlib.suppress(RespinError):
            remove_tree(path)
    else:
        path.unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """Return the bytes that a file or a tree takes on the disk, as far as it can be read."""
    if not path.is_dir() or path.is_symlink():
        return path.lstat().st_blocks * 512
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(f"{directory}/{name}").st_blocks * 512
    return total
