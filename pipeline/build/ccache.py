# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""ccache from one build to the next: no build writes to what another one reads.

A build has its ccache inside its container: a copy of what was kept, which goes with the
container. What it added is kept only when its run was proven and a signed index lists its
source; and then only files of the names that ccache gives to results and manifests, never a
configuration. What is kept is one tar archive for each toolchain and each trust, replaced as
a whole.

The toolchain is part of its name, because ccache holds the compiler against a result but not
the assembler (measured with 4.7.5 and 4.11.2: with another ``as`` the old object is a hit).
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
FOLDER = "/build/.ccache"
"""Of the build's own ccache; in every container."""

SIZE = 100 << 20
"""Bytes that are kept of each toolchain; one build of iproute2 leaves 7 MB."""

LARGEST = 16 << 20
"""Bytes of a result; the largest of iproute2 has 0.2 MB."""

TAKEN = 3 * SIZE
"""Bytes that may come out of a container."""

SECONDS = 120.0

_TOOLS = re.compile(r"(binutils|cpp|gcc|g\+\+|clang|llvm|lld|ccache)([-.\d].*)?")
"""Packages that say what a compilation comes to, besides what ccache itself looks at."""

_NAME = re.compile(
    r"(?:\./)?([0-9a-f]/(?:[0-9a-f]/){0,3}"
    r"[0-9a-v-]{20,80}(?:[RM]|\.(?:o|d|stderr|dia|manifest|gcno|su|dwo))?)"
)
"""Results and manifests, as ccache 3.1 to 4.12 name them."""


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """A file of a ccache, in an archive of it."""

    name: str
    size: int
    used: int
    """When it was last used, in seconds since 1970: ccache renews it with each hit."""
    tar: tarfile.TarFile
    member: tarfile.TarInfo


def environment() -> Mapping[str, str]:
    """Return what tells ccache to work in FOLDER, and to believe no file that says otherwise."""
    return {
        # debhelper gives a build a HOME of its own, where ccache would begin anew.
        "CCACHE_DIR": FOLDER,
        # In place of CCACHE_DIR/ccache.conf and of /etc/ccache.conf; nobody can write to it.
        "CCACHE_CONFIGPATH": "/dev/null",
        "CCACHE_BASEDIR": "/build",
        "CCACHE_COMPILERCHECK": "content",
        "CCACHE_MAXSIZE": f"{2 * SIZE >> 20}M",
    }


def name(release: str, packages: Iterable[Package], trust: str) -> str:
    """Return the name under which the ccache of a root is kept; empty: it is not.

    ``release`` says its distro, release and architecture, ``packages`` are what the root holds,
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
    """Give a container what was kept under a name, if anything was. Raises BuildError."""
    if not kept:
        return
    with cache.lock(KIND, kept):
        archive = cache.get(KIND, kept)
    if archive is None:
        return
    inside.call(["mkdir", FOLDER])
    inside.call(
        ["tar", "--extract", "--file=-", f"--directory={FOLDER}"],
        stdin=archive,
        brief=f"what was kept of ccache in {archive} cannot be unpacked",
        hint=f"remove {archive}",
    )


def take(inside: Container, dest: Path) -> Path | None:
    """Leave the ccache of a container that has built as an archive at ``dest``, and return that.

    None if it has none. Raises BuildError if it is too large.
    """
    if inside.call(["test", "-d", FOLDER], check=False).status != 0:
        return None
    with dest.open("xb") as out:
        inside.call(
            ["tar", "--create", "--file=-", f"--directory={FOLDER}", "--exclude=./tmp", "."],
            stdout=out,
            limit=TAKEN,
            timeout=SECONDS,
            brief="ccache could not be copied out of the container",
        )
    return dest


def keep(cache: Cache, kept: str, taken: Path) -> int:
    """Keep under a name what a build has left in ``taken``; return how many files are new.

    What another run has kept meanwhile stays. Where it comes to more than SIZE, what was not
    used for the longest time goes. Raises BuildError if that fails.
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
            if fresh:
                cache.put(KIND, kept, lambda part: _write({**had, **found}.values(), part))
        except (tarfile.TarError, ValueError, OSError) as e:
            raise BuildError(
                f"ccache's results cannot be kept in {cache.folder(KIND)}: {e}",
                hint="its disk may be full",
            ) from e
    return len(fresh)


def _entries(tar: tarfile.TarFile) -> Iterator[_Entry]:
    """Yield what may be kept of an archive: regular files of ccache's names, and no others."""
    now = int(time.time())
    for member in tar:
        match = _NAME.fullmatch(member.name)
        if match and member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and member.size <= LARGEST:
            used = max(0, min(int(member.mtime), now))
            yield _Entry(name=match[1], size=member.size, used=used, tar=tar, member=member)


def _write(entries: Iterable[_Entry], archive: Path) -> None:
    """Write an archive of the newest of these."""
    left = SIZE
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
        for entry in sorted(entries, key=lambda entry: entry.used, reverse=True):
            left -= entry.size
            if left < 0:
                break
            info = tarfile.TarInfo(entry.name)
            info.size, info.mtime, info.mode = entry.size, entry.used, 0o644
            tar.addfile(info, entry.tar.extractfile(entry.member))
