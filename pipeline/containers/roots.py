# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Roots: file systems of a release with exactly the requested packages, made by mmdebstrap.

A root is made once for a set of package versions and kept in the cache, as a tarball or as a tree.
apt verifies every package against the release's signed index.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from debian.deb822 import Deb822

from pipeline.archives import credentials, host_apt, keyrings, openpgp
from pipeline.archives.privateroot import FILL
from pipeline.config import limits
from pipeline.containers import multiarch
from pipeline.errors import BuildError, FetchError
from pipeline.files import bounded
from pipeline.host import command
from pipeline.host.cache import Cache, digest
from pipeline.host.resources import package_data
from pipeline.isolation import namespaces
from pipeline.isolation.namespaces import remove_tree
from pipeline.isolation.scratch import scratch
from pipeline.model import AptSource, Package, Release
from pipeline.text import quoting

__all__ = ["packages_of", "remove_tree", "root_tar", "root_tree"]

FORMAT = "5"
"""Part of every key; increase it when the way of making roots changes."""

MEMORY_NEEDED = 3 << 30
"""Bytes of memory that must be free to make a root in memory; it takes up to 1 GiB."""

LISTED = 256 << 20
"""Bytes of the list of a tree's files; with 200 packages it has 1.5 MB."""


def root_tar(
    sources: Sequence[AptSource],
    release: Release,
    packages: Sequence[str],
    cache: Cache,
    *,
    key: Sequence[Package],
    log: Path | None,
) -> Path:
    """Return the uncompressed tarball of a root; see ``root_tree``."""

    def make(part: Path) -> None:
        _make("tar", part, sources, release, packages, cache, key, log)

    return cache.entry("root-tars", entry_key(sources, release, packages, key), make)


def root_tree(
    sources: Sequence[AptSource],
    release: Release,
    packages: Sequence[str],
    cache: Cache,
    *,
    key: Sequence[Package],
    log: Path | None,
    offline: bool = False,
) -> Path:
    """Return the tree of a root; make it if the cache does not have it, unless ``offline``.

    ``packages`` are the names to install with their dependencies (but not recommended packages),
    ``key`` are the resolved versions: exactly these packages are installed, and the cache entry is
    named after them. The tree must not be changed; put an overlay over it. The user who made it can
    enter it, and remove it with ``remove_tree``.

    Raises BuildError with the end of mmdebstrap's output if the root cannot be made, or if the
    installed packages are not ``key``; FetchError if it must be in the cache and is not.
    """

    def make(part: Path) -> None:
        if offline:
            raise FetchError(
                f"the cache does not have the build's root of {release.distro} {release.codename}",
                hint=FILL,
            )
        _make("tree", part, sources, release, packages, cache, key, log)

    # Its files belong to this user's subordinate ids.
    name = digest(entry_key(sources, release, packages, key), namespaces.whose())
    return cache.entry("roots", name, make, remove=remove_tree, seal=seal)


def seal(tree: Path) -> str:
    """Return a fingerprint of a tree: names, owners, modes, sizes, links and times of its files.

    The files are not read, which would take a second for each run. Changing a file also changes its
    ctime (inode(7)), which only the kernel sets. Raises BuildError.
    """
    form = "%y %m %U %G %s %T@ %C@ %P -> %l\\0"
    done = command.run(
        ["find", tree, "-mindepth", "1", "-printf", form],
        begin=namespaces.reaching(),
        env={"PATH": namespaces.PATH, "LC_ALL": "C"},
        limit=LISTED,
        error=BuildError,
        brief=f"respin could not list the root {tree}",
    )
    return digest(*sorted(done.stdout.split(b"\0")))


def packages_of(tree: Path) -> tuple[Package, ...]:
    """Return the packages that dpkg lists as installed in a tree, by name."""
    return _installed(tree / "var/lib/dpkg/status")


def _installed(status: Path) -> tuple[Package, ...]:
    try:
        return parse(bounded.read(status, bounded.LARGE))
    except OSError as e:
        raise BuildError(f"respin could not read the root's list of packages: {e.strerror}") from e


def parse(status: bytes) -> tuple[Package, ...]:
    """Return the packages that a dpkg status file lists as installed; raise BuildError."""
    # As lines: a single text without a line end would be taken for a file name.
    lines = status.decode("utf-8", "replace").split("\n")
    try:
        packages = [
            Package(name=p["Package"], version=p["Version"], architecture=p["Architecture"])
            for p in Deb822.iter_paragraphs(lines, use_apt_pkg=False)
            if p.get("Status") == "install ok installed"
        ]
    except (KeyError, ValueError, TypeError) as e:
        raise BuildError(
            "respin could not parse dpkg's list of installed packages",
            details=f"{type(e).__name__}: {e}",
        ) from e
    return tuple(sorted(packages, key=lambda p: (p.name, p.architecture)))


def entry_key(
    sources: Sequence[AptSource],
    release: Release,
    packages: Sequence[str],
    key: Sequence[Package],
) -> str:
    """Return the name of a root's cache entry.

    It depends on the content of the root and on the keys that verified it, so any archive with the
    same files and keys gives the same entry.
    """
    known = bool(key) and all(p.sha256 for p in key)
    return digest(
        FORMAT,
        release.distro,
        release.codename,
        "False",  # so that the roots that older versions made are still found
        keyrings.trust(sources),
        *(() if known else sorted(s.uri for s in sources)),
        *(sorted(set(packages)) if not key else ()),
        "",
        *sorted(f"{p.name} {p.version} {p.architecture} {p.sha256}" for p in key),
    )


