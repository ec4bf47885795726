# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stage build: build a source package in a container without network, privileges or host files.

The same source in a root with the same packages gives the same .deb, byte for byte, whoever builds
it and wherever: path, user, environment and time are fixed inside the container.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from debian.debian_support import Version

from pipeline.archives import deb_file, dsc_file
from pipeline.archives.apt import AptArchive
from pipeline.archives.resolve import PROFILES, toolchain
from pipeline.build import ccache, object_files, uploads
from pipeline.containers import Container, User
from pipeline.containers.base import copy_in, copy_out
from pipeline.containers.engines import Engine, Kind, Root, Wanted, choose
from pipeline.errors import BuildError
from pipeline.files import bounded, own_files
from pipeline.host.cache import Cache, file_sha256
from pipeline.host.command import tail
from pipeline.host.progress import Stage
from pipeline.model import Artifact, Built, Package, Release

TIME_LIMIT = 4 * 3600.0
"""Seconds after which a build counts as hanging."""

UNPACK_SECONDS = 600.0

CHANGES_MAX = 4 << 20
"""Bytes of a .changes; iproute2's has 2 kB."""

LARGEST = 16 << 20
"""Bytes of a package that is copied while others are still being made; iproute2's has 1 MB."""

TOOLS = ("build-essential", "fakeroot", "ccache")
"""What a build's root has besides essential packages and build dependencies. ccache is the one of
the release, because the host's might not run there."""

STATS = "/build/ccache.stats"
STATS_BYTES = 4 << 20
STATS_SECONDS = 60.0
LOG_END = 2 << 20
"""Bytes at the end of a build's log that are searched for errors."""
ERROR_LINES = 5
LOG_LINES = 40
LINE = 500
"""Characters of a line that an error message shows."""


@dataclass(frozen=True, kw_only=True)
class BuildRoot:
    """A root in which a source can be built."""

    release: Release
    root: Root
    foreign: str = ""
    """The architecture that a cross build is for; empty: that of its own programs."""

    @property
    def packages(self) -> tuple[Package, ...]:
        """What it contains."""
        return self.root.packages

    @property
    def tree(self) -> Path:
        """Where it is, if it is a tree in the cache."""
        assert self.root.tree is not None, "only unshare's roots are trees"
        return self.root.tree

    @property
    def architecture(self) -> str:
        """Debian's name of the architecture that it builds for."""
        own = (p.architecture for p in self.packages if p.name == "dpkg")
        return self.foreign or next(own)

    @property
    def ccache(self) -> str:
        """The name under which its ccache is kept; empty if it is not kept."""
        release = f"{self.release.distro}-{self.release.codename}-{self.architecture}"
        return ccache.name(release, self.packages, self.root.trust)


def prepare(
    archive: AptArchive,
    dsc: Path,
    cache: Cache,
    *,
    log_dir: Path,
    stage: Stage,
    exact: Sequence[Package] = (),
    engine: Engine | None = None,
) -> BuildRoot:
    """Return the root for a source, with its build dependencies, from the cache if possible.

    If the archive has a ``foreign`` architecture, it is a root to cross-build for that.
    ``engine`` makes it (default: the first kind of container that works here); ``exact`` are the
    packages that it must contain, instead of those that apt resolves.

    Raises BuildError for a build dependency that does not exist, or a root that cannot be
    made.
    """
    engine = engine or choose(Kind.AUTO)
    stage.note(f"container: {engine.name}, {engine.why}")
    check_toolchain(archive)
    names = beside_depends(archive)
    key = tuple(exact) or archive.closure(names, dsc=dsc)
    stage.note(f"root of {len(key)} packages")
    wanted = Wanted(
        sources=tuple(archive.sources),
        release=archive.release,
        names=names,
        key=key,
        cache=cache,
        log=log_dir / "root.log",
        offline=archive.offline,
    )
    root = engine.root(wanted, stage)
    # What dpkg lists there was compared with the key when the root was made; only the key has the
    # hashes of the files.
    sums = {p: p.sha256 for p in key}
    packages = tuple(replace(p, sha256=sums.get(p, "")) for p in root.packages)
    return BuildRoot(
        release=archive.release, root=replace(root, packages=packages), foreign=archive.foreign
    )


