# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The runs that are due, as ``respin nightly --plan`` prints them for an engine that runs them.

plan.schema.json says what is printed. A run's name is derived from what is due and from nothing
else, so the same state gives the same names, and an earlier plan's name stands for the same run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.archives import host_apt
from pipeline.errors import NotVerified
from pipeline.host.cache import digest
from pipeline.nightly import status
from pipeline.nightly.plan import Step
from pipeline.nightly.state import MADE, RunRow
from pipeline.nightly.targets import Target
from pipeline.proof import check, envelope, statements

SCHEMA = 1
MINUTES, FOREIGN_MINUTES = 8, 16
"""How long a run takes, roughly, of this machine's architecture and of another, with nothing
cached, until the first one of a release has said it."""
DISK = 4000
"""Megabytes that a run needs, roughly, with nothing cached: two roots, a guest's image, the build
and ccache."""


@dataclass(frozen=True, kw_only=True)
class Due:
    """A run that is due."""

    step: Step
    target: Target
    inputs: Mapping[str, str]
    """What its package depends on in respin (``plan.inputs_of``)."""

    @property
    def name(self) -> str:
        """Return its name: [a-z0-9][a-z0-9.+_-]*, of at most 100 characters."""
        step = self.step
        parts = (step.target, step.architecture, step.version, step.dsc, str(step.number))
        known = digest(*parts, json.dumps(dict(self.inputs), sort_keys=True))
        words = f"{step.target[:30]}-{step.architecture}-{step.version[:30]}-{known[:12]}".lower()
        return re.sub(r"[^a-z0-9.+-]", "_", words)

    @property
    def command(self) -> tuple[str, ...]:
        """Return the command that makes it, without --out and --sign-with."""
        step, pockets = self.step, self.target.asked()
        return (
            *("respin", "run", "--release", self.target.release.codename),
            *("--version", step.version, "--architecture", step.architecture),
            *("--number", str(step.number)),
            *(word for pocket in pockets for word in ("--pocket", pocket.value)),
            *("--expect-dsc", step.dsc),
        )


def to_json(due: Sequence[Due], runs: Sequence[RunRow], now: datetime) -> dict[str, Any]:
    """Return the plan; ``runs`` are those that were made, by which times are estimated."""
    return {
        "schema": SCHEMA,
        "made": status.iso(int(now.timestamp())),
        "runs": [
            {
                "name": each.name,
                "release": each.step.target,
                "version": each.step.version,
                "architecture": each.step.architecture,
                "reason": each.step.reason,
                "dsc_sha256": each.step.dsc,
                "command": list(each.command),
                "minutes": _minutes(each.step, runs),
                "disk_mb": DISK,
            }
            for each in due
        ],
    }


def _minutes(step: Step, runs: Sequence[RunRow]) -> int:
    """Return how long the last run of a release and architecture took, else a rough number."""
    for run in reversed(runs):
        same = (run.target, run.architecture) == (step.target, step.architecture)
        if not same or run.outcome not in MADE:
            continue
        try:
            made = check.claimed(run.folder / envelope.NAME).statements[statements.PROVENANCE]
            times = made["predicate"]["runDetails"]["metadata"]
            began, done = (
                datetime.fromisoformat(times[key]) for key in ("startedOn", "finishedOn")
            )
        except (NotVerified, KeyError):  # an older respin made it, or it was pruned
            break
        return max(1, -int((began - done).total_seconds() // 60))
    return MINUTES if step.architecture == host_apt.architecture() else FOREIGN_MINUTES
