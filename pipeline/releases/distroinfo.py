# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The releases of Debian and Ubuntu with their dates, from the package distro-info-data.

A new release is known as soon as that package has it.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from pathlib import Path

from pipeline.config import distros
from pipeline.config.distros import Distro
from pipeline.errors import UsageError
from pipeline.model import Release

DISTRO_INFO = Path("/usr/share/distro-info")


class Support(StrEnum):
    """The phases of a release's support."""

    DEVELOPMENT = "development"
    """Not released yet, or never released (sid)."""
    SUPPORTED = "supported"
    LTS = "lts"
    """Debian's Long Term Support."""
    ELTS = "elts"
    """Freexian's Extended LTS, in an archive of its own."""
    ESM = "esm"
    """Ubuntu's Expanded Security Maintenance, in an archive of its own."""
    LEGACY = "legacy"
    """What Ubuntu offers after ESM."""
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class Known:
    """A release and its dates; None for a date that is not known yet."""

    release: Release
    released: date | None
    ends: tuple[tuple[Support, date], ...]
    """Each phase of support with its last day, in order."""
    long_term: bool = False
    """Whether Ubuntu calls it an LTS release."""

    def support(self, on: date) -> Support:
        """Return the phase of a release on a given day."""
        if self.released is None or on < self.released:
            return Support.DEVELOPMENT
        for phase, end in self.ends:
            if on <= end:
                return phase
        return Support.ENDED if self.ends else Support.SUPPORTED

    def until(self, on: date) -> date | None:
        """Return the last day of the release's current phase, if it is known."""
        return dict(self.ends).get(self.support(on))


@cache
def known(directory: Path = DISTRO_INFO) -> tuple[Known, ...]:
    """Return every release of Debian and Ubuntu, Debian's first, each distro's oldest first.

    Raises UsageError if distro-info-data is missing or broken.
    """
    found = []
    for distro in distros.ALL.values():
        path = directory / f"{distro.name}.csv"
        try:
            with path.open(newline="") as f:
                # experimental belongs to sid; it is not a release.
                rows = [r for r in csv.DictReader(f) if r["series"] != "experimental"]
            found += [_known(distro, row) for row in rows]
        except (OSError, KeyError, ValueError) as e:
            why = (
                e.strerror
                if isinstance(e, OSError)
                else f"the file does not have the documented form: {e}"
            )
            raise UsageError(
                f"respin could not read {path}: {why}",
                hint="run apt-get install distro-info-data",
            ) from e
    return tuple(found)


def _known(distro: Distro, row: dict[str, str]) -> Known:
    def day(name: str) -> date | None:
        return date.fromisoformat(row[name]) if row.get(name) else None

    end = day("eol")
    server = day("eol-server")  # Ubuntu's servers were once supported for longer
    if end and server:
        end = max(end, server)
    phases = [(Support.SUPPORTED, end)]
    phases += [(Support(s), day(column)) for column, s in distro.later_support.items()]
    return Known(
        release=Release(
            distro=distro.name,
            codename=row["series"],
            version=(row["version"] or "").split(" ")[0],  # Ubuntu writes "24.04 LTS"
        ),
        released=day("release"),
        ends=tuple((phase, last) for phase, last in phases if last),
        long_term=" LTS" in (row["version"] or ""),
    )


def find(release: Release) -> Known | None:
    """Return a release with its dates; None for an unknown one."""
    for each in known():
        if (each.release.distro, each.release.codename) == (release.distro, release.codename):
            return each
    return None


def support(release: Release, on: date) -> Support:
    """Return a release's support on a given day; an unknown release counts as supported."""
    found = find(release)
    return found.support(on) if found else Support.SUPPORTED
