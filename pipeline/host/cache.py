# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache: entries named by what they contain, made once, and complete or absent.

It is safe to delete at any time between runs. Two runs at once make an entry once: the second
waits for the first (a lock file per entry) and then finds it there. The directory is this user's
alone, and before an entry is used, it is compared with what it was when it was made: if somebody
changed it all the same, or a disk fails, that costs no more than the time to make it anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

from pipeline.errors import UsageError
from pipeline.files import bounded, own_files, ownership
from pipeline.host.interrupts import interrupts

TAG = """Signature: 8a477f597d28d172789f06886806bc55
# This file marks a cache folder of iproute2-respin, see https://bford.info/cachedir/
"""

Seal = Callable[[Path], str]
"""Returns what identifies an entry's content."""

SEALS = ".seals"
"""Beside the entries of a kind: what each was when it was made."""
SEAL_LONGEST = 1000
"""Bytes."""
WHAT = "the cache directory"
HINT = "choose another one with --cache DIR or RESPIN_CACHE"


LARGEST = 4 << 30
"""Bytes of the largest file that is ever hashed; a root's tarball has 1.5 GB."""


def digest(*parts: str | bytes) -> str:
    """Return a key for content: SHA-256 over the parts, each with its length."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        sha.update(f"{len(data)}:".encode() + data)
    return sha.hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a regular file, lower-case hexadecimal.

    Raises OSError, also for one of more than LARGEST bytes: a sparse file costs nothing to make.
    """
    with bounded.open_regular(path) as f:
        if os.fstat(f.fileno()).st_size > LARGEST:
            raise bounded.TooLong(path, LARGEST)
        return hashlib.file_digest(f, "sha256").hexdigest()


class Cache:
    """A cache directory."""

    def __init__(self, root: Path | None = None) -> None:
        """Open (and create) the directory; default $RESPIN_CACHE, else the user's cache directory.

        Raises UsageError if it is not writable, is not this user's alone (files/ownership.py), or
        is below /dev: mmdebstrap shows a new root the machine's /dev, with what is in /dev/shm.
        """
        default = os.environ.get("RESPIN_CACHE") or platformdirs.user_cache_path("respin")
        self.root = Path(root or default).absolute()
        self.changed: list[Path] = []
        """Entries that had changed since they were made."""
        if not str(self.root).isprintable():
            raise UsageError(
                f"the name of the cache directory {self.root} has unprintable characters", hint=HINT
            )
        # Not Path.resolve, which raises RuntimeError for links in a circle before Python 3.13.
        if Path(os.path.realpath(self.root)).is_relative_to("/dev"):
            raise UsageError(
                f"the cache directory {self.root} is below /dev, where no root can be made",
                hint=HINT,
            )
        try:
            ownership.directory(self.root, WHAT, HINT)
            tag = self.root / "CACHEDIR.TAG"
            if not tag.exists():
                own_files.write(tag, TAG)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as e:
            raise UsageError(
                f"the cache directory {self.root} cannot be written: {e.strerror}",
                hint=HINT,
            ) from e

    def directory(self, kind: str) -> Path:
        """Return a directory of the cache, creating it if needed. Raises UsageError."""
        return ownership.directory(self.root / kind, WHAT, HINT)

    @contextlib.contextmanager
    def lock(self, kind: str, key: str) -> Iterator[None]:
        """Hold the lock of an entry; wait for whoever holds it."""
        with self.trying(kind, key, wait=True):
            yield

    @contextlib.contextmanager
    def trying(self, kind: str, key: str, *, wait: bool = False) -> Iterator[bool]:
        """Hold the lock of an entry if nobody else does; yield whether it is held."""
        path = self.directory("locks") / f"{kind}-{key[:32]}"
        with contextlib.ExitStack() as stack:
            try:
                held = stack.enter_context(own_files.locked(path, wait=wait))
            except OSError as e:
                raise UsageError(
                    f"respin could not lock {path}: {e.strerror}", hint=f"remove it, or {HINT}"
                ) from e
            yield held

    def get(self, kind: str, key: str, *, seal: Seal | None = None) -> Path | None:
        """Return the entry ``kind/key`` if it exists and has not changed since it was made."""
        final = self.directory(kind) / key
        try:
            wanted = bounded.text(self._seals(kind) / key, SEAL_LONGEST, follow=False)
            if not os.path.lexists(final):
                return None
            if (seal or content)(final) != wanted:
                self.changed.append(final)
                return None
        except (OSError, ValueError):  # it has no seal, or vanishes at this very moment
            return None
        with contextlib.suppress(OSError):
            os.utime(final)  # what is used is not pruned
        return final

    def put(
        self,
        kind: str,
        key: str,
        make: Callable[[Path], object],
        *,
        remove: Callable[[Path], None] | None = None,
        seal: Seal | None = None,
    ) -> Path:
        """Make the entry ``kind/key`` anew, in place of an existing one. The caller holds its
        lock; the rest is as in ``entry``.
        """
        final = self.directory(kind) / key
        part = final.with_name(f"{key}.part")
        clear = remove or _remove
        if part.exists():
            clear(part)
        try:
            make(part)
            sealed = (seal or content)(part)
            if os.path.lexists(final) and (part.is_dir() or not final.is_file()):
                clear(final)  # only a file can replace another by rename(2)
            part.replace(final)
            own_files.write(self._seals(kind) / key, sealed)
        except BaseException:
            with interrupts.held(), contextlib.suppress(Exception):
                if part.exists():
                    clear(part)
            raise
        return final

    def entry(
        self,
        kind: str,
        key: str,
        make: Callable[[Path], object],
        *,
        remove: Callable[[Path], None] | None = None,
        seal: Seal | None = None,
    ) -> Path:
        """Return the entry ``kind/key``, made by ``make`` if it does not exist.

        ``make`` gets a path that does not exist and leaves a file or a directory there, which is
        renamed into place when it is complete. ``remove`` clears away what a failed or killed
        ``make`` left behind (default: as this user). ``seal`` returns what identifies an entry's
        content (default: a digest of it); an entry for which that has changed is made anew.
        """
        there = self.get(kind, key, seal=seal)
        if there is not None:
            return there
        with self.lock(kind, key):
            there = self.get(kind, key, seal=seal)
            return there or self.put(kind, key, make, remove=remove, seal=seal)

    def drop(self, path: Path, remove: Callable[[Path], None]) -> None:
        """Remove an entry and its seal. The caller holds its lock."""
        remove(path)
        (self._seals(path.parent.name) / path.name).unlink(missing_ok=True)

    def _seals(self, kind: str) -> Path:
        return self.directory(f"{kind}/{SEALS}")


def content(path: Path) -> str:
    """Return a digest of a file, or of a directory's content: names, types, modes, bytes.

    Raises OSError.
    """
    if not path.is_dir() or path.is_symlink():
        return _content(path)
    below = sorted(path.rglob("*"))
    return digest(*(f"{p.relative_to(path)} {_content(p)}" for p in below))


def _content(path: Path) -> str:
    mode = path.lstat().st_mode
    if stat.S_ISREG(mode):
        with bounded.open_regular(path, follow=False) as f:
            return f"{mode:o} {hashlib.file_digest(f, 'sha256').hexdigest()}"
    return f"{mode:o} {path.readlink() if stat.S_ISLNK(mode) else ''}"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
