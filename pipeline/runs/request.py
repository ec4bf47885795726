# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user asks of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.archives import host_apt
from pipeline.config.config import Config
from pipeline.containers.engines import Kind
from pipeline.fixes.fixes import Fix
from pipeline.fixes.own_patch import OwnPatch
from pipeline.host.cache import Cache
from pipeline.model import Release
from pipeline.proof.envelope import Signer
from pipeline.releases.releases import NO_CONFIG, Pocket
from pipeline.runs.lockfile import Lock
from pipeline.smoke.user_object import UserObject

PACKAGE = "iproute2"
"""The source package, and the binary package that holds tc and ip."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asks for."""

    release: Release
    architecture: str = ""
    """The packages' architecture, by Debian's name; empty: this machine's."""
    fixes: tuple[Fix, ...]
    cache: Cache
    version: str | None = None
    """The distro's version; None: the newest in the release's pockets."""
    expected: str = ""
    """The SHA-256 that the source's .dsc must have; empty: any."""
    dsc: Path | None = None
    """A local source package in place of the archive's."""
    tree_dir: Path | None = None
    """A source tree with debian/, in place of the archive's."""
    locked: Lock | None = None
    """The inputs of an earlier run, to be used again."""
    at: str = ""
    """When the archive is read: YYYYMMDDTHHMMSSZ, from snapshot; empty: now."""
    offline: bool = False
    """Take everything from the cache. Only for what ``locked`` lists."""
    no_fixes: bool = False
    """Diagnose the fixes, but apply none of them: only the user's own patches."""
    patches: tuple[OwnPatch, ...] = ()
    """The user's own, in the order in which they are applied, after the fixes."""
    accepted: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each .dsc that no signature vouches for -> a text that says who does."""
    pockets: tuple[Pocket, ...] = ()
    """The pockets to read; empty: release, updates, security."""
    config: Config = NO_CONFIG
    mirror: str | None = None
    keyring: Path | None = None
    number: int = 1
    """Which rebuild of one distro version this is: the N of +bpfN."""
    cases: tuple[str, ...] | None = None
    objects: tuple[UserObject, ...] = ()
    container: Kind = Kind.AUTO
    """Where the package is built."""
    image: str | None = None
    """The base image for docker and podman."""
    trust_container: bool = False
    """Read a source that no signed index vouches for, even if the only wall is the container in
    which respin itself runs."""
    force_host: bool = False
    """Build in place even if this machine is not a container."""
    prove: bool = False
    """Smoke-test the distro's package if no fix is needed."""
    compare: bool = False
    """Say what the patch changed, also if that takes another build."""
    fresh: bool = False
    """Compile everything, without ccache: take nothing that an earlier build left there."""
    keep: bool = False
    logs: Path | None = None
    """Where the logs are written during the run; None: a directory under the cache."""
    signer: Signer | None = None
    """Who signs the statements about the run; None: nobody."""
    trusted: tuple[bytes, ...] = ()
    """Binary keyrings of those whose earlier runs a signed run may continue from as its own."""

    @property
    def applied(self) -> tuple[Fix, ...]:
        """Return the fixes that are applied where they are needed."""
        return () if self.no_fixes else self.fixes

    @property
    def target(self) -> str:
        """Return the name of the packages' architecture."""
        return self.architecture or host_apt.architecture()

    @property
    def cross(self) -> bool:
        """Return whether its packages are for another architecture than this machine's."""
        return self.target != host_apt.architecture()