def beside_depends(archive: AptArchive) -> tuple[str, ...]:
    """Return the names of the packages in a root beside the build dependencies of its source."""
    # A build may count on Essential packages and build-essential (Debian Policy 4.2), no more.
    cross = (toolchain(archive.foreign),) if archive.foreign else ()
    return (*archive.essential(()), *TOOLS, *cross)


def check_toolchain(archive: AptArchive) -> None:
    """Raise BuildError if a release has no compilers for its archive's foreign architecture."""
    if archive.foreign and archive.candidate(toolchain(archive.foreign)) is None:
        raise BuildError(
            f"{archive.release.distro} {archive.release.codename} cannot cross-build for "
            f"{archive.foreign}: it has no {toolchain(archive.foreign)}",
            hint=f"build it on a machine of {archive.foreign}, or name a mirror that has the "
            "package (--mirror)",
        )


def build(
    root: BuildRoot,
    dsc: Path,
    version: str,
    epoch: int,
    dest: Path,
    *,
    cache: Cache,
    log_dir: Path,
    stage: Stage,
    jobs: int | None = None,
    objects: Path | None = None,
) -> Built:
    """Build ``dsc`` as ``build_in`` does, in a container of its own."""
    with container(root, cache) as inside:
        return build_in(
            inside,
            root,
            dsc,
            version,
            epoch,
            dest,
            log_dir=log_dir,
            stage=stage,
            jobs=jobs,
            objects=objects,
        )


@contextmanager
def container(root: BuildRoot, cache: Cache, *, fresh: bool = False) -> Iterator[Container]:
    """Yield a container for one build in ``root``, with the ccache that is kept for it.

    If ``fresh``, its ccache is empty.
    """
    with root.root.start(cache) as inside:
        if not fresh:
            ccache.bring(inside, cache, root.ccache)
        yield inside


def build_in(
    inside: Container,
    root: BuildRoot,
    dsc: Path,
    version: str,
    epoch: int,
    dest: Path,
    *,
    log_dir: Path,
    stage: Stage,
    jobs: int | None = None,
    objects: Path | None = None,
) -> Built:
    """Build the binary packages of ``dsc`` in the new directory ``dest``.

    ``inside`` is a started container of ``root`` in which nothing was built yet; ``version`` is the
    version to expect, ``epoch`` the time of the build in seconds since 1970, ``jobs`` the number of
    parallel compilers (default: one per CPU that this process may use); ``objects`` is a new
    directory for the object files. Everything is compiled without ccache if the container has none
    (``ccache.bring``). The log is ``log_dir/build.log``. Raises BuildError and leaves no ``dest``.
    """
    log = log_dir / "build.log"
    started = time.monotonic()
    dest.parent.mkdir(parents=True, exist_ok=True)
    try:
        with own_files.replacing(dest) as part:
            part.mkdir()
            part.chmod(0o755)
            if inside.limits:
                stage.note(inside.limits)
            if not root.ccache:
                stage.note("ccache is not used: nothing vouches for the content of this root")
            environment = _environment(root.foreign, ccached=ccache.there(inside))
            made = _build(inside, root, dsc, version, epoch, log, stage, jobs, environment)
            copy_out(inside, "/build", [made], part, most=CHANGES_MAX)
            names = names_in(part / made, version)
            copy_out(inside, "/build", names, part)
            # ccache older than 4.4 writes none.
            stats = inside.call(
                ["cat", STATS],
                check=False,
                limit=STATS_BYTES,
                timeout=STATS_SECONDS,
                brief="respin could not read ccache's statistics of this build",
            ).stdout
            compiler = _compiler(inside, root.foreign) if root.foreign else ""
            for each in uploads.read(part / made).files:
                if file_sha256(part / each.name) != each.sha256:
                    raise BuildError(f"{each.name} does not match the entry in {made}")
            if objects:
                object_files.copy_out(inside, _directory(dsc, version), objects)
    except OSError as e:
        raise _from_os(e, dest) from e
    artifacts = [artifact(dest / name) for name in (made, *names)]
    return Built(
        version=version,
        debs=tuple(a for a in artifacts if a.path.suffix in (".deb", ".ddeb")),
        changes=artifacts[0],
        buildinfo=next(a for a in artifacts if a.path.suffix == ".buildinfo"),
        container=inside.name,
        cross=compiler,
        omitted=dsc_file.read(dsc).independent if root.foreign else (),
        image=root.root.image,
        root=root.packages,
        seconds=round(time.monotonic() - started, 3),
        ccache=ccache_counters(stats),
    )


