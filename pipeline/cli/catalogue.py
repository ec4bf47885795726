# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every known release: how long it is supported, and which defects its iproute2 has."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pipeline.cli import terminal
from pipeline.config.config import Config
from pipeline.fixes import fixes
from pipeline.host.resources import package_data
from pipeline.model import Release
from pipeline.releases import distroinfo, releases
from pipeline.releases.distroinfo import Known, Support

SCHEMA = 1
HAS, LACKS, UNTOLD = "has", "lacks", "not known"
INFERRED = "(inferred)"


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
    facts = tomllib.loads(package_data(__package__, "facts.toml").read_text("utf-8"))
    known = distroinfo.known()
    rows = [
        CatalogueRow(
            release=each.release,
            released=each.released,
            support=each.support(on),
            until=each.until(on),
            defects={f.name: told(facts.get(f.name, {}), each, known) for f in fixes.all_fixes()},
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


def told(facts: Mapping[str, Any], each: Known, known: Sequence[Known]) -> str:
    """Return what is known of a defect in a release: observed if possible, else inferred."""
    order = [k.release.codename for k in known if k.release.distro == each.release.distro]
    found = _said(facts, each, order)
    inferred = _said(facts.get("inferred", {}), each, order)
    return found or (inferred and f"{inferred} {INFERRED}") or UNTOLD


def _said(facts: Mapping[str, Any], each: Known, order: Sequence[str]) -> str:
    distro, codename = each.release.distro, each.release.codename
    place = order.index(codename)

    def at(key: str) -> int | None:
        bound = facts.get(key, {}).get(distro)
        return order.index(bound) if bound in order else None

    if codename in facts.get("has", ()):
        return HAS
    if codename in facts.get("lacks", ()):
        return LACKS
    since, lacks_since, lacks_until = at("since"), at("lacks-since"), at("lacks-until")
    if since is not None and place >= since:
        return HAS
    if lacks_since is not None and place >= lacks_since:
        return LACKS
    if lacks_until is not None and place <= lacks_until:
        return LACKS
    return ""


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
    """Return the lines of ``respin releases``: aligned words."""
    names = list(rows[0].defects) if rows else []
    cells = [["DISTRO", "CODENAME", "VERSION", "SUPPORT", "UNTIL", *names]]
    for row in rows:
        support = "respin.toml" if row.described else row.support
        until = row.until.isoformat() if row.until and row.support != Support.ENDED else "-"
        release = row.release
        cells.append(
            [
                release.distro,
                release.codename,
                release.version or "-",
                support,
                until,
                *(row.defects[n] for n in names),
            ]
        )
    return terminal.aligned(cells)
