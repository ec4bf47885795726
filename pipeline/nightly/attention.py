# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What only a person can do about the machine, the key or a release, before it becomes a failure.

A row of the status says what is wrong with one release. This is what several releases wait for,
or what will stop them soon: keys of an archive that this machine lacks, a signing key that expires,
a release whose support ends, a disk that is nearly full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from pipeline.config import distros
from pipeline.config.config import Derivative
from pipeline.host.disk import Space
from pipeline.nightly.context import World
from pipeline.nightly.state import Need
from pipeline.nightly.status import ENDED, TargetStatus, iso
from pipeline.releases import distroinfo
from pipeline.releases.distroinfo import Known, Support

KEY = "key"
KEY_DAYS, RELEASE_DAYS = timedelta(days=30), timedelta(days=60)
FULL = 90
"""Per cent of a disk, counted like df(1): of what the user can have."""
SERVED = (Support.SUPPORTED, Support.LTS)
"""The phases in which the distro's own archive gets updates."""


def missing_keys(
    rows: Iterable[TargetStatus], described: Mapping[str, Derivative]
) -> Iterator[Need]:
    """Yield each distro whose keyring this machine lacks, with the releases that wait for it.

    ``described`` are the releases of respin.toml, which may name keyrings of their own.
    """
    waiting: dict[str, list[str]] = {}
    for row in rows:
        own = described.get(row.release)
        if row.here and not (own and own.keyring):
            waiting.setdefault(row.distro, []).append(row.target)
    for name, targets in waiting.items():
        distro = distros.ALL[name]
        if not distro.keyring.exists():
            yield Need(
                about=f"keys {name}",
                text=f"this machine does not have the keys of {name}'s archive: {distro.keyring}",
                remedy=f"run apt-get install {distro.keyring_package}",
                waiting=tuple(dict.fromkeys(targets)),
            )


def expiring_key(name: str, expires: int | None, now: datetime) -> Iterator[Need]:
    """Yield the signing key if it expires soon; ``expires`` is in seconds since 1970."""
    if expires is not None and expires - now.timestamp() <= KEY_DAYS.total_seconds():
        yield Need(
            about=KEY,
            text=f"the signing key {name} expires on {iso(expires)}",
            remedy="run respin key renew, and let clients get the renewed key before that day",
        )


def ending_releases(
    rows: Iterable[TargetStatus], known: Iterable[Known], now: datetime
) -> Iterator[Need]:
    """Yield each release that the distro will soon support no more."""
    watched = {(row.distro, row.release) for row in rows if row.outcome != ENDED}
    for each in known:
        release, today = each.release, now.date()
        ends = [day for phase, day in each.ends if phase in SERVED]
        if (release.distro, release.codename) not in watched or not ends:
            continue
        if today <= max(ends) <= today + RELEASE_DAYS:
            yield Need(
                about=f"release {release.codename}",
                text=f"{release.distro} supports {release.codename} until {max(ends)}; after that "
                "day there are no security updates of it",
                remedy="move its machines to a newer release, or add an archive with extended "
                "support under [release.NAME] in respin.toml",
            )


def full_disks(directories: Iterable[Path], look: Callable[[Path], Space]) -> Iterator[Need]:
    """Yield each file system that is nearly full, once."""
    seen = set[int]()
    for directory in directories:
        if not directory.exists():
            continue
        found = look(directory)
        if found.device not in seen and found.percent >= FULL:
            yield Need(
                about=f"disk {directory}",
                text=f"the disk with {directory} is {found.percent} % full; "
                f"{found.free / 1e9:.1f} GB are left",
                remedy="make room, or lower runs-size and cache-size under [nightly] in "
                "respin.toml",
            )
        seen.add(found.device)


def find(
    rows: Sequence[TargetStatus], world: World, name: str, expires: int | None
) -> tuple[Need, ...]:
    """Return all that needs a person now; the key is called ``name`` and expires then."""
    now = world.clock()
    known = distroinfo.known() if world.known is None else world.known
    return (
        *missing_keys(rows, world.config.releases),
        *expiring_key(name, expires, now),
        *full_disks((world.directory, world.cache.root), world.space),
        *ending_releases(rows, known, now),
    )
