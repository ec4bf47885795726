# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The smoke test alone: what does this tc load, on this kernel?

``measure`` tests one package, or compares two, with the requested cases and attach types, in a
guest of the release or in namespaces of this machine, and returns a matrix for each kernel.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.archives import host_apt
from pipeline.archives.apt import AptArchive
from pipeline.config.config import Config
from pipeline.errors import FetchError, SmokeImpossible, TestbedLost
from pipeline.host import compilers, temporary
from pipeline.host.cache import Cache
from pipeline.host.progress import Progress, Stage
from pipeline.isolation.scratch import scratch, sweep
from pipeline.model import SmokeReport
from pipeline.releases import releases
from pipeline.releases.releases import NO_CONFIG
from pipeline.smoke import (
    guest_image,
    matrix,
    netns,
    own_kernel,
    possible,
    results,
    smoke,
    tested_packages,
)
from pipeline.smoke.cases import Case
from pipeline.smoke.tested_packages import Deb
from pipeline.smoke.user_object import UserObject
from pipeline.vm.machine import machine_for

SECONDS = 120.0
"""Seconds that the namespaces may take in addition to the rows."""


@dataclass(frozen=True, kw_only=True)
class SmokeRequest:
    """What to measure."""

    packages: tuple[Path, ...]
    """The package before and the one after, or one alone."""
    cases: tuple[Case, ...]
    objects: tuple[UserObject, ...]
    cache: Cache
    log_dir: Path
    together: bool = False
    """Whether the objects are loaded one after the other, in one network and one bpffs."""
    place: str = "guest"
    """``guest`` or ``netns``."""
    release: str | None = None
    """The release of the guest; None for this machine's."""
    kernels: tuple[str, ...] = ()
    """Kernel packages, .debs, or words of guest_image.SETS; empty for the release's default."""
    config: Config = NO_CONFIG
    mirror: str | None = None
    keyring: Path | None = None


Kernel = str | tuple[Path, ...]
"""A kernel package of the release, or the .debs of the user's own kernel."""
Refused = SmokeImpossible | FetchError | TestbedLost
"""Errors that concern one kernel and say nothing about others."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The result of a measurement."""

    reports: tuple[SmokeReport, ...]
    refused: tuple[tuple[str, Refused], ...] = ()
    """The kernels, among several, that could not be tested, with the error of each."""


def measure(request: SmokeRequest, progress: Progress) -> Measured:
    """Return the matrix of each kernel.

    Raises SmokeFailed for a package that is not iproute2 or cannot be installed, SmokeImpossible if
    the test is not possible here, FetchError if something it needs cannot be fetched, TestbedLost
    if the guest is lost.
    """
    request.log_dir.mkdir(parents=True, exist_ok=True)
    sweep(request.cache)
    temporary.sweep()
    packages = _packages(request)
    if request.place == "netns":
        with progress.stage("smoke") as stage:
            return Measured(reports=(_in_namespaces(request, packages, stage),))
    architecture = packages["before"].architecture
    possible.check(architecture)
    release = releases.find(request.release, config=request.config)
    sources = releases.sources(
        release,
        mirror=request.mirror,
        keyring=request.keyring,
        config=request.config,
        architecture=architecture,
    )
    archive = AptArchive(release, sources, request.cache, architecture=architecture)
    kernels = _kernels(archive, request.kernels)
    return on_each(kernels, lambda kernel: _in_guest(request, packages, archive, kernel, progress))


def on_each(
    kernels: Sequence[Kernel | None], measure_on: Callable[[Kernel | None], SmokeReport]
) -> Measured:
    """Return the matrix of each kernel; among several, skip one that cannot be tested.

    If none is left, raises the error of a lost guest, or else the first error.
    """
    reports: list[SmokeReport] = []
    refused: list[tuple[str, Refused]] = []
    for kernel in kernels:
        try:
            reports.append(measure_on(kernel))
        except (SmokeImpossible, FetchError, TestbedLost) as e:
            refused.append((_shown(kernel), e))
    if not reports:
        raise max((e for _, e in refused), key=lambda e: isinstance(e, TestbedLost))
    return Measured(reports=tuple(reports), refused=tuple(refused))


