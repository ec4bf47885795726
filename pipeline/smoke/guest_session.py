# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot a smoke guest: it tests the distro's packages, receives the new ones, and tests them.

The new packages may not be ready when the guest starts; it then waits for them, and that time does
not count. A crash costs only the row that was running: the guest boots again and continues with the
next one.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import SmokeFailed, TestbedLost
from pipeline.files import bounded
from pipeline.host import command
from pipeline.host.cache import Cache
from pipeline.isolation.scratch import scratch
from pipeline.smoke import guest_files, tested_packages
from pipeline.smoke.matrix import Row
from pipeline.vm import qemu, results
from pipeline.vm.feed import Feed
from pipeline.vm.image import GuestImage
from pipeline.vm.results import Transcript

CRASHES_MAX = 5
"""Boots that may end in a crash; another one would show nothing new."""


@dataclass(frozen=True, kw_only=True)
class GuestPlan:
    """What to boot, and what it has to do."""

    image: GuestImage
    rows: Sequence[Row]
    accel: str
    seconds: float
    """Seconds that each phase may take."""
    cache: Cache
    log_dir: Path


@dataclass(frozen=True, kw_only=True)
class Played:
    """The result of all boots."""

    said: Transcript
    lost: Mapping[str, str]
    """The rows in which the guest crashed, with the end of the console's output."""
    crashes: int
    seconds: float
    """Seconds from start to end, without the time spent waiting for packages."""


def play(
    guest: GuestPlan,
    phases: Sequence[str],
    first: Sequence[Path],
    coming: Future[Sequence[Path]] | None,
) -> Played:
    """Run the guest until every row has run or was lost.

    ``first`` are the packages to install for the first phase, none if the root has what it tests;
    ``coming`` are those of the second phase, if there is one.
    Raises TestbedLost if the guest is lost outside a row or too often, SmokeFailed if dpkg does not
    install a package, and what ``coming`` raises.
    """
    begun, waited = time.monotonic(), 0.0
    lost: dict[str, str] = {}
    said: Transcript | None = None
    for number in range(1, CRASHES_MAX + 2):
        leave = frozenset({*lost, *(said.logs if said else ())})
        boot = _boot(guest, phases, first, coming, leave, number)
        waited += boot.waited
        said = results.merged(said, boot.said) if said else boot.said
        if boot.said.done:
            seconds = time.monotonic() - begun - waited
            return Played(said=said, lost=lost, crashes=number - 1, seconds=seconds)
        if not boot.said.begun or boot.said.begun in said.logs or number > CRASHES_MAX:
            raise boot.error
        lost[boot.said.begun] = boot.error.details
        if coming is not None and boot.said.begun.startswith(f"{phases[-1]}:"):
            phases, first, coming = phases[-1:], coming.result(), None
    raise AssertionError("the last boot returned or raised")


@dataclass(frozen=True, kw_only=True)
class _Boot:
    said: Transcript
    error: TestbedLost
    """Return the error to raise if the guest did not finish."""
    waited: float


def _boot(
    guest: GuestPlan,
    phases: Sequence[str],
    first: Sequence[Path],
    coming: Future[Sequence[Path]] | None,
    leave: frozenset[str],
    number: int,
) -> _Boot:
    again = f"-{number}" if number > 1 else ""
    said = guest.log_dir / f"guest-said{again}.jsonl"
    console = guest.log_dir / f"guest-console{again}.log"
    for stale in (said, console):
        stale.unlink(missing_ok=True)
    init = guest_files.init(guest.image, phases, installed=not first)
    (guest.log_dir / "guest-init").write_text(init)
    error: TestbedLost | None = None
    waited = 0.0
    with scratch(guest.cache, "guest") as work:
        initramfs = work / "initramfs"
        shutil.copyfile(guest.image.initramfs, initramfs)
        with initramfs.open("ab") as out:
            guest_files.archive(out, init, guest.rows, phases, first, leave=leave)
        machine = qemu.Guest(
            machine=guest.image.machine,
            kernel=guest.image.vmlinuz,
            initramfs=initramfs,
            results=said,
            console=console,
            pipe=work / "files",
        )
        log = guest.log_dir / "guest-qemu.log"
        try:
            waited = _run(machine, coming, accel=guest.accel, seconds=guest.seconds, log=log)
        except TestbedLost as e:
            error = e
    data = bounded.read(said, qemu.RESULTS_MAX, follow=False) if said.exists() else b""
    transcript = results.parse(data, guest_files.ids(guest.rows, phases))
    _check_installed(transcript, phases)
    where = "finished" if transcript.kernel else "started"
    error = error or qemu.lost(f"the guest crashed before it {where}", console)
    return _Boot(said=transcript, error=error, waited=waited)


def _check_installed(said: Transcript, phases: Sequence[str]) -> None:
    for phase in phases:
        installed = said.ran.get(f"{phase}:install")
        if installed is not None and installed.status != 0:
            when = f" within {guest_files.INSTALL_SECONDS} s" if installed.late else ""
            raise SmokeFailed(
                f"dpkg in the guest did not install the package{when} ({phase})",
                details=installed.output,
                hint="the guest has only the dependencies of the distro's own iproute2",
            )


def _run(
    guest: qemu.Guest,
    coming: Future[Sequence[Path]] | None,
    *,
    accel: str,
    seconds: float,
    log: Path,
) -> float:
    """Run the guest and feed it the new packages; return the seconds it waited for them."""
    assert guest.pipe is not None
    waited = 0.0
    given = coming is None

    def waiting() -> bool:
        return not given and _ready(guest.results)

    limit = command.Limit(seconds, excused=waiting)
    with Feed(guest.pipe) as feed, command.threads(1) as pool:
        aside = coming is not None and not coming.done()
        running = pool.submit(qemu.run, guest, accel=accel, limit=limit, log=log, aside=aside)
        if coming is not None:
            either: tuple[Future[Any], ...] = (running, coming)
            wait(either, return_when=FIRST_COMPLETED)
            if coming.done() and not running.done():
                new = tested_packages.with_programs(coming.result(), guest.machine.architecture)
                if waiting():
                    waited = time.time() - guest.results.stat().st_mtime
                limit.renew()
                given = True
                paths = [deb.path for deb in new]
                feed.give(guest_files.packages(paths), gone=running.done)
        running.result()
    return waited


def _ready(said: Path) -> bool:
    """Return whether the guest has tested the first packages and waits for the next."""
    return said.exists() and bounded.end(said, 64).rstrip().endswith(b'{"kind":"ready"}')
