"""The smoke stage: the packages in a guest of the release, loading real objects.

One boot: the distro's package is installed and tried, then the new one over it, which may
still be in the making while the first is tried. What is proven is what the guest's kernel
counted; a package's word for it is not enough.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from pipeline import command, smokeplan
from pipeline.archives.apt import AptArchive
from pipeline.boot import Boot, boot, programs
from pipeline.cache import Cache
from pipeline.containers.roots import root_tar
from pipeline.data import data_path
from pipeline.errors import BuildError, SmokeImpossible, TestbedLost
from pipeline.judge import Row, judge, read_tc
from pipeline.model import CaseResult, Cell, GuestPackages, Package, SmokeReport
from pipeline.objects import UserObject, select
from pipeline.progress import QUIET, Stage
from pipeline.vm import image as images
from pipeline.vm import kernel as kernels
from pipeline.vm import qemu
from pipeline.vm.image import GuestImage
from pipeline.vm.machine import Machine, machine_for

__all__ = ["GuestImage", "UserObject", "prepare", "smoke"]

SECONDS = 120.0
"""How long a guest may take: it takes 10 s in emulation on two idle cores."""


def prepare(
    archive: AptArchive,
    cache: Cache,
    *,
    log_dir: Path,
    stage: Stage = QUIET,
    exact: GuestPackages | None = None,
) -> GuestImage:
    """Return the base image of a release's guest: its kernel, its packages.

    ``exact`` are the very packages that it is to hold, in place of what apt resolves. It
    needs nothing of the build, so it may run beside it. Raises SmokeImpossible if it cannot
    be made here, FetchError if a package cannot be had.
    """
    machine = machine_for(archive.architecture)
    qemu.program(machine)
    for program in ("gcc", "clang", "mmdebstrap"):
        if command.which(program) is None:
            raise SmokeImpossible(f"{program} is missing", hint=f"apt install {program}")
    settings = tomllib.loads(data_path("templates", "guest", "guest.toml").read_text())
    try:
        names = _names(archive, settings["root"])
        key = exact.root if exact else archive.closure(names)
        log = log_dir / "guest-root.log"
        root = root_tar(
            archive.sources, archive.release, names, cache, key=key, log=log, strip=True
        )
    except BuildError as e:
        raise SmokeImpossible(f"the guest's root: {e.brief}", details=e.details, hint=e.hint) from e
    refused: SmokeImpossible | None = None
    for kernel in [exact.kernel] if exact else _kernels(archive, machine, settings["kernels"]):
        stage.note(f"guest kernel {kernels.image_package(kernel).name}")

        def fetch(folder: Path, wanted: Sequence[Package] = kernel) -> list[Path]:
            folder.mkdir(parents=True)
            return [f.path for f in archive.download(wanted, folder)]

        try:
            image = images.build(
                cache,
                root=root,
                packages=GuestPackages(root=tuple(key), kernel=tuple(kernel)),
                fetch=fetch,
                settings=settings,
                log=log_dir / "guest-image.log",
            )
        except SmokeImpossible as e:
            refused = e
            continue
        qemu.accelerator(machine, image.vmlinuz, cache)
        return image
    raise refused or SmokeImpossible(
        f"{archive.release.distro} {archive.release.codename} has no kernel package to test on",
        hint="Its archive must have one of those in templates/guest/guest.toml.",
    )


def _names(archive: AptArchive, settings: Mapping[str, Any]) -> list[str]:
    """Return what the guest's root is asked to hold: the release's own iproute2 among it."""
    if archive.release.codename in settings["split-usr"]:
        return [*settings["packages"], "iproute2"]
    return [*archive.essential(()), "iproute2"]


def _kernels(
    archive: AptArchive, machine: Machine, names: Mapping[str, Sequence[str]]
) -> Iterator[tuple[Package, ...]]:
    """Yield the packages of each kernel that the release has, the best first."""
    own = (archive.release.kernel,) if archive.release.kernel else ()
    for pattern in own or names.get(archive.release.distro, ()):
        name = pattern.format(kernel=machine.kernel)
        if archive.candidate(name) is not None:
            found = kernels.parts(archive.closure([name]))
            if found:
                yield found


def smoke(
    image: GuestImage,
    *,
    before: Sequence[Path],
    after: Sequence[Path] | Future[Sequence[Path]],
    turned: Mapping[str, Sequence[str]],
    cases: Sequence[str] | None = None,
    objects: Sequence[UserObject] = (),
    cache: Cache,
    log_dir: Path,
    stage: Stage = QUIET,
    seconds: float | None = None,
) -> SmokeReport:
    """Try packages in a guest and return what was seen; a bad cell does not raise.

    ``before`` are the distro's .debs, ``after`` the new ones, or none; if those are still to
    come, the guest tries the distro's meanwhile. ``turned`` are the cases that the needed
    fixes turn, each with patterns of what the package before says as it refuses. ``cases``
    are names of cases (default: the default ones), ``objects`` the user's own. ``seconds``
    is how long the guest may take, twice if it has to wait.

    Raises SmokeFailed if dpkg does not install a package, TestbedLost if the guest is lost,
    SmokeImpossible if the test cannot be made, UsageError for a case or object that is none,
    and what kept the packages from coming.
    """
    log_dir.mkdir(parents=True, exist_ok=True)
    distro = programs(before)
    rows = [
        *smokeplan.case_rows(select(cases), image.machine, distro[0][1].version, cache, log_dir),
        *smokeplan.object_rows(objects),
    ]
    coming = _coming(after) if after else None
    accel = qemu.accelerator(image.machine, image.vmlinuz, cache)
    stage.note(f"{len(rows)} cases on {image.kernel}, {accel}")
    phases = ("before", "after") if coming else ("before",)
    limit = seconds or SECONDS + sum(row.seconds for row in rows if row.batch) * len(phases)
    seen = boot(
        image,
        rows,
        phases,
        [path for path, _ in distro],
        coming,
        accel=accel,
        seconds=limit,
        cache=cache,
        log_dir=log_dir,
    )
    return _report(image, rows, phases, seen, turned, accel)


def _coming(after: Sequence[Path] | Future[Sequence[Path]]) -> Future[Sequence[Path]]:
    if isinstance(after, Future):
        return after
    done: Future[Sequence[Path]] = Future()
    done.set_result(after)
    return done


def _report(
    image: GuestImage,
    rows: Sequence[Row],
    phases: Sequence[str],
    seen: Boot,
    turned: Mapping[str, Sequence[str]],
    accel: str,
) -> SmokeReport:
    """Return the matrix. Raises TestbedLost if the guest left something out."""
    said = seen.said
    try:
        tcs = {phase: read_tc(said.ran[f"{phase}:version"].output) for phase in phases}
        cells: dict[str, list[Cell]] = {
            phase: [
                judge(
                    row,
                    tcs[phase],
                    said.ran[smokeplan.step_id(phase, i)],
                    said.counted[smokeplan.step_id(phase, i)],
                    said.ran[f"{smokeplan.step_id(phase, i)}:show"].output if not row.pins else "",
                    after=phase == "after",
                    symptoms=turned.get(row.like) if row.expect is not None else None,
                )
                for i, row in enumerate(rows)
            ]
            for phase in phases
        }
    except KeyError as e:
        raise TestbedLost(
            "the guest ended without a word of " + str(e.args[0]), hint="Nothing is proven."
        ) from e
    after: Sequence[Cell | None] = cells.get("after") or [None] * len(rows)
    return SmokeReport(
        kernel=said.kernel,
        kernel_package=image.package,
        accelerator=accel,
        before=tcs["before"].text,
        after=tcs["after"].text if "after" in tcs else "",
        cases=tuple(
            CaseResult(case=row.case, title=row.title, way=row.way, before=b, after=a)
            for row, b, a in zip(rows, cells["before"], after, strict=True)
        ),
        seconds=round(seen.seconds, 3),
    )
