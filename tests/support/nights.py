# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Nights of `respin nightly` with archives and a clock of the tests' own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from debian import deb822

from pipeline import run as pipeline_run
from pipeline.config import config
from pipeline.config.config import Config
from pipeline.host.cache import Cache
from pipeline.host.disk import Space
from pipeline.model import Release
from pipeline.nightly import night as nightly
from pipeline.nightly import status
from pipeline.nightly.context import Runner, World
from pipeline.nightly.night import Summary
from pipeline.nightly.state import RunRow, State
from pipeline.publish import keys
from pipeline.releases.distroinfo import Known, Support
from pipeline.runs.report import Report
from pipeline.runs.request import Request
from support.archive import Archive, Signer

POCKETS = ("", "-updates", "-security")
TOML = """
[archives]
snapshot = ""
launchpad = ""

[nightly]
releases = {releases}
state = "state"

[publish]
url = "http://apt.example.org/respin"

[notify]
command = ["sh", "-c", "cat >> {notifications}; echo >> {notifications}"]
"""
RELEASE = """
[release.{name}]
base = "{name}"
uris = ["{url}"]
keyring = "{keyring}"
"""


class Distro(Archive):
    """The archive of one release with its pockets, which stays valid for the nights to come."""

    def __init__(self, directory: Path, signer: Signer, name: str) -> None:
        super().__init__(directory / name, signer, suite=name)
        self.name = name
        self.trusted = directory / f"{name}.gpg"
        self.trusted.write_bytes(signer.keyring.read_bytes())
        for pocket in POCKETS:
            self._pool(f"{name}{pocket}")

    def now_has(self, *dscs: Path, pocket: str = "", signer: Signer | None = None) -> None:
        """Let a pocket hold these sources and no others, and publish."""
        pool = self._pool(f"{self.name}{pocket}")
        for path in pool.iterdir():
            if path.suffix != ".deb":
                path.unlink()
        for dsc in dscs:
            self.add_source(dsc, suite=f"{self.name}{pocket}")
        self.again(signer=signer)

    def again(
        self,
        *,
        signer: Signer | None = None,
        until: datetime | None = None,
        date: datetime | None = None,
    ) -> None:
        """Publish the archive again."""
        now = datetime.now(UTC)
        valid_until = until or now + timedelta(days=90)
        self.publish(signer=signer, valid_until=valid_until, date=date or now)


def known(name: str, begin: datetime, end: datetime | None) -> Known:
    """Return a release of Debian that is supported between two days."""
    release = Release(distro="debian", codename=name, version="1")
    ends = ((Support.SUPPORTED, end.date()),) if end else ()
    return Known(release=release, released=begin.date(), ends=ends)


def run_real(request: Request, out: Path) -> Report:
    """Run the real package through the real pipeline, with the machine's mirror."""
    plain = replace(
        request, config=Config(archives=request.config.archives), cases=("pinned-hash",)
    )
    return pipeline_run.run(plain, out)


@dataclass(kw_only=True)
class Nights:
    """A state directory, and one night after the other."""

    world: World
    notifications: Path
    now: datetime
    heard: int = 0

    def night(self, days: float = 1, **changes: object) -> Summary:
        """Play the next night."""
        self.now += timedelta(days=days)
        self.world = replace(self.world, clock=lambda: self.now, **changes)  # type: ignore[arg-type]
        return nightly.nightly(self.world)

    def events(self) -> list[tuple[str, str | None]]:
        """Return the notifications since the last call: event and target."""
        lines = self.notifications.read_text().splitlines() if self.notifications.exists() else []
        new, self.heard = lines[self.heard :], len(lines)
        return [(each["event"], each["target"]) for each in map(json.loads, new)]

    def rows(self) -> dict[str, status.TargetStatus]:
        """Return the status of each target."""
        with State(self.world.directory) as state:
            found = status.rows(state, self.world.settings.publish.keep, self.world.now())
        return {row.target: row for row in found}

    def runs(self) -> tuple[RunRow, ...]:
        """Return the history."""
        with State(self.world.directory) as state:
            return state.runs()

    def offered(self, target: str) -> dict[str, str]:
        """Return what a repository's index lists: version -> SHA-256 of its iproute2."""
        index = self.world.public / target / "dists" / target / "main/binary-amd64/Packages"
        found = deb822.Packages.iter_paragraphs(index.read_text(), use_apt_pkg=False)
        return {p["Version"]: p["SHA256"] for p in found if p["Package"] == "iproute2"}

    def page(self) -> str:
        """Return the status page."""
        return (self.world.public / "index.html").read_text("utf-8")


def begin(
    directory: Path,
    distros: Sequence[Distro],
    cache: Cache,
    run: Runner,
    *,
    patch: Runner = World.patch,
    releases: Sequence[str] = ("debian:supported",),
    known: Sequence[Known] | None = None,
    more: str = "",
    lacks: Callable[[Request], bool] = World.lacks,
) -> Nights:
    """Write a respin.toml, make a key, and return nights of which none has been played."""
    notifications = directory / "letters"
    text = TOML.format(releases=json.dumps(list(releases)), notifications=notifications) + more
    for distro in distros:
        text += RELEASE.format(name=distro.name, url=distro.url, keyring=distro.trusted)
    path = directory / "respin.toml"
    path.write_text(text)
    found = config.load(path)
    keys.init(found.nightly.state_directory(), "iproute2-respin")
    start = datetime.now(UTC).replace(microsecond=0)
    world = World(
        config=found,
        cache=cache,
        clock=lambda: start,
        run=run,
        patch=patch,
        known=known,
        lacks=lacks,
        space=lambda path: Space(device=1, used=1, free=1),
    )
    return Nights(world=world, notifications=notifications, now=start)
