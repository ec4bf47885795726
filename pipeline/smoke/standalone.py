# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The smoke test on its own: what does this tc load, on this kernel?

``measure`` tries one package, or two against each other, by the cases and ways that are asked
for, in a guest of the release or in namespaces of this machine, and returns a matrix for each
kernel.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.archives.apt import AptArchive
from pipeline.config.config import Config
from pipeline.errors import FetchError, SmokeImpossible, TestbedLost
from pipeline.host import command, temporary
from pipeline.host.cache import Cache
from pipeline.host.progress import Progress, Stage
from pipeline.isolation.scratch import scratch, sweep
from pipeline.model import SmokeReport
from pipeline.releases import releases
from pipeline.releases.releases import NO_CONFIG
from pipeline.smoke import guest_image, matrix, netns, results, smoke, tested_packages
from pipeline.smoke.bpf_object import UserObject
from pipeline.smoke.cases import Case
from pipeline.smoke.tested_packages import Deb
from pipeline.vm.machine import machine_for

SECONDS = 120.0
"""How long namespaces may take, beside what the rows themselves may."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be measured."""

    packages: tuple[Path, ...]
    """The package before and the one after; or one alone."""
    cases: tuple[Case, ...]
    objects: tuple[UserObject, ...]
    cache: Cache
    log_dir: Path
    place: str = "guest"
    """``guest`` or ``netns``."""
    release: str | None = None
    """Whose guest; None: this machine's."""
    kernels: tuple[str, ...] = ()
    """Names of kernel packages, .debs, or words of guests.SETS; empty: the release's usual one."""
    config: Config = NO_CONFIG
    mirror: str | None = None
    keyring: Path | None = None


Refused = SmokeImpossible | FetchError | TestbedLost
"""What concerns one kernel, and says nothing of others."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What came of it."""

    reports: tuple[SmokeReport, ...]
    refused: tuple[tuple[str, Refused], ...] = ()
    """Of several kernels, those that cannot be had or tested on, or lose the guest, and why."""


def measure(order: Order, progress: Progress) -> Measured:
    """Return the matrix of each kernel.

    Raises SmokeFailed for a package that is not iproute2 or cannot be installed,
    SmokeImpossible if the test cannot be made here, FetchError if what it needs cannot be had,
    TestbedLost if the guest is lost.
    """
    order.log_dir.mkdir(parents=True, exist_ok=True)
    sweep(order.cache)
    temporary.sweep()
    packages = _packages(order)
    if order.place == "netns":
        with progress.stage("smoke") as stage:
            return Measured(reports=(_in_namespaces(order, packages, stage),))
    release = releases.find(order.release, config=order.config)
    sources = releases.sources(
        release, mirror=order.mirror, keyring=order.keyring, config=order.config
    )
    archive = AptArchive(release, sources, order.cache)
    kernels = _kernels(archive, order.kernels)
    return on_each(kernels, lambda kernel: _in_guest(order, packages, archive, kernel, progress))


def on_each(
    kernels: Sequence[str | Path | None], measure_on: Callable[[str | Path | None], SmokeReport]
) -> Measured:
    """Return the matrix of each kernel; of several, one that cannot be tested on costs itself.

    If that leaves none, raises its error: of several, that of a guest that was lost.
    """
    reports: list[SmokeReport] = []
    refused: list[tuple[str, Refused]] = []
    for kernel in kernels:
        try:
            reports.append(measure_on(kernel))
        except (SmokeImpossible, FetchError, TestbedLost) as e:
            refused.append((str(kernel), e))
    if not reports:
        raise max((e for _, e in refused), key=lambda e: isinstance(e, TestbedLost))
    return Measured(reports=tuple(reports), refused=tuple(refused))


def _packages(order: Order) -> dict[str, Deb]:
    architecture = command.run(["dpkg", "--print-architecture"]).text.strip()
    found = [tested_packages.with_programs([path], architecture)[0] for path in order.packages]
    return dict(zip(("before", "after"), found, strict=False))


def _kernels(archive: AptArchive, names: Sequence[str]) -> list[str | Path | None]:
    found: list[str | Path | None] = []
    for name in names:
        if name in guest_image.SETS:
            found += guest_image.kernel_names(archive, name)
        else:
            found.append(Path(name) if name.endswith(".deb") else name)
    return found or [None]


def _in_guest(
    order: Order,
    packages: dict[str, Deb],
    archive: AptArchive,
    kernel: str | Path | None,
    progress: Progress,
) -> SmokeReport:
    log_dir = order.log_dir / Path(kernel).name if kernel else order.log_dir
    log_dir.mkdir(parents=True, exist_ok=True)
    with progress.stage("guest image") as stage:
        image = guest_image.prepare(
            archive, order.cache, log_dir=log_dir, stage=stage, kernel=kernel
        )
    with progress.stage("smoke") as stage:
        return smoke.smoke(
            image,
            before=[packages["before"].path],
            after=[packages["after"].path] if "after" in packages else [],
            turned={},
            lacks=None,
            cases=order.cases,
            objects=order.objects,
            cache=order.cache,
            log_dir=log_dir,
            stage=stage,
        )


def _in_namespaces(order: Order, packages: dict[str, Deb], stage: Stage) -> SmokeReport:
    begun = time.monotonic()
    netns.check()
    kernel = netns.kernel()
    with scratch(order.cache, "netns") as work:
        first = packages["before"]
        rows = [
            *matrix.case_rows(
                order.cases,
                kernel=kernel,
                machine=machine_for(first.architecture),
                version=first.version,
                home=str(work),
                cache=order.cache,
                log=order.log_dir / "objects.log",
            ),
            *matrix.object_rows(
                order.objects, kernel=kernel, version=first.version, home=str(work)
            ),
        ]
        stage.note(f"{len(rows)} rows on Linux {kernel.version}, in namespaces")
        said = netns.run(
            rows,
            {phase: [deb.path] for phase, deb in packages.items()},
            work,
            cache=order.cache,
            seconds=SECONDS + sum(row.seconds for row in rows if row.batch) * len(packages),
            log_dir=order.log_dir,
        )
    tcs = {
        phase: results.tc_of(said, phase, deb.version, ours=deb.ours)
        for phase, deb in packages.items()
    }
    return SmokeReport(
        place="netns",
        kernel=said.kernel,
        kernel_package=None,
        accelerator="",
        before=tcs["before"].text,
        after=tcs["after"].text if "after" in tcs else "",
        packages=tuple(deb.title for deb in packages.values()),
        loaders=tuple(tc.loader.name for tc in tcs.values()),
        cases=results.case_results(rows, tcs, said, turned={}, lost={}),
        crashes=0,
        seconds=round(time.monotonic() - begun, 3),
    )
