# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the report of a whole run must say."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

from pipeline.host.resources import package_data
from support import cli

SCHEMA = json.loads(package_data("pipeline.runs", "report.schema.json").read_text())


def told(said: cli.Said) -> dict[str, Any]:
    """Return the report of a run that has ended."""
    assert said.status == 0, said.err
    report: dict[str, Any] = json.loads(said.out)
    jsonschema.validate(report, SCHEMA)
    return report


def proven(report: dict[str, Any], version: str) -> None:
    """Check that a run built ``version``, and that the guest saw its effect."""
    assert report["outcome"] == "fixed"
    assert report["patched"]["version"] == report["built"]["version"] == version
    for case, seen in cells(report).items():
        turned = case[0] in ("pinned-hash", "several-maps")
        assert seen == ("refused", "loads" if turned else "refused")
    assert cells(report)["pinned-hash", "tc"] == ("refused", "loads")


def cells(report: dict[str, Any]) -> dict[tuple[str, str], tuple[str, str]]:
    """Return what the guest saw in the cases with legacy maps, before and after."""
    return {
        (c["case"], c["way"]): (c["before"]["seen"], c["after"]["seen"])
        for c in report["smoke"]["cases"]
        if c["case"] in ("pinned-hash", "several-maps", "static-map")
    }


def sites(report: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    """Return for each function of a row the verdict, the file, and the reason.

    No row is about the fix that every row has already (rows.hashes_itself).
    """
    return {
        site["function"]: (site["verdict"], site["file"], site["reason"])
        for finding in report["findings"]
        if finding["fix"] != "af-alg"
        for site in finding["sites"]
    }
