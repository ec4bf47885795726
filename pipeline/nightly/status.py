# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of every release: rows for the terminal and for the status page."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.errors import PublishError, UsageError
from pipeline.files import bounded, own_files
from pipeline.host.resources import render
from pipeline.nightly import plan
from pipeline.nightly.state import (
    FAILED,
    INTERRUPTED,
    MADE,
    NOT_NEEDED,
    SAME,
    UNKNOWN,
    Need,
    RunRow,
    State,
    TargetState,
)
from pipeline.proof import envelope
from pipeline.runs.directory import REPORT

SCHEMA = 1
DAY = 24 * 3600
LARGEST = 256 << 20
"""Bytes of a file that the page links to."""
TIMELINE = 200
"""Runs in the page's timeline."""

GOOD = (*MADE, NOT_NEEDED, SAME)

PENDING, ABSENT, ENDED, WITHDRAWN, PROBLEM = "pending", "absent", "ended", "withdrawn", "problem"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A version below the newest that failed."""

    version: str
    outcome: str
    next_retry: int | None
    why: str
    code: int


@dataclass(frozen=True, kw_only=True)
class TargetStatus:
    """The status of one target for one architecture."""

    target: str
    architecture: str
    distro: str
    release: str
    pocket: str | None
    version: str | None
    """The distro's version."""
    ours: str | None
    """The newest version that our repository offers."""
    offered: tuple[str, ...]
    outcome: str
    """A run's outcome, or ``pending``, ``absent``, ``ended``, ``withdrawn``, ``problem``."""
    since: int
    next_retry: int | None
    why: str
    """What went wrong, in a sentence; empty if nothing did."""
    code: int
    needs_person: bool
    run: int | None
    """The run whose outcome this is."""
    ours_run: int | None
    """The run that made the newest version on offer."""
    older: tuple[Failure, ...] = ()
    """Failures of older versions."""
    several: bool = False
    """Whether the target is built for other architectures, too."""

    @property
    def here(self) -> bool:
        """Whether its problem is this machine's, or that of the configuration."""
        return self.outcome == PROBLEM and self.code == UsageError.exit_code

    @property
    def name(self) -> str:
        """The target; if it is built for several architectures, with this one."""
        return f"{self.target} {self.architecture}" if self.several else self.target


def rows(state: State, keep: int, now: int) -> tuple[TargetStatus, ...]:
    """Return the status of every target and architecture; ``keep`` versions are offered at once."""
    found = []
    for name, target in state.targets().items():
        runs = state.runs(name)
        each = plan.architectures(target, runs, keep)
        made = (row(target, architecture, runs, keep, now) for architecture in each)
        found += [replace(one, several=len(each) > 1) for one in made]
    return tuple(found)


def of_targets(found: Sequence[TargetStatus]) -> tuple[TargetStatus, ...]:
    """Return the first row of each target."""
    first: dict[str, TargetStatus] = {}
    for each in found:
        first.setdefault(each.target, each)
    return tuple(first.values())


def row(
    target: TargetState, architecture: str, runs: Sequence[RunRow], keep: int, now: int
) -> TargetStatus:
    """Return the status of one target for one architecture."""
    offers = [r for r in plan.offered(target, runs, keep) if r.architecture == architecture]
    own = [r for r in runs if r.architecture == architecture]
    here = [r for r in runs if r.source == (target.version, target.dsc)]
    mine = [
        r
        for r in here
        if r.architecture == architecture and r.outcome not in (SAME, INTERRUPTED, "")
    ]
    last = mine[-1] if mine else None
    made = [r for r in here if r.outcome in MADE]
    if last is None and made and made[-1].withdrawn is not None:
        last = made[-1]  # what is withdrawn is so for all architectures
    outcome, since, why, code = PENDING, target.since, "", 0
    if target.version is None:
        outcome = ABSENT
    if last is not None:
        outcome, since, why, code = last.outcome, last.ended or last.started, last.brief, last.code
        for each in runs:
            if last.ours and each.ours == last.ours and each.withdrawn is not None:
                outcome, since, why = WITHDRAWN, each.withdrawn, each.why
    stuck = last is not None and last.outcome == FAILED and last.retry_at is None
    person = stuck or outcome == UNKNOWN
    if target.problem and target.problem_since is not None:
        outcome, since, code = PROBLEM, target.problem_since, target.problem_code or 0
        why = target.problem
        # What is wrong with the machine or the configuration does not pass by itself.
        local = target.problem_code == UsageError.exit_code
        person = person or local or now - target.problem_since >= DAY
    if target.ended is not None or architecture not in target.architectures:
        outcome, since, why, person = ENDED, target.ended or since, "", False
    return TargetStatus(
        target=target.name,
        architecture=architecture,
        distro=target.distro,
        release=target.codename,
        pocket=target.pocket,
        version=target.version,
        ours=offers[0].ours if offers else None,
        offered=tuple(str(run.ours) for run in offers),
        outcome=outcome,
        since=since,
        next_retry=last.retry_at if last and last.bad and outcome != ENDED else None,
        why=why,
        code=code,
        needs_person=person,
        run=last.id if last else None,
        ours_run=offers[0].id if offers else None,
        older=tuple(map(_failure, plan.older_failures(target, own))) if not target.ended else (),
    )


def _failure(run: RunRow) -> Failure:
    return Failure(
        version=run.version,
        outcome=run.outcome,
        next_retry=run.retry_at,
        why=run.brief,
        code=run.code,
    )