def _build(
    inside: Container,
    root: BuildRoot,
    dsc: Path,
    version: str,
    epoch: int,
    log: Path,
    stage: Stage,
    jobs: int | None,
    environment: Mapping[str, str],
) -> str:
    """Unpack the source and build it; return the name of the .changes in /build."""
    fields = dsc_file.read(dsc)
    name = fields.name
    beside = [dsc.parent / each.name for each in fields.files]
    directory = _directory(dsc, version)
    copy_in(inside, [dsc, *beside], "/build")
    inside.call(
        ["dpkg-source", "--no-check", "-x", f"/build/{dsc.name}", directory],
        directory="/build",
        timeout=UNPACK_SECONDS,
        log=log,
        brief=f"dpkg-source could not unpack {dsc.name}",
    )
    # ccache's links are made at its installation, which may come before that of cc.
    inside.call(["update-ccache-symlinks"], user=User.ROOT, timeout=UNPACK_SECONDS, log=log)
    jobs = jobs or len(os.sched_getaffinity(0))
    stage.note(f"dpkg-buildpackage with {jobs} jobs")
    done = inside.call(
        ["dpkg-buildpackage", *_what(root.foreign), "-us", "-uc", f"-j{jobs}"],
        directory=directory,
        env={**environment, "SOURCE_DATE_EPOCH": str(epoch)},
        timeout=TIME_LIMIT,
        log=log,
        check=False,
        brief=f"the build of {name} {version} did not finish",
    )
    if done.status != 0:
        raise explain(name, version, done.status, log, foreign=root.foreign)
    plain = re.sub(r"^\d+:", "", version)
    return f"{name}_{plain}_{root.architecture}.changes"


def _directory(dsc: Path, version: str) -> str:
    """Return where a source is unpacked and built, in the container."""
    return f"/build/{dsc_file.read(dsc).name}-{Version(version).upstream_version}"


def _what(foreign: str) -> list[str]:
    """Return the options that say what dpkg-buildpackage builds, and for which architecture.

    Packages that are the same for every architecture come from a native build.
    """
    return ["-B", f"-a{foreign}", f"-P{PROFILES}"] if foreign else ["-b"]


def _compiler(inside: Container, foreign: str) -> str:
    """Return what the compiler of a cross build says that it is."""
    argv = ["dpkg-architecture", f"-a{foreign}", "-qDEB_HOST_GNU_TYPE"]
    triplet = inside.call(argv, timeout=STATS_SECONDS).text.strip()
    said = inside.call([f"{triplet}-gcc", "--version"], timeout=STATS_SECONDS).text
    return said.partition("\n")[0][:LINE]


