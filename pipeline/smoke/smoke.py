# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stage smoke: the packages load real objects in a guest of the release.

In one boot the distro's package is installed and tested, and then the new one, which may still be
building meanwhile. The proof is what the guest's kernel counted and the receiver got; what a
package reports itself is not enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

from pipeline.errors import SmokeImpossible
from pipeline.host import compilers
from pipeline.host.cache import Cache, file_sha256
from pipeline.host.progress import QUIET, Stage
from pipeline.model import GOOD, SmokeReport
from pipeline.smoke import guest_files, matrix, results, tested_packages
from pipeline.smoke.cases import Case
from pipeline.smoke.guest_image import modules_of, prepare
from pipeline.smoke.guest_session import GuestPlan, play
from pipeline.smoke.matrix import KernelFacts
from pipeline.smoke.tested_packages import Deb
from pipeline.smoke.user_object import UserObject
from pipeline.vm import qemu
from pipeline.vm.image import GuestImage

__all__ = ["GuestImage", "UserObject", "prepare", "smoke"]

SECONDS = 120.0
"""Seconds that a guest may take; it takes 10 s in emulation on two idle cores."""


def smoke(
    image: GuestImage,
    *,
    before: Sequence[Path],
    after: Sequence[Path] | Future[Sequence[Path]],
    turned: Mapping[str, Sequence[str]],
    lacks: frozenset[str] | None,
    about: frozenset[str] | None = None,
    keeps: bool = False,
    cases: Sequence[Case],
    objects: Sequence[UserObject] = (),
    together: bool = False,
    cache: Cache,
    log_dir: Path,
    stage: Stage = QUIET,
    seconds: float | None = None,
) -> SmokeReport:
    """Test packages in a guest and return the results; a bad cell raises nothing.

    ``before`` are the distro's .debs, ``after`` the new ones or none; while the new ones are not
    ready, the guest tests the distro's. ``turned`` are the cases that the needed fixes turn, each
    with patterns for the refusal by the package before; ``lacks`` names those fixes, which the
    package after has; None if nothing is known about either package. If it ``keeps`` what loads, it
    has none of these, and must load what the package before loads. ``about`` names the fixes that
    were looked for, if not all; neither package has the others. ``objects`` are the user's own,
    each tried alone, or ``together``. ``seconds`` is how long the guest may take, twice if it
    has to wait.

    Raises SmokeFailed if dpkg does not install a package, TestbedLost if the guest is lost,
    SmokeImpossible if the test is not possible, UsageError for an invalid object, and the error of
    a build that failed.
    """
    log_dir.mkdir(parents=True, exist_ok=True)
    architecture = image.machine.architecture
    distro = tested_packages.with_programs(before, architecture)
    version = distro[0].version
    kernel = KernelFacts(version=image.kernel, config=image.config, modules=modules_of(image))
    home = guest_files.HOME
    rows = [
        *matrix.case_rows(
            cases,
            kernel=kernel,
            machine=image.machine,
            version=version,
            home=home,
            cache=cache,
            log=log_dir / "objects.log",
        ),
        *matrix.object_rows(objects, kernel=kernel, home=home, together=together),
    ]
    coming = _coming(after) if after else None
    accel = qemu.accelerator(image.machine, image.vmlinuz, cache)
    stage.note(f"{len(rows)} rows on {image.kernel}, {accel}")
    phases = ("before", "after") if coming else ("before",)
    limit = seconds or SECONDS + sum(r.seconds for r in rows if r.batch) * len(phases)
    guest = GuestPlan(
        image=image, rows=rows, accel=accel, seconds=limit, cache=cache, log_dir=log_dir
    )
    try:
        played = play(guest, phases, _to_install(image, distro), coming)
    except OSError as e:
        raise SmokeImpossible(
            f"respin could not write the files for the guest: {e.strerror}",
            details=str(e),
            hint=f"free about 100 MB in the cache {cache.root} and in {log_dir}",
        ) from e
    packages = {"before": distro[0]}
    if coming:
        packages["after"] = tested_packages.with_programs(coming.result(), architecture)[0]
    known = {"before": lacks, "after": lacks if keeps or lacks is None else frozenset[str]()}
    tcs = {
        phase: results.tc_of(
            played.said,
            phase,
            deb.version,
            ours=deb.ours and about is None,
            lacks=known[phase],
            about=about,
        )
        for phase, deb in packages.items()
    }
    done = results.case_results(
        rows,
        tcs,
        played.said,
        turned=turned,
        keeps=keeps,
        lost=played.lost,
        little=image.machine.little,
    )
    return SmokeReport(
        place="guest",
        kernel=played.said.kernel,
        kernel_package=image.package,
        architecture=architecture,
        machine=image.machine.title,
        accelerator=accel,
        before=tcs["before"].text,
        after=tcs["after"].text if "after" in tcs else "",
        packages=tuple(deb.title for deb in packages.values()),
        loaders=tuple(tc.loader.name for tc in tcs.values()),
        cases=done,
        kept=sum(row.before.seen in GOOD for row in done) if keeps else None,
        crashes=played.crashes,
        seconds=round(played.seconds, 3),
        compilers=compilers.versions(*(["clang"] if cases else []), image.machine.compiler),
    )


def _to_install(image: GuestImage, debs: Sequence[Deb]) -> list[Path]:
    """Return the packages; none if the root was made of the very same ones.

    In emulation, dpkg takes longer than the short set of cases: 7 to 12 s on riscv64 (measured).
    """
    there = {package.sha256 for package in image.packages.root}
    return [] if all(file_sha256(deb.path) in there for deb in debs) else [d.path for d in debs]


def _coming(after: Sequence[Path] | Future[Sequence[Path]]) -> Future[Sequence[Path]]:
    if isinstance(after, Future):
        return after
    done: Future[Sequence[Path]] = Future()
    done.set_result(after)
    return done
