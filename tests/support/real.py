# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The real thing for tests: Debian's archive, Debian 12's iproute2 and a root to build it in.

They are kept in a separate cache for the tests (RESPIN_TEST_CACHE, or else in the user's cache
directory), so that only the first run of the tests takes the time to make them.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from pipeline.archives.apt import AptArchive
from pipeline.build import build
from pipeline.containers import roots
from pipeline.fixes import fixes, self_check
from pipeline.host import command
from pipeline.host.cache import Cache
from pipeline.host.progress import QUIET
from pipeline.isolation import namespaces
from pipeline.releases import releases

VERSION = "6.1.0-3"
TINY = Path(__file__).with_name("tiny")


@functools.cache
def cache() -> Cache:
    """Return the cache of the tests."""
    named = os.environ.get("RESPIN_TEST_CACHE")
    return Cache(Path(named) if named else platformdirs.user_cache_path("respin-tests"))


def checked(directory: Path) -> Path:
    """Return a new cache that has nothing but what the tests' cache knows of this Coccinelle.

    With an empty one, each call that reads a source begins with the self-check, of some seconds.
    """
    directory.mkdir()
    (directory / self_check.KIND).symlink_to(_self_checks())
    return directory


@functools.cache
def _self_checks() -> Path:
    self_check.check(cache(), fixes.all_fixes())
    return cache().directory(self_check.KIND)


@functools.cache
def archive(name: str = "bookworm", architecture: str = "") -> AptArchive:
    """Return Debian's archive of a release, by default Debian 12, for an architecture."""
    release = releases.find(name)
    sources = releases.sources(release, architecture=architecture)
    return AptArchive(release, sources, cache(), architecture=architecture)


@functools.cache
def dsc() -> Path:
    """Return the .dsc of iproute2 6.1.0-3 as Debian released it, with its files beside it."""

    def make(part: Path) -> None:
        archive().fetch_source("iproute2", VERSION, part)

    return cache().entry("sources", f"iproute2-{VERSION}", make) / f"iproute2_{VERSION}.dsc"


@functools.cache
def root(foreign: str = "") -> build.BuildRoot:
    """Return the root in which it is built, or cross-built for another architecture."""
    directory = cache().root / "logs"
    release = archive().release
    both = AptArchive(release, releases.sources(release), cache(), foreign=foreign)
    return build.prepare(both, dsc(), cache(), log_dir=directory, stage=QUIET)


@functools.cache
def small() -> Path:
    """Return the tree of a small root: Essential packages and apt, with the machine's mirror."""
    names = [*archive().essential(()), "apt", "debian-archive-keyring"]
    key = archive().closure(names)
    release = archive().release
    log = small_log()
    return roots.root_tree(archive().sources, release, names, cache(), key=key, log=log)


def small_log() -> Path:
    """Return the path of the small root's log, which exists if this cache had to make it."""
    return cache().root / "logs" / "small-root.log"


def tiny(directory: Path, *, version: str = "1.0", depends: str = "", **files: str) -> Path:
    """Make the source package ``tiny`` in ``directory`` and return its .dsc.

    ``files`` replace its own by name, with ``_`` for the dot.
    """
    tree = directory / f"tiny-{version}"
    (tree / "debian" / "source").mkdir(parents=True)
    for path in sorted(p for p in TINY.rglob("*") if p.is_file()):
        text = path.read_text().replace("@VERSION@", version)
        text = text.replace("@DEPENDS@", f", {depends}" if depends else "")
        (tree / path.relative_to(TINY)).write_text(text)
    for name, text in files.items():
        (tree / name.replace("_", ".")).write_text(text)
    (tree / "debian" / "rules").chmod(0o755)
    command.run(["dpkg-source", "--build", tree.name], cwd=directory)
    return directory / f"tiny_{version}.dsc"


@contextlib.contextmanager
def host_alone() -> Iterator[None]:
    """Lock /build, where --container host builds, against other test processes."""
    with (Path(tempfile.gettempdir()) / "respin-test-host.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def on_small_disk(directory: Path, size: str, script: Path, *args: str | Path) -> command.Completed:
    """Run a Python script in namespaces where ``directory`` is a disk of ``size`` (mount(8))."""
    paths = [str(Path(build.__file__).parents[2]), str(Path(__file__).parents[1]), *sys.path]
    small_disk = Path(__file__).with_name("small-disk.sh")
    python = [sys.executable, "-W", "error", script, *args]
    return command.run(
        [*namespaces.unshare(), "sh", small_disk, directory, size, *python],
        env={
            "PATH": namespaces.PATH,
            "PYTHONPATH": ":".join(filter(None, paths)),
            "RESPIN_TEST_CACHE": str(cache().root),
        },
        check=False,
        timeout=300,
    )
