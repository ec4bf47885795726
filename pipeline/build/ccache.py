# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep ccache from one build to the next; no build writes to what another one reads.

A build has its own copy of the ccache inside its container, which is removed with the container.
What the build added is kept only if its run was proven and a signed index lists its source, and
only in files named like ccache's results and manifests, never a configuration. The ccache is kept
as one tar archive for each toolchain and each level of trust, and replaced as a whole.

The first build with a toolchain does without, since to fill a ccache takes longer than it, and most
machines build once: it leaves an empty one, which says that there may be more builds.

The toolchain is part of its name, because ccache compares the compiler but not the assembler
(measured with 4.7.5 and 4.11.2: with another ``as`` the old object is a hit).
"""

from __future__ import annotations

import contextlib
import re
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.containers import Container
from pipeline.errors import BuildError
from pipeline.host.cache import Cache, digest
from pipeline.model import Package

KIND = "ccache"
DIRECTORY = "/build/.ccache"
"""The directory of the build's own ccache, in every container."""

SIZE = 100 << 20
"""Bytes that are kept for each toolchain; one build of iproute2 leaves 7 MB."""

LARGEST = 16 << 20
"""Bytes of one result; the largest of iproute2 has 0.2 MB."""

TAKEN = 3 * SIZE
"""Bytes that are accepted from a container."""

SECONDS = 120.0

_TOOLS = re.compile(r"(binutils|cpp|gcc|g\+\+|clang|llvm|lld|ccache)([-.\d].*)?")
"""Packages that determine a compilation's result, besides what ccache itself compares."""

_NAME = re.compile(
    r"(?:\./)?([0-9a-f]/(?:[0-9a-f]/){0,3}"
    r"[0-9a-v-]{20,80}(?:[RM]|\.(?:o|d|stderr|dia|manifest|gcno|su|dwo))?)"
)
"""Results and manifests, as ccache 3.1 to 4.12 name them."""


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """A file of a ccache in an archive."""

    name: str
    size: int
    used: int
    """When it was last used, in seconds since 1970: ccache renews it with each hit."""
    tar: tarfile.TarFile
    member: tarfile.TarInfo


def environment() -> Mapping[str, str]:
    """Return the environment that makes ccache use FOLDER and ignore configuration files."""
    return {
        # debhelper gives a build its own HOME, in which ccache would start empty.
        "CCACHE_DIR": DIRECTORY,
        # This replaces CCACHE_DIR/ccache.conf and /etc/ccache.conf; nobody can write to it.
        "CCACHE_CONFIGPATH": "/dev/null",
        "CCACHE_BASEDIR": "/build",
        "CCACHE_COMPILERCHECK": "content",
        "CCACHE_MAXSIZE": f"{2 * SIZE >> 20}M",
    }


def name(release: str, packages: Iterable[Package], trust: str) -> str:
    """Return the name under which the ccache of a root is kept; empty if it is not kept.

    ``release`` names its distro, release and architecture, ``packages`` are those in the root,
    ``trust`` is the digest of what vouches for them (``engines.Root.trust``).
    """
    if not trust:
        return ""
    tools = sorted(
        f"{p.name} {p.version} {p.architecture} {p.sha256}"
        for p in packages
        if _TOOLS.fullmatch(p.name)
    )
    return f"{release}-{digest(trust, *tools)[:32]}"


def bring(inside: Container, cache: Cache, kept: str) -> None:
    """Copy the ccache that was kept under a name into a container. Raises BuildError."""
    if not kept:
        return
    with cache.lock(KIND, kept):
        archive = cache.get(KIND, kept)
    if archive is None:
        return
    inside.call(["mkdir", DIRECTORY])
    inside.call(
        ["tar", "--extract", "--file=-", f"--directory={DIRECTORY}"],
        stdin=archive,
        brief=f"respin could not unpack the ccache in {archive}",
        hint=f"remove {archive}",
    )


def there(inside: Container) -> bool:
    """Tell whether a container has a ccache."""
    return inside.call(["test", "-d", DIRECTORY], check=False).status == 0


def take(inside: Container, dest: Path) -> Path:
    """Write the ccache of a container after its build to the archive ``dest``, and return that.

    It is empty if there is no ccache. Raises BuildError if it is too large.
    """
    if not there(inside):
        _write((), dest)
        return dest
    with dest.open("xb") as out:
        inside.call(
            ["tar", "--create", "--file=-", f"--directory={DIRECTORY}", "--exclude=./tmp", "."],
            stdout=out,
            limit=TAKEN,
            timeout=SECONDS,
            brief="respin could not copy ccache out of the container",
        )
    return dest


def keep(cache: Cache, kept: str, taken: Path) -> int | None:
    """Keep the ccache in ``taken`` under a name; return how many files are new.

    None if it is the first one, and empty: the next build begins to fill it. What another run has
    added meanwhile stays. Above SIZE, the least recently used files are dropped. Raises BuildError
    if that fails.
    """
    with cache.lock(KIND, kept), contextlib.ExitStack() as stack:
        there = cache.get(KIND, kept)
        try:
            new = stack.enter_context(tarfile.open(taken, "r:"))
            found = {entry.name: entry for entry in _entries(new)}
            had: dict[str, _Entry] = {}
            if there:
                old = stack.enter_context(tarfile.open(there, "r:"))
                had = {entry.name: entry for entry in _entries(old)}
            fresh = [e for e in found.values() if e.name not in had or had[e.name].size != e.size]
            first = not (there or found)
            if fresh or first:
                cache.put(KIND, kept, lambda part: _write({**had, **found}.values(), part))
        except (tarfile.TarError, ValueError, OSError) as e:
            raise BuildError(
                f"respin could not keep ccache's results in {cache.directory(KIND)}: {e}",
                hint="check that its disk is not full",
            ) from e
    return None if first else len(fresh)


def _entries(tar: tarfile.TarFile) -> Iterator[_Entry]:
    """Yield what may be kept of an archive: regular files with names like ccache's."""
    now = int(time.time())
    for member in tar:
        match = _NAME.fullmatch(member.name)
        if match and member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and member.size <= LARGEST:
            used = max(0, min(int(member.mtime), now))
            yield _Entry(name=match[1], size=member.size, used=used, tar=tar, member=member)


def _write(entries: Iterable[_Entry], archive: Path) -> None:
    """Write an archive of the newest of these files."""
    left = SIZE
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
        for entry in sorted(entries, key=lambda entry: entry.used, reverse=True):
            left -= entry.size
            if left < 0:
                break
            info = tarfile.TarInfo(entry.name)
            info.size, info.mtime, info.mode = entry.size, entry.used, 0o644
            tar.addfile(info, entry.tar.extractfile(entry.member))