def to_json(found: Sequence[TargetStatus], needs: Sequence[Need]) -> dict[str, Any]:
    """Return the JSON of ``respin status --json``, with times as in RFC 3339."""

    def plain(values: dict[str, Any]) -> dict[str, Any]:
        times, shown = ("since", "next_retry"), {k: v for k, v in values.items() if k != "several"}
        return {k: iso(v) if k in times else v for k, v in shown.items()}

    rows = [{**plain(asdict(r)), "older": [plain(asdict(f)) for f in r.older]} for r in found]
    return {"schema": SCHEMA, "targets": rows, "attention": [asdict(need) for need in needs]}


def history_json(runs: Sequence[RunRow]) -> dict[str, Any]:
    """Return the JSON of ``respin history --json``, oldest first."""
    times = ("started", "ended", "retry_at", "published", "withdrawn")
    listed = []
    for run in runs:
        values: dict[str, Any] = {**asdict(run), "folder": str(run.folder)}
        listed.append({k: iso(v) if k in times else v for k, v in values.items()})
    return {"schema": SCHEMA, "runs": listed}


def iso(when: int | None) -> str | None:
    """Return a time in the form of RFC 3339."""
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if when else None


# -- the page ---------------------------------------------------------------------------


def write(
    public: Path,
    found: Sequence[TargetStatus],
    runs: Sequence[RunRow],
    now: datetime,
    needs: Sequence[Need] = (),
) -> None:
    """Write index.html and status.json, each in one step, and the files that the page links to.

    Raises PublishError if they cannot be written; the old ones then stay.
    """
    try:
        _write(public, found, runs, now, needs)
    except OSError as e:
        raise PublishError(
            f"respin could not write the status page: {e.filename or public}: {e.strerror}",
            hint=f"check who owns {public}, and whether its disk is full",
        ) from e


def _write(
    public: Path,
    found: Sequence[TargetStatus],
    runs: Sequence[RunRow],
    now: datetime,
    needs: Sequence[Need],
) -> None:
    public.mkdir(parents=True, exist_ok=True)
    shown = {run.id: _show(public, run) for run in runs}
    reports = {run.id: _report(run) for run in runs}
    page = render(
        "status.html.j2",
        version=__version__,
        answer=answer(found, needs),
        needs=needs,
        people=people(found, needs),
        now=int(now.timestamp()),
        rows=found,
        reports=reports,
        links=shown,
        runs=[r for r in reversed(runs) if r.outcome != INTERRUPTED][:TIMELINE],
        iso=iso,
        ago=ago,
    )
    own_files.write(public / "index.html", page)
    own_files.write(public / "status.json", json.dumps(to_json(found, needs), indent=1) + "\n")


def people(found: Sequence[TargetStatus], needs: Sequence[Need]) -> tuple[TargetStatus, ...]:
    """Return the rows that need a person for something of their own."""
    waiting = {target for need in needs for target in need.waiting}
    return tuple(
        row for row in found if row.needs_person and not (row.here and row.target in waiting)
    )


def answer(found: Sequence[TargetStatus], needs: Sequence[Need]) -> str:
    """Return in one sentence how the releases stand."""
    watched = [row for row in found if row.outcome != ENDED]
    if not watched:
        return "No release is watched yet." if not found else "No release is watched any more."
    good = sum(row.outcome in GOOD for row in watched)
    those = sum(row.needs_person for row in found)
    releases = "release is" if len(watched) == 1 else "releases are"
    if any(row.several for row in watched):
        count = len({row.target for row in watched})
        releases = f"packages of {count} release{'s' if count > 1 else ''} are"
    attention = (
        f"{those} need{'s' if those == 1 else ''} attention" if those else "none needs attention"
    )
    other = sum(not need.waiting for need in needs)
    if other:
        one = other == 1
        things = f"{other} other thing{'' if one else 's'}"
        attention += f", {'and' if those else 'but'} {things} {'does' if one else 'do'}"
    return f"{good} of {len(watched)} {releases} fixed, or need no fix; {attention}."


def ago(now: int, then: int) -> str:
    """Return how long ago a time is, in words."""
    seconds = max(0, now - then)
    for size, word in ((DAY, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {word}{'s' if count > 1 else ''}"
    return "now"


def _report(run: RunRow) -> dict[str, Any] | None:
    """Return what a run's report says, if its directory is still there."""
    try:
        value: dict[str, Any] = bounded.from_json(run.folder / REPORT, bounded.LARGE)
    except (OSError, ValueError):
        return None
    return value


def _show(public: Path, run: RunRow) -> dict[str, list[str]]:
    """Put a run's report, statements, patches and logs where the page can link to them.

    Returns the links. They are hard links where the file system allows it, and take no space.
    """
    name = f"{run.id:06d}"
    final = public / "runs" / name
    logs = run.folder.with_name(f"{run.folder.name}.logs")
    wanted = {"report": [run.folder / REPORT], "proof": [run.folder / envelope.NAME]}
    wanted["patch"] = sorted((run.folder / "patched/patches").glob("*.patch"))
    wanted["logs"] = sorted(p for f in (run.folder / "logs", logs) for p in f.glob("*.log"))
    links: dict[str, list[str]] = {kind: [] for kind in wanted}
    for kind, paths in wanted.items():
        for path in paths:
            if not _regular(path):
                continue
            target = final / path.name
            if not target.exists():
                final.mkdir(parents=True, exist_ok=True)
                _link(path, target)
            links[kind].append(f"runs/{name}/{path.name}")
    return links


def _regular(path: Path) -> bool:
    """Return whether this is a regular file, and not a link to one outside the run."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _link(path: Path, target: Path) -> None:
    with own_files.replacing(target, alone=True) as part:
        try:
            os.link(path, part, follow_symlinks=False)
        except OSError:  # another file system
            bounded.copy(path, part, LARGEST, follow=False)
        # Not part.chmod(): the file may have become a link since somebody looked.
        with bounded.open_regular(part, follow=False) as file:
            os.fchmod(file.fileno(), 0o644)
