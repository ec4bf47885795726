# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The report of a run: a record, and its JSON form.

docs/report.md explains the form, and pipeline/runs/report.schema.json defines it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from pipeline import __version__
from pipeline.isolation.sandbox import Wall
from pipeline.model import (
    Built,
    Comparison,
    Finding,
    Patched,
    SmokeReport,
    Source,
    UserPatch,
    VerifiedFile,
)
from pipeline.runs.directory import REPORT
from pipeline.text import visible

SCHEMA = 1
T = TypeVar("T")


class Outcome(StrEnum):
    """How a successful run ended."""

    FIXED = "fixed"
    """Built, and proven on a real kernel against the package without the fix."""
    UNHARMED = "unharmed"
    """Built with no fix but with patches of the user's own, and proven on a real kernel: nothing
    that the distro's package loads is refused by it."""
    PROVEN = "proven"
    """The same for packages that were built elsewhere; not all that is said of them is verified."""
    FETCHED = "fetched"
    """The verified source was fetched, and nothing else was asked for."""
    BUILT = "built"
    """The patched source package was built, and nothing is proven."""
    PATCHED = "patched"
    """The patched source package was made, and nothing else was asked for."""
    NOT_NEEDED = "not-needed"
    """No fix is needed; nothing was built."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one run observed; a step that it did not take is None."""

    outcome: Outcome
    architecture: str = ""
    """The packages', by Debian's name; empty if there are none, or an older respin wrote it."""
    source: Source
    findings: tuple[Finding, ...]
    user_patches: tuple[UserPatch, ...] = ()
    """The user's own patches, and what came of each."""
    patched: Patched | None = None
    built: Built | None = None
    unverified: tuple[str, ...] = ()
    """In words: what cannot be checked about packages that were built elsewhere."""
    control: tuple[VerifiedFile, ...] = ()
    """The packages without the fix that the smoke test compared ours with."""
    comparison: Comparison | None = None
    """What the patch changed in the packages; None if no build without it was at hand."""
    smoke: SmokeReport | None = None
    sandbox: Wall | None = None
    """Where this machine's tools read the source; None if none did."""
    archives: tuple[str, ...] = ()
    """In words: each signed index from which packages were chosen, and any waived check."""
    timings: Mapping[str, float] = dataclasses.field(default_factory=dict)


def to_json(report: Report, directory: Path) -> dict[str, Any]:
    """Return the report as JSON values; paths under ``directory`` become relative to it."""
    values = dataclasses.asdict(report)
    if values["patched"]:
        del values["patched"]["source"], values["patched"]["own"]  # the report has them already
    return {
        "schema": SCHEMA,
        "tool": "iproute2-respin",
        "tool_version": __version__,
        **plain(values, directory),
    }


def plain(value: Any, directory: Path) -> Any:
    """Return a record, or a part of one, as JSON values; paths are relative to ``directory``."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return {str(k): plain(v, directory) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [plain(v, directory) for v in value]
    if isinstance(value, Path):
        return str(value.relative_to(directory)) if value.is_relative_to(directory) else str(value)
    return value


def moved(report: T, old: Path, new: Path) -> T:
    """Return a report, or a record of one, with every path under ``old`` moved under ``new``."""

    def move(value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {f.name: move(getattr(value, f.name)) for f in dataclasses.fields(value)}
            return type(value)(**fields)
        if isinstance(value, tuple):
            return tuple(move(v) for v in value)
        if isinstance(value, Path) and value.is_relative_to(old):
            return new / value.relative_to(old)
        return value

    done: T = move(report)
    return done


def diagnosis_json(findings: tuple[Finding, ...]) -> dict[str, Any]:
    """Return findings as the JSON of ``respin diagnose --json``."""
    return {
        "schema": SCHEMA,
        "fixes": [
            {
                "fix": finding.fix,
                "verdict": finding.verdict,
                "half": finding.half,
                "condition": finding.condition,
                "sites": [
                    {
                        key: getattr(site, key)
                        for key in ("function", "file", "line", "verdict", "reason")
                    }
                    | ({"text": site.text} if site.text else {})
                    for site in finding.sites
                ],
            }
            for finding in findings
        ],
    }


def write(report: Report, directory: Path) -> None:
    """Write report.json into a run's directory."""
    text = visible.as_json(to_json(report, directory), indent=2)
    (directory / REPORT).write_text(text + "\n", "utf-8")
