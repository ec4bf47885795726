"""One boot of a smoke guest: it tries the distro's packages, is given the new ones, tries them.

The new packages may still be in the making when the guest starts; it waits for them, and
the time that it waits is not held against it.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import command, smokeplan
from pipeline.cache import Cache
from pipeline.errors import SmokeFailed
from pipeline.judge import Row
from pipeline.model import Package
from pipeline.vm import qemu, results
from pipeline.vm.feed import Feed
from pipeline.vm.image import GuestImage
from pipeline.vm.results import Transcript


@dataclass(frozen=True, kw_only=True)
class Boot:
    """What came of a boot."""

    said: Transcript
    seconds: float
    """From its start to its end, without the time in which it waited for packages."""


def programs(paths: Sequence[Path]) -> list[tuple[Path, Package]]:
    """Return the packages to install: those with programs, neither documents nor symbols.

    Raises SmokeFailed if a file is no package, or none is left.
    """
    found = []
    for path in paths:
        fields = command.run(
            ["dpkg-deb", "--show", "--showformat=${Package} ${Version} ${Architecture}", path],
            error=SmokeFailed,
            brief=f"{path.name} is not a package",
        ).text.split()
        package = Package(name=fields[0], version=fields[1], architecture=fields[2])
        if package.architecture != "all" and not package.name.endswith(("-dbgsym", "-dbg")):
            found.append((path, package))
    if not found:
        raise SmokeFailed("there is no package with programs among the .debs to test")
    return found


def boot(
    image: GuestImage,
    rows: Sequence[Row],
    phases: Sequence[str],
    first: Sequence[Path],
    coming: Future[Sequence[Path]] | None,
    *,
    accel: str,
    seconds: float,
    cache: Cache,
    log_dir: Path,
) -> Boot:
    """Run the guest to its end.

    ``first`` are the packages of the first phase, ``coming`` those of the second, if there
    is one. ``seconds`` is how long the guest may take for each. Raises TestbedLost,
    SmokeFailed if dpkg does not install a package, and what ``coming`` raises.
    """
    begun = time.monotonic()
    said, console = log_dir / "guest-said.jsonl", log_dir / "guest-console.log"
    for stale in (said, console):
        stale.unlink(missing_ok=True)
    init = smokeplan.init(image, rows, phases)
    (log_dir / "guest-init").write_text(init)
    with tempfile.TemporaryDirectory(dir=cache.folder("work"), prefix="guest-") as work:
        initramfs = Path(work) / "initramfs"
        shutil.copyfile(image.initramfs, initramfs)
        with initramfs.open("ab") as out:
            smokeplan.archive(out, init, rows, phases[0], first)
        guest = qemu.Guest(
            machine=image.machine,
            kernel=image.vmlinuz,
            initramfs=initramfs,
            results=said,
            console=console,
            pipe=Path(work) / "files",
        )
        waited = _run(guest, coming, accel=accel, seconds=seconds, log=log_dir / "guest-qemu.log")
    data = said.read_bytes() if said.exists() else b""
    transcript = results.parse(data, smokeplan.ids(rows, phases))
    for phase in phases:
        installed = transcript.ran.get(f"{phase}:install")
        if installed is not None and installed.status != 0:
            raise SmokeFailed(
                f"dpkg in the guest did not install the package ({phase})",
                details=installed.output,
                hint="The guest has the dependencies of the distro's own iproute2.",
            )
    if not transcript.done:
        where = "came to its end" if transcript.kernel else "started"
        raise qemu.lost(f"the guest crashed before it {where}", console)
    return Boot(said=transcript, seconds=time.monotonic() - begun - waited)


def _run(
    guest: qemu.Guest,
    coming: Future[Sequence[Path]] | None,
    *,
    accel: str,
    seconds: float,
    log: Path,
) -> float:
    """Run the guest, give it what comes; return the seconds in which it had to wait for that."""
    assert guest.pipe is not None
    waited = 0.0
    given = coming is None

    def waiting() -> bool:
        return not given and _ready(guest.results)

    limit = command.Limit(seconds, excused=waiting)
    with Feed(guest.pipe) as feed, command.threads(1) as pool:
        running = pool.submit(qemu.run, guest, accel=accel, limit=limit, log=log)
        if coming is not None:
            either: tuple[Future[Any], ...] = (running, coming)
            wait(either, return_when=FIRST_COMPLETED)
            if coming.done() and not running.done():
                debs = [path for path, _ in programs(coming.result())]
                if waiting():
                    waited = time.time() - guest.results.stat().st_mtime
                limit.renew()
                given = True
                feed.give(smokeplan.packages(debs), gone=running.done)
        running.result()
    return waited


def _ready(said: Path) -> bool:
    """Whether the guest has tried the first packages and waits for the next."""
    return said.exists() and said.read_bytes().rstrip().endswith(b'{"kind":"ready"}')