def _environment(foreign: str, *, ccached: bool) -> Mapping[str, str]:
    """Return the environment of a build, on top of the container's own.

    To fill a ccache, every file is read by the preprocessor once more: a quarter of the time of
    iproute2's build (docs/facts.md).
    """
    cross = {
        # For configure, which cannot run what it compiles there: as sbuild does, from dpkg-cross.
        "CONFIG_SITE": f"/etc/dpkg-cross/cross-config.{foreign}",
        # What dh makes of the profile; a debian/rules without dh looks only here.
        "DEB_BUILD_OPTIONS": "nocheck",
    }
    return {
        **ccache.environment(),
        **({} if ccached else {"CCACHE_DISABLE": "1"}),
        **(cross if foreign else {}),
        "PATH": "/usr/lib/ccache:/usr/sbin:/usr/bin:/sbin:/bin",
        "CCACHE_STATSLOG": STATS,
    }


def ccache_counters(log: bytes) -> dict[str, int]:
    """Count the results in ccache's stats log; "# FILE" begins each compilation."""
    lines = log.decode("utf-8", "replace").splitlines()
    return dict(sorted(Counter(line for line in lines if re.fullmatch(r"[a-z_]+", line)).items()))


def names_in(changes: Path, version: str) -> list[str]:
    """Return the files in a .changes; raise BuildError if its version is not ``version``."""
    found = uploads.read(changes)
    if found.version != version:
        raise BuildError(f"{changes.name} has version {found.version[:60]} instead of {version}")
    names = [each.name for each in found.files]
    if not any(n.endswith(".deb") for n in names) or not any(
        n.endswith(".buildinfo") for n in names
    ):
        raise BuildError(f"{changes.name} lists no package: {', '.join(names)}")
    return names


def written(deb: Path, copy: Path) -> bool:
    """Copy a package that a build writes to ``copy``, if it is all there; say if it was.

    ``deb`` may be anything, and change meanwhile. Raises OSError if it cannot be read or copied.
    """
    data = bounded.read(deb, LARGEST, follow=False)
    if not deb_file.whole(data):
        return False
    copy.write_bytes(data)
    return True


def artifact(path: Path) -> Artifact:
    """Return a file as what a build made."""
    return Artifact(path=path, size=path.stat().st_size, sha256=file_sha256(path))


def explain(name: str, version: str, status: int, log: Path, *, foreign: str = "") -> BuildError:
    """Return the error for a build that ended with ``status``, a cross build if ``foreign``."""
    try:
        text = bounded.end(log, LOG_END)
    except OSError as e:
        text = f"respin could not read the log: {e.strerror}".encode()
    lines = text.decode("utf-8", "replace").splitlines()
    end = tail(text, LOG_LINES)
    full = os.strerror(errno.ENOSPC)
    if any(full in line for line in lines[-500:]):
        return BuildError(
            f"the disk filled up during the build of {name} {version}",
            details=f"{end}\nThe whole log: {log}",
            hint="free some space, or use a cache directory on another disk with --cache DIR",
        )
    errors = [line for line in lines if re.search(r": (fatal )?error: |\*\*\* ", line)]
    shown = [line for line in errors if line not in end][:ERROR_LINES]
    what = f"the cross build of {name} {version} for {foreign}"
    hint = "read the first error in the log; report.json lists the packages in the root"
    if foreign:
        hint = (
            "read the first error in the log; if its debian/rules cannot cross-build, build it on "
            f"a machine with the architecture {foreign}"
        )
    return BuildError(
        f"{what if foreign else f'the build of {name} {version}'} failed: "
        f"dpkg-buildpackage exited with status {status}",
        details="\n".join([*(line[:LINE] for line in shown), end, f"The whole log: {log}"]),
        hint=hint,
    )


def _from_os(e: OSError, dest: Path) -> BuildError:
    """Return the error for a system call of respin's own that failed."""
    if e.errno == errno.ENOSPC:
        return BuildError(
            "the disk filled up during the build",
            details=str(e),
            hint="free some space, or use other directories with --cache DIR and --out DIR",
        )
    return BuildError(f"respin could not write the packages to {dest}", details=str(e))
