# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a night works with: configuration, cache, the clock, and how a source is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from pipeline import run as pipeline_run
from pipeline.archives import host_apt
from pipeline.config.config import Config
from pipeline.config.nightly import Nightly
from pipeline.fixes import own_fix, own_patch
from pipeline.fixes.fixes import Fix, all_fixes
from pipeline.fixes.own_patch import OwnPatch
from pipeline.host import disk
from pipeline.host.cache import Cache
from pipeline.host.disk import Space
from pipeline.nightly import plan, port
from pipeline.nightly.targets import Target, targets
from pipeline.releases.distroinfo import Known
from pipeline.runs import single_stage
from pipeline.runs.report import Report
from pipeline.runs.request import Request
from pipeline.smoke import own_cases

PUBLIC = "public"
RUNS = "runs"
GIVEN = ".given"
"""In STATE/runs: the copy of a directory that somebody gives, until it is a run."""

Runner = Callable[[Request, Path], Report]


def prove_again(request: Request, earlier: Path, out: Path) -> Report:
    """Smoke-test the packages in a run's directory with the distro's package beside them."""
    return single_stage.prove_only(request, earlier, None, out)


@dataclass(frozen=True, kw_only=True)
class World:
    """What a night works with."""

    config: Config
    cache: Cache
    clock: Callable[[], datetime]
    run: Runner = pipeline_run.run
    patch: Runner = single_stage.patch_only
    lacks: Callable[[Request], bool] = port.lacks
    """Tells whether the archive does not have the distro's own package of a request yet."""
    package: Callable[[Request, str, Path], Path | None] = port.package
    """Fetches the distro's package with a name, of a request's version, into a directory."""
    prove: Callable[[Request, Path, Path], Report] = prove_again
    """Proves the packages of a run's directory here, and leaves a directory of its own."""
    known: Sequence[Known] | None = None
    """The releases that exist; None: those of distro-info-data."""
    space: Callable[[Path], Space] = disk.space
    """Returns how full the file system of a directory is."""
    fixes: tuple[Fix, ...] = field(default_factory=all_fixes)
    patches: Mapping[str, tuple[OwnPatch, ...]] = field(default_factory=dict)
    """Codename -> the user's own patches for that release; "": for every other one."""
    note: Callable[[str, str], None] = lambda target, text: None
    """Called with a target and what is going on there."""

    @property
    def settings(self) -> Nightly:
        """What [nightly] says."""
        return self.config.nightly

    @property
    def directory(self) -> Path:
        """The state directory."""
        return self.settings.state_directory()

    @property
    def public(self) -> Path:
        """The directory that a web server serves."""
        return self.directory / PUBLIC

    def with_patches(self) -> World:
        """Return it with the user's own patches and fixes, which are read once. Raises UsageError.

        A command that makes nothing, such as ``respin withdraw``, works without them.
        """
        names = ("", *self.config.releases)
        found = {name: own_patch.read_all(self.config.patches_for(name)) for name in names}
        if not self.config.own.fixes:
            return replace(self, patches=found)
        fixes = own_fix.known(self.cache, self.config.own.fixes)
        own_cases.of(fixes)
        return replace(self, patches=found, fixes=fixes)

    def inputs(self, target: Target) -> dict[str, str]:
        """Return what a package of a target depends on here (``plan.inputs_of``)."""
        return plan.inputs_of(self.fixes, self._patches(target))

    def _patches(self, target: Target) -> tuple[OwnPatch, ...]:
        return self.patches.get(target.release.codename, self.patches.get("", ()))

    def watched(self) -> dict[str, Target]:
        """The targets to watch today, by name. Raises UsageError for an unknown name."""
        return {target.name: target for target in self.targets(self.settings.releases)}

    def targets(
        self, names: Sequence[str], pockets: Sequence[str] | None = None
    ) -> tuple[Target, ...]:
        """Return the targets of releases, with the pockets that are watched, or with these."""
        return targets(
            names,
            self.settings.pockets if pockets is None else pockets,
            self.config,
            self.clock().date(),
            self.known,
            architectures=self.settings.architectures or (host_apt.architecture(),),
        )

    def now(self) -> int:
        """The time, in seconds since 1970."""
        return int(self.clock().timestamp())

    def request(
        self,
        target: Target,
        version: str | None,
        number: int,
        *,
        architecture: str = "",
        logs: Path | None = None,
    ) -> Request:
        """Return the request for a run of a version; ``number`` is the N of +bpfN.

        ``architecture`` is Debian's name of the package's (default: this machine's).
        """
        return Request(
            release=target.release,
            version=version,
            pockets=target.asked(),
            config=self.config,
            fixes=self.fixes,
            patches=self._patches(target),
            cache=self.cache,
            number=number,
            logs=logs,
            architecture="" if architecture == host_apt.architecture() else architecture,
        )
