# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The records in the state of ``respin nightly``, and the rows that they come from.

A function that makes a record of a row raises ValueError, KeyError, TypeError or AttributeError if
the row holds none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pipeline.archives.signedindex import SuiteIndex
from pipeline.files import records
from pipeline.publish.generations import Issued

FIXED, NOT_NEEDED, FAILED, UNKNOWN = "fixed", "not-needed", "failed", "unknown"
UNHARMED = "unharmed"
MADE = (FIXED, UNHARMED)
"""Outcomes of runs that made and proved a package of ours."""
SAME, INTERRUPTED, WAITING = "same", "interrupted", "waiting"
"""``same``: the changed fix does not affect it. ``interrupted``: killed while it ran. ``waiting``:
the archive does not have the distro's package for this architecture yet, so nothing was run."""


@dataclass(frozen=True, kw_only=True)
class TargetState:
    """What was last seen of one target."""

    name: str
    distro: str
    codename: str
    version: str | None
    """The distro's newest version; None: it has none."""
    dsc: str | None
    pocket: str | None
    versions: tuple[str, ...]
    """All versions that its pockets list."""
    architectures: tuple[str, ...]
    """The architectures that it is built for."""
    since: int
    """When that version was first seen, in seconds since 1970, like all times here."""
    ended: int | None = None
    problem: str | None = None
    problem_code: int | None = None
    problem_since: int | None = None
    asked: tuple[str, ...] = ()
    """The architectures for which a run was asked for (``respin retry``)."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """One thing that needs a person."""

    about: str
    """What it is about, the same each night: ``key``, ``keys ubuntu``, ``release bookworm`` …"""
    text: str
    """What is wrong, in a sentence."""
    remedy: str
    """What to do, beginning with a verb."""
    waiting: tuple[str, ...] = ()
    """The targets whose problem this is."""


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """A run: why it was made, and how it ended."""

    id: int
    target: str
    architecture: str
    version: str
    dsc: str
    number: int
    reason: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    folder: Path
    started: int
    ended: int | None = None
    outcome: str = ""
    ours: str | None = None
    code: int = 0
    brief: str = ""
    details: str = ""
    report: str = ""
    retry_at: int | None = None
    published: int | None = None
    withdrawn: int | None = None
    why: str = ""
    """Why it was withdrawn, or is not retried."""

    @property
    def bad(self) -> bool:
        """Whether it failed, or the verdict of a fix was unknown."""
        return self.outcome in (FAILED, UNKNOWN)

    @property
    def source(self) -> tuple[str, str]:
        """The source that it was made from: the distro's version and its contents."""
        return self.version, self.dsc


@dataclass(frozen=True, kw_only=True)
class Notification:
    """A notification, and when it was sent to each receiver."""

    id: int
    at: int
    body: Mapping[str, Any]
    webhook: int | None
    command: int | None


def index_of(row: dict[str, Any]) -> SuiteIndex:
    """Return the index of a suite in a row."""
    return records.structure(json.loads(row["value"]), SuiteIndex)


def target_of(values: dict[str, Any]) -> TargetState:
    """Return the target in a row."""
    return records.structure(_read(values, "versions", "architectures", "asked"), TargetState)


def run_of(values: dict[str, Any]) -> RunRow:
    """Return the run in a row."""
    return records.structure(_read(values, "inputs"), RunRow)


def issued_of(values: dict[str, Any]) -> Issued:
    """Return what a row says was published for a target."""
    lists = _read(values, "files", "own", "kept", "keys", "offered")
    return records.structure(lists | {"placed": bool(values["placed"])}, Issued)


def needs_of(values: dict[str, Any]) -> tuple[Need, ...]:
    """Return what needs a person, from the row that holds it."""
    return records.structure(json.loads(values["value"])["needs"], tuple[Need, ...])


def told_of(values: dict[str, Any]) -> dict[str, Any]:
    """Return what a row says was last told about a target."""
    return records.structure(json.loads(values["value"]), dict[str, Any])


def notification_of(values: dict[str, Any]) -> Notification:
    """Return the notification in a row."""
    return records.structure(_read(values, "body"), Notification)


def _read(values: dict[str, Any], *columns: str) -> dict[str, Any]:
    """Return a row with the JSON of these columns decoded."""
    return values | {name: json.loads(values[name]) for name in columns}


def values_of(run: RunRow) -> dict[str, Any]:
    """Return the columns of a run."""
    values = {f.name: getattr(run, f.name) for f in fields(RunRow)}
    return {**values, "inputs": json.dumps(dict(run.inputs)), "folder": str(run.folder)}
