# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is watched: each release, and separately its backports, since a fleet may use either."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from pipeline.config.config import Config
from pipeline.errors import UsageError
from pipeline.model import Release
from pipeline.releases import distroinfo, releases
from pipeline.releases.distroinfo import Known, Support
from pipeline.releases.releases import USUAL, Pocket

LIVING = {
    "debian:supported": ("debian", (Support.SUPPORTED, Support.LTS), False),
    "ubuntu:supported": ("ubuntu", (Support.SUPPORTED,), False),
    "ubuntu:lts": ("ubuntu", (Support.SUPPORTED,), True),
}
"""Name -> distro, phases of support, long-term releases only."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One of our repositories, and the distro's pockets that it follows."""

    name: str
    """``bookworm``, ``bookworm-backports``: also the name of its repository and suite."""
    release: Release
    pockets: tuple[Pocket, ...]
    """The pockets that its versions come from."""
    architectures: tuple[str, ...] = ()
    """The architectures that it is built for."""

    def pocket(self, suite: str) -> str:
        """Return the pocket that a suite is; for a derivative's own suite, its name."""
        for pocket in Pocket:
            if releases.suite(self.release, pocket) == suite:
                return pocket.value
        return suite

    def follows(self, suite: str) -> bool:
        """Return whether the versions in a suite belong to this target."""
        backports = suite == releases.suite(self.release, Pocket.BACKPORTS)
        return backports == (self.pockets == (Pocket.BACKPORTS,))

    def asked(self) -> tuple[Pocket, ...]:
        """Return the pockets that a run has to name: none if they are the usual ones."""
        return () if set(self.pockets) == set(USUAL) else self.pockets


def targets(
    names: Iterable[str],
    pockets: Sequence[str],
    config: Config,
    on: date,
    known: Sequence[Known] | None = None,
    *,
    architectures: Sequence[str] = (),
) -> tuple[Target, ...]:
    """Return the targets to watch on a day, each once, in the order of the names.

    ``known`` are the releases that exist (default: those of distro-info-data). ``architectures``
    are those of a release for which ``config`` names none. Raises UsageError for an unknown name,
    or if there is no name.
    """
    found: dict[str, Release] = {}
    for name in names:
        for release in _expand(name, config, on, known):
            found.setdefault(release.codename, release)
    if not found:
        raise UsageError(
            "no release is configured",
            hint='set in respin.toml, under [nightly]: releases = ["debian:supported"]',
        )
    chosen = tuple(p for p in Pocket if p.value in pockets)
    usual = tuple(p for p in chosen if p is not Pocket.BACKPORTS)
    made = []
    for name, release in found.items():
        own = config.releases[name].architectures if name in config.releases else ()
        each = tuple(dict.fromkeys(own or architectures))
        if usual:
            made.append(Target(name=name, release=release, pockets=usual, architectures=each))
        if Pocket.BACKPORTS in chosen:
            made.append(
                Target(
                    name=f"{name}-backports",
                    release=release,
                    pockets=(Pocket.BACKPORTS,),
                    architectures=each,
                )
            )
    return tuple(made)


def _expand(
    name: str, config: Config, on: date, known: Sequence[Known] | None
) -> tuple[Release, ...]:
    if name not in LIVING:
        return (releases.find(name, config=config),)
    distro, phases, long_term = LIVING[name]
    rows = distroinfo.known() if known is None else known
    return tuple(
        releases.find(row.release.codename, config=config)
        if row.release.codename in config.releases
        else row.release
        for row in rows
        if row.release.distro == distro
        and row.support(on) in phases
        and (row.long_term or not long_term)
    )
