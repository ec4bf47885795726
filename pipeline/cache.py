"""The cache: entries named by what they contain, made once, whole or absent.

Safe to delete at any time between runs. Two runs at once make an entry once: the second
waits for the first (a lock file per entry) and then finds it there.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

from pipeline import bounded
from pipeline.errors import UsageError
from pipeline.interrupts import interrupts

TAG = """Signature: 8a477f597d28d172789f06886806bc55
# This file marks a cache folder of iproute2-respin, see https://bford.info/cachedir/
"""


def digest(*parts: str | bytes) -> str:
    """Return a key for content: SHA-256 over the parts, each with its length."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        sha.update(f"{len(data)}:".encode() + data)
    return sha.hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a regular file, lower-case hexadecimal. Raises OSError."""
    with bounded.open_regular(path) as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


class Cache:
    """A cache folder."""

    def __init__(self, root: Path | None = None) -> None:
        """Open (and create) the folder; default $RESPIN_CACHE, else the user's cache folder.

        Raises UsageError if it cannot be written.
        """
        default = os.environ.get("RESPIN_CACHE") or platformdirs.user_cache_path("respin")
        self.root = Path(root or default).absolute()
        if not str(self.root).isprintable():
            raise UsageError(
                f"the cache folder {self.root} has a name that cannot be shown",
                hint="name another one with --cache DIR or RESPIN_CACHE",
            )
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            tag = self.root / "CACHEDIR.TAG"
            if not tag.exists():
                tag.write_text(TAG)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as e:
            raise UsageError(
                f"the cache folder {self.root} cannot be written: {e.strerror}",
                hint="name another one with --cache DIR or RESPIN_CACHE",
            ) from e

    def folder(self, kind: str) -> Path:
        """Return a folder of the cache for programs that keep their own (ccache, apt)."""
        path = self.root / kind
        path.mkdir(parents=True, exist_ok=True)
        return path

    @contextlib.contextmanager
    def lock(self, kind: str, key: str) -> Iterator[None]:
        """Hold the lock of an entry; wait for whoever holds it."""
        path = self.folder("locks") / f"{kind}-{key[:32]}"
        with path.open("w") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            yield

    def entry(
        self,
        kind: str,
        key: str,
        make: Callable[[Path], None],
        *,
        remove: Callable[[Path], None] | None = None,
    ) -> Path:
        """Return the entry ``kind/key``, made by ``make`` if it is not there.

        ``make`` gets a path that does not exist and leaves a file or a folder there; it is
        renamed into place when it is whole. ``remove`` clears away what a failed or killed
        ``make`` left behind (default: as this user).
        """
        final = self.folder(kind) / key
        if final.exists():
            with contextlib.suppress(OSError):
                os.utime(final)
            return final
        with self.lock(kind, key):
            if final.exists():
                return final
            part = final.with_name(f"{key}.part")
            clear = remove or _remove
            if part.exists():
                clear(part)
            try:
                make(part)
                part.rename(final)
            except BaseException:
                with interrupts.held(), contextlib.suppress(Exception):
                    if part.exists():
                        clear(part)
                raise
        return final


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
