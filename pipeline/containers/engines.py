# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Choose the kind of container for a build, and make the root for it.

An engine makes a root with exactly the requested packages, and starts containers over it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from pipeline.archives import keyrings
from pipeline.containers import images, oci_engine, roots
from pipeline.containers.base import Container
from pipeline.containers.host import Host, install_here
from pipeline.containers.oci import Oci
from pipeline.containers.oci_engine import OciEngine
from pipeline.containers.unshare import Unshare
from pipeline.errors import BuildError, UsageError
from pipeline.files import bounded
from pipeline.host.cache import Cache, digest
from pipeline.host.progress import Stage
from pipeline.isolation import namespaces
from pipeline.model import AptSource, Package, Release


class Kind(StrEnum):
    """The kinds of container that a user may choose."""

    AUTO = "auto"
    UNSHARE = "unshare"
    DOCKER = "docker"
    PODMAN = "podman"
    HOST = "host"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The root that a build needs."""

    sources: tuple[AptSource, ...]
    release: Release
    names: tuple[str, ...]
    """Packages, with their dependencies."""
    key: tuple[Package, ...]
    """The resolved packages: exactly these are installed."""
    cache: Cache
    log: Path
    offline: bool = False
    """Whether it must be in the cache."""


@dataclass(frozen=True, kw_only=True)
class Root:
    """A root that is ready."""

    packages: tuple[Package, ...]
    """What it contains."""
    start: Callable[[Cache], Container]
    """Return a container over it, not yet entered; if it writes to the disk, it uses the cache's
    work directory."""
    tree: Path | None = None
    """Where it is, if it is a tree in the cache."""
    image: str = ""
    """The image that it was made from, by digest, if there is one."""
    trust: str = ""
    """A digest of what vouches for its content: the keys and the image. If it is empty, nothing is
    known, and nothing made in it is kept."""


class Engine(Protocol):
    """Makes roots and containers of one kind."""

    @property
    def name(self) -> str:
        """The kind's name."""

    @property
    def why(self) -> str:
        """Return in words why this one was chosen."""

    def root(self, wanted: Wanted, stage: Stage) -> Root:
        """Return the root. Raises BuildError or UsageError if it cannot be made."""


def choose(kind: Kind, *, image: str | None = None, force: bool = False) -> Engine:
    """Return the engine of that kind, or for ``AUTO`` the first that works here.

    ``image`` is the base image for docker and podman: a name, or ``scratch`` for a root of our own;
    None means the official one if it is available. ``force`` allows ``HOST`` on a machine that is
    not a container. Raises UsageError if the engine cannot be used here.
    """
    if image is not None and kind not in (Kind.DOCKER, Kind.PODMAN):
        raise UsageError(
            "--image is valid only with --container docker and podman",
            hint="omit --image, or choose one of these containers",
        )
    if kind is Kind.AUTO:
        return _automatic()
    why = "as requested"
    if kind is Kind.UNSHARE:
        return UnshareEngine(why=why)
    if kind is Kind.HOST:
        if not force and not namespaces.in_container():
            raise UsageError(
                "this machine is not a container: --container host would install the build "
                "dependencies on it and build in /build",
                hint="build with --container unshare, or insist with --force-host",
            )
        return HostEngine(why=why)
    return OciRoots(engine=oci_engine.find(kind.value), image=image, why=why)


def _automatic() -> Engine:
    if namespaces.possible():
        return UnshareEngine(why="this user can create namespaces")
    refused = []
    for name in ("docker", "podman"):
        try:
            engine = oci_engine.find(name)
        except UsageError as e:
            refused.append(e.brief)
            continue
        return OciRoots(engine=engine, why="namespaces cannot be created here, and it works")
    trouble = namespaces.trouble()
    assert trouble is not None
    # --container host is never chosen automatically: it upgrades and installs packages here.
    hint = trouble.hint
    if namespaces.in_container() and os.geteuid() == 0:
        hint += "; if this container is disposable, you can build in it with --container host"
    raise BuildError(trouble.brief, details="\n".join([trouble.details, *refused]), hint=hint)


@dataclass(frozen=True, kw_only=True)
class UnshareEngine:
    """Namespaces over a tree of the cache."""

    why: str
    name: str = "unshare"

    def root(self, wanted: Wanted, stage: Stage) -> Root:
        """Return the root, from the cache if it is there."""
        tree = _tree(wanted)
        return Root(
            tree=tree,
            packages=roots.packages_of(tree),
            trust=keyrings.trust(wanted.sources),
            start=lambda cache: Unshare(tree, cache),
        )


@dataclass(frozen=True, kw_only=True)
class HostEngine:
    """This machine, in place."""

    why: str
    name: str = "host"

    def root(self, wanted: Wanted, stage: Stage) -> Root:
        """Install the packages in place."""
        _check_online(wanted, self.name)
        host = Host()
        if host.limits:
            stage.note(host.limits)
        packages = install_here(wanted.sources, wanted.release, wanted.key, wanted.log)
        return Root(packages=packages, start=lambda _: Host())


@dataclass(frozen=True, kw_only=True)
class OciRoots:
    """Docker or podman."""

    engine: OciEngine
    why: str
    image: str | None = None

    @property
    def name(self) -> str:
        """The engine's."""
        return self.engine.name

    def root(self, wanted: Wanted, stage: Stage) -> Root:
        """Return the root: over the official image, over the user's, or made from scratch."""
        _check_online(wanted, self.name)
        engine, own = self.engine, self.image == "scratch"
        base = None
        if not own:
            base = images.base(engine, wanted.release, self.image, wanted.log)
            own = base is None
        if base is None:
            why = "as requested" if self.image else "the official image is not available"
            stage.note(f"{why}: importing a root made by mmdebstrap")
            image = images.imported(engine, _tree(wanted), wanted.release, wanted.cache)
        else:
            stage.note(f"from {base.name}")
            image = images.derived(
                engine, base, wanted.sources, wanted.key, wanted.cache, wanted.log
            )
        with Oci(engine, image) as box:
            packages = roots.parse(
                box.call(["cat", "/var/lib/dpkg/status"], limit=bounded.LARGE).stdout
            )
        return Root(
            packages=packages,
            image=base.name if base else "",
            trust=digest(base.id if base else "", keyrings.trust(wanted.sources)),
            start=lambda _: Oci(engine, image),
        )


def _check_online(wanted: Wanted, name: str) -> None:
    if wanted.offline:
        raise UsageError(
            f"--offline cannot build in --container {name}: its root does not come from the cache",
            hint="build with --container unshare",
        )


def _tree(wanted: Wanted) -> Path:
    return roots.root_tree(
        wanted.sources,
        wanted.release,
        wanted.names,
        wanted.cache,
        key=wanted.key,
        log=wanted.log,
        offline=wanted.offline,
    )