def _make(
    form: str,
    target: Path,
    sources: Sequence[AptSource],
    release: Release,
    packages: Sequence[str],
    cache: Cache,
    key: Sequence[Package],
    log: Path | None,
) -> None:
    """Make a root and leave it at ``target`` as ``tree`` or ``tar``."""
    with scratch(cache, "root", remove=remove_tree) as work, _place() as size:
        stanzas = work / "release.sources"
        near = [_near(number, source, work) for number, source in enumerate(sources)]
        stanzas.write_text("\n".join(s.stanza(types="deb") for s in near))
        (work / "mnt").mkdir()
        script = work / "make-root.sh"
        shutil.copyfile(package_data(__package__, "make-root.sh"), script)
        argv: list[str | Path] = ["sh", script, work]
        argv += [size, form]
        argv += _mmdebstrap(packages, key)
        argv += _reaching(work, sources, next((s.gpgv for s in near if s.gpgv), openpgp.GPGV))
        argv += [release.codename, work / "mnt" / "root", stanzas]
        # apt's own user must be able to reach its downloads; nobody outside can.
        work.chmod(0o755)
        namespaces.given(work)
        command.run(
            argv,
            begin=namespaces.maker(work, copies=credentials.files()),
            env=_environment(work),
            timeout=limits.LIMITS.files,
            log=log,
            error=BuildError,
            brief=f"mmdebstrap could not make the root of {release.distro} {release.codename}",
            hint="see above on which package or index it failed; without a network only a root in "
            "the cache can be used",
        )
        compare(work / "status", key)
        if form == "tar":
            namespaces.taken(work / "made")
        (work / "made").rename(target)


def _near(number: int, source: AptSource, work: Path) -> AptSource:
    """Return a source with its keys, and the program that checks them, where they are readable.

    The system's own keys stay where they are: the root records their path, and has them too.
    """
    keyring = source.keyring
    if not keyring.is_relative_to("/usr"):
        keyring = work / f"{number}{keyring.suffix or '.gpg'}"
        shutil.copyfile(source.keyring, keyring)
    gpgv = None
    if source.gpgv:
        gpgv = work / f"{number}-gpgv"
        shutil.copyfile(source.gpgv, gpgv)
        gpgv.chmod(0o755)
    return replace(source, keyring=keyring, gpgv=gpgv, also=())


def _mmdebstrap(packages: Sequence[str], key: Sequence[Package]) -> list[str]:
    """Return the command and its options, up to suite, target and sources."""
    names, others = multiarch.named(key), multiarch.foreign(key)
    # A root with base-files is a complete system. Installing essential packages first is faster
    # than "custom", which unpacks all packages twice.
    whole = any(p.name == "base-files" for p in key)
    variant = "essential" if whole else "custom"
    argv = [
        "mmdebstrap",
        "--mode=root",
        "--format=directory",
        f"--variant={variant}",
        f"--include={','.join(names or packages)}",
        "--skip=output/dev,chroot/mount/sys",
        "--dpkgopt=force-unsafe-io",
        '--aptopt=Acquire::Languages "none"',
        '--aptopt=Acquire::Retries "3"',
    ]
    if others:
        argv.append(f"--architectures={','.join((*multiarch.own(key), *others))}")
    return argv


def _reaching(work: Path, sources: Sequence[AptSource], gpgv: Path) -> list[str]:
    """Return the options that tell mmdebstrap's apt how to reach archives, and whom to ask of keys.

    The machine's proxies and all credentials are in files that only this user can read.
    mmdebstrap's temporary configuration of apt names them, because anything in --aptopt would
    appear in the process list and stay in the root.
    """
    credentials.write(work, (source.uri for source in sources))
    lines = (
        f"Dir::Etc::netrc {quoting.apt_conf(str(work / credentials.NETRC))};",
        f"Dir::Etc::netrcparts {quoting.apt_conf(str(work / credentials.PARTS))};",
        f"Apt::Key::gpgvcommand {quoting.apt_conf(str(gpgv))};",
        *host_apt.network_settings(),
    )
    conf = work / "apt.conf"
    credentials.private(conf, "\n".join((*lines, "")))
    line = shlex.quote(f"#include {quoting.apt_conf(str(conf))};")
    return [f"--setup-hook=printf '%s\\n' {line} >> \"$MMDEBSTRAP_APT_CONFIG\""]


def _environment(work: Path) -> dict[str, str]:
    """Return the environment of mmdebstrap: of ours only how to reach the archive."""
    proxies = {k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")}
    return proxies | {
        "PATH": namespaces.PATH,
        "HOME": str(work),
        "TMPDIR": str(work),
        "LC_ALL": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
    }


_counting = threading.Lock()
_in_memory = 0
"""The roots that this process is making in memory now: they take theirs only bit by bit."""


@contextlib.contextmanager
def _place() -> Iterator[str]:
    """Yield the size of the file system in memory for a root, or ``disk`` if memory is short."""
    global _in_memory
    with _counting:
        enough = _memory_available() >= MEMORY_NEEDED * (1 + _in_memory)
        mine = int(namespaces.possible() and enough)
        _in_memory += mine
    try:
        yield "1536m" if mine else "disk"
    finally:
        with _counting:
            _in_memory -= mine


def _memory_available() -> int:
    """Return the bytes of memory that are available without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def compare(status: Path, key: Sequence[Package]) -> None:
    """Compare the installed packages with the key; raise BuildError if they differ."""
    wanted = {f"{p.name} {p.version} {p.architecture}" for p in key}
    there = {f"{p.name} {p.version} {p.architecture}" for p in _installed(status)}
    if wanted and there != wanted:
        lines = [f"missing: {p}" for p in sorted(wanted - there)]
        lines += [f"not requested: {p}" for p in sorted(there - wanted)]
        raise BuildError(
            "the new root does not contain the packages that were resolved",
            details="\n".join(lines),
            hint="the archive may have changed meanwhile; run respin again",
        )
