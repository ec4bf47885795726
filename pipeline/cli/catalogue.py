# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every known release: how long it is supported, and which defects its iproute2 has."""

from __future__ import annotations

import textwrap
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from debian.debian_support import Version

from pipeline.cli import terminal
from pipeline.config.config import Config
from pipeline.fixes import fixes
from pipeline.fixes.fixes import Fix
from pipeline.host.resources import package_data
from pipeline.model import Release
from pipeline.releases import distroinfo, releases
from pipeline.releases.distroinfo import Known, Support
from pipeline.runs.request import PACKAGE

SCHEMA = 1
HAS, LACKS, UNTOLD = "has", "lacks", "not known"
INFERRED = "(inferred)"
MARK = "*"
"""What stands for ``INFERRED`` in a table, so that it fits a terminal of 80 columns."""
NOTE = f"{MARK} inferred from the upstream version, and not checked; ? not known"
WIDEST = 10
"""Columns of a heading; a longer name is broken after a hyphen."""
Anchors = Mapping[str, Mapping[str, Mapping[str, str]]]
"""Package -> distro -> codename -> upstream version."""


@dataclass(frozen=True, kw_only=True)
class CatalogueRow:
    """One release."""

    release: Release
    released: date | None
    support: str
    until: date | None
    """The last day of that support."""
    defects: Mapping[str, str]
    """Fix -> ``has``, ``lacks``, either with ``(inferred)``, or ``not known``."""
    described: bool = False
    """Whether the user's respin.toml defines it."""


def listing(config: Config, on: date) -> tuple[CatalogueRow, ...]:
    """Return every release with its support on a given day; the user's own come last.

    Raises UsageError if distro-info-data is missing, or respin.toml names an unknown base.
    """
    upstream = tomllib.loads(package_data(__package__, "upstream.toml").read_text("utf-8"))
    known = distroinfo.known()
    rows = [
        CatalogueRow(
            release=each.release,
            released=each.released,
            support=each.support(on),
            until=each.until(on),
            defects={f.name: told(f, each, known, upstream) for f in fixes.all_fixes()},
        )
        for each in known
    ]
    for name in config.releases:
        found = releases.find(name, config=config)
        unknown = {f.name: UNTOLD for f in fixes.all_fixes()}
        rows.append(
            CatalogueRow(
                release=found,
                released=None,
                support="",
                until=None,
                defects=unknown,
                described=True,
            )
        )
    return tuple(rows)


def told(fix: Fix, each: Known, known: Sequence[Known], upstream: Anchors) -> str:
    """Return what is known of a defect in a release: observed if possible, else inferred.

    ``upstream`` has the version of each package in some releases.
    """
    distro, codename = each.release.distro, each.release.codename
    order = [k.release.codename for k in known if k.release.distro == distro]
    since = fix.releases.since.get(distro)
    if codename in fix.releases.has or (
        since in order and order.index(codename) >= order.index(since)
    ):
        return HAS
    if codename in fix.releases.lacks:
        return LACKS
    affected = {PACKAGE: fix.releases.upstream}
    if fix.requires:
        affected[fix.requires.build_depends] = (fix.requires.since,)
    inside = {
        _inside(range_, *_bounds(upstream[package].get(distro, {}), order, codename))
        for package, range_ in affected.items()
    }
    if False in inside:
        return f"{LACKS} {INFERRED}"
    return UNTOLD if None in inside else f"{HAS} {INFERRED}"


def _bounds(
    anchors: Mapping[str, str], order: Sequence[str], codename: str
) -> tuple[Version, Version | None]:
    """Return the lowest and the highest upstream version that a release can have."""
    place = order.index(codename)
    before = [anchors[name] for name in order[: place + 1] if name in anchors]
    after = [anchors[name] for name in order[place:] if name in anchors]
    return Version(before[-1] if before else "0"), Version(after[0]) if after else None


def _inside(affected: Sequence[str], low: Version, high: Version | None) -> bool | None:
    """Return whether all versions from ``low`` to ``high`` are affected; None: only some."""
    first, *fixed = map(Version, affected)
    if (high and high < first) or any(low >= version for version in fixed):
        return False
    if low >= first and all(high and high < version for version in fixed):
        return True
    return None


def chosen(rows: Sequence[CatalogueRow]) -> tuple[CatalogueRow, ...]:
    """Return the releases that are supported or have a defect, and the user's own."""
    return tuple(
        row
        for row in rows
        if row.described
        or row.support != Support.ENDED
        or any(word.startswith(HAS) for word in row.defects.values())
    )


def to_json(rows: Sequence[CatalogueRow]) -> dict[str, Any]:
    """Return the JSON of ``respin releases --json``."""
    return {
        "schema": SCHEMA,
        "releases": [
            {
                "distro": row.release.distro,
                "codename": row.release.codename,
                "version": row.release.version,
                "released": row.released.isoformat() if row.released else None,
                "support": row.support or None,
                "until": row.until.isoformat() if row.until else None,
                "defects": dict(row.defects),
                "configured": row.described,
            }
            for row in rows
        ],
    }


def table(rows: Sequence[CatalogueRow]) -> list[str]:
    """Return the lines of ``respin releases``: aligned words, no wider than 80 columns."""
    names = list(rows[0].defects) if rows else []
    titles = [textwrap.wrap(name, WIDEST) for name in names]
    depth = max(map(len, titles), default=1)
    padded = [[""] * (depth - len(lines)) + lines for lines in titles]
    cells = [["", "", "", "", *line] for line in zip(*padded, strict=True)]
    cells[-1][:4] = ["RELEASE", "CODENAME", "SUPPORT", "UNTIL"]
    for row in rows:
        support = "respin.toml" if row.described else row.support
        until = row.until.isoformat() if row.until and row.support != Support.ENDED else "-"
        release = row.release
        told = [
            row.defects[name].replace(f" {INFERRED}", MARK).replace(UNTOLD, "?") for name in names
        ]
        number = f"{release.distro} {release.version}".strip()
        cells.append([number, release.codename, support, until, *told])
    return terminal.aligned(cells)