def _packages(request: SmokeRequest) -> dict[str, Deb]:
    here = request.place == "netns"
    architecture = (
        host_apt.architecture() if here else tested_packages.architecture(request.packages)
    )
    found = [tested_packages.with_programs([path], architecture)[0] for path in request.packages]
    return dict(zip(("before", "after"), found, strict=False))


def _kernels(archive: AptArchive, names: Sequence[str]) -> list[Kernel | None]:
    found: list[Kernel | None] = []
    for name in names:
        if name in guest_image.SETS:
            found += guest_image.kernel_names(archive, name)
        elif not name.endswith(".deb"):
            found.append(name)
    found += own_kernel.together([Path(name) for name in names if name.endswith(".deb")])
    return found or [None]


def _shown(kernel: Kernel | None) -> str:
    """Return a kernel's name for people and directories: the file with the image, of several."""
    return kernel[0].name if isinstance(kernel, tuple) else Path(str(kernel)).name


def _in_guest(
    request: SmokeRequest,
    packages: dict[str, Deb],
    archive: AptArchive,
    kernel: Kernel | None,
    progress: Progress,
) -> SmokeReport:
    log_dir = request.log_dir / _shown(kernel) if kernel else request.log_dir
    log_dir.mkdir(parents=True, exist_ok=True)
    with progress.stage("guest image") as stage:
        image = guest_image.prepare(
            archive, request.cache, log_dir=log_dir, stage=stage, kernel=kernel
        )
    with progress.stage("smoke") as stage:
        return smoke.smoke(
            image,
            before=[packages["before"].path],
            after=[packages["after"].path] if "after" in packages else [],
            turned={},
            lacks=None,
            cases=request.cases,
            objects=request.objects,
            together=request.together,
            cache=request.cache,
            log_dir=log_dir,
            stage=stage,
        )


def _in_namespaces(request: SmokeRequest, packages: dict[str, Deb], stage: Stage) -> SmokeReport:
    begun = time.monotonic()
    netns.check()
    kernel = netns.kernel()
    with scratch(request.cache, "netns") as work:
        first = packages["before"]
        rows = [
            *matrix.case_rows(
                request.cases,
                kernel=kernel,
                machine=machine_for(first.architecture),
                version=first.version,
                home=str(work),
                cache=request.cache,
                log=request.log_dir / "objects.log",
            ),
            *matrix.object_rows(
                request.objects, kernel=kernel, home=str(work), together=request.together
            ),
        ]
        stage.note(f"{len(rows)} rows on Linux {kernel.version}, in namespaces")
        said = netns.run(
            rows,
            {phase: [deb.path] for phase, deb in packages.items()},
            work,
            cache=request.cache,
            seconds=SECONDS + sum(row.seconds for row in rows if row.batch) * len(packages),
            log_dir=request.log_dir,
        )
    tcs = {
        phase: results.tc_of(said, phase, deb.version, ours=deb.ours)
        for phase, deb in packages.items()
    }
    return SmokeReport(
        place="netns",
        kernel=said.kernel,
        kernel_package=None,
        architecture=packages["before"].architecture,
        accelerator="",
        before=tcs["before"].text,
        after=tcs["after"].text if "after" in tcs else "",
        packages=tuple(deb.title for deb in packages.values()),
        loaders=tuple(tc.loader.name for tc in tcs.values()),
        cases=results.case_results(
            rows, tcs, said, turned={}, lost={}, little=sys.byteorder == "little"
        ),
        crashes=0,
        seconds=round(time.monotonic() - begun, 3),
        compilers=compilers.versions(*(["clang"] if request.cases else []), "gcc"),
    )
