# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a night has to do: a decision for each version, from the state and the clock.

The functions are pure: the same state, inputs and time give the same plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from debian.debian_support import Version

from pipeline.archives.signedindex import Sighting
from pipeline.config.nightly import TOOLCHAIN
from pipeline.fixes.fixes import Fix
from pipeline.host.cache import digest
from pipeline.nightly.state import (
    FAILED,
    FIXED,
    INTERRUPTED,
    NOT_NEEDED,
    SAME,
    UNKNOWN,
    RunRow,
    TargetState,
)

BUILDS = "1"
"""Raise it with a change that makes other packages of the same source: all are then rebuilt."""

HOUR = 3600
BACKOFF = (HOUR, 6 * HOUR, 24 * HOUR, 72 * HOUR, 168 * HOUR)
"""Seconds to wait after the first, second … failure; after one more, respin waits to be asked."""

BAD = (FAILED, UNKNOWN)

GONE = "the archive no longer has this version, so it is not retried"

KILLED = 3
"""Runs of one version that may be killed before that counts as a failure."""

A_NIGHT = 5
"""Versions of one release to run in one night, the newest ones; the others wait for the next."""


class StepKind(StrEnum):
    """What to do for a version."""

    RUN = "run"
    PROBE = "probe"
    """Find out whether a changed fix touches this source; only then run."""
    NOTHING = "nothing"


@dataclass(frozen=True, kw_only=True)
class Step:
    """The decision for one version."""

    target: str
    version: str
    """The distro's version."""
    dsc: str
    """The SHA-256 of its .dsc."""
    kind: StepKind
    reason: str = ""
    number: int = 1


def inputs_of(fixes: Sequence[Fix]) -> dict[str, str]:
    """Return what a package depends on in respin: the pipeline's version, each fix by content."""
    found = {"builds": BUILDS}
    for fix in fixes:
        parts: list[str | bytes] = []
        for path in sorted(p for p in fix.directory.rglob("*") if p.is_file()):
            parts += [str(path.relative_to(fix.directory)), path.read_bytes()]
        found[f"fix {fix.name}"] = digest(*parts)
    return found


def each(sightings: Iterable[Sighting]) -> tuple[Sighting, ...]:
    """Return the versions that were seen, each once, oldest first in dpkg's order."""
    once: dict[str, Sighting] = {}
    for sighting in sightings:
        once.setdefault(sighting.version, sighting)
    return tuple(sorted(once.values(), key=lambda s: Version(s.version)))


def decide(
    target: TargetState,
    seen: Sighting,
    runs: Sequence[RunRow],
    inputs: Mapping[str, str],
    *,
    highest: int,
    now: int,
    rebuild_on: Collection[str] = (),
) -> Step:
    """Decide for one version that a target has.

    ``runs`` are the target's, oldest first; ``highest`` is the highest number that our rebuilds
    of the version ever had; ``now`` is in seconds since 1970. A request means the newest version.
    """
    kind, reason = StepKind.NOTHING, ""
    mine = [r for r in runs if (r.version, r.dsc) == seen.key]
    ended = [r for r in mine if r.outcome != INTERRUPTED]
    if target.asked and seen.version == target.version:
        kind, reason = StepKind.RUN, "asked for"
    elif target.ended:
        pass
    elif ended:
        kind, reason = _again(ended[-1], inputs, now, rebuild_on)
    else:
        kind, reason = StepKind.RUN, "killed while it ran" if mine else "new version"
        if any(r.version == seen.version for r in runs if r.dsc != seen.dsc):
            reason = "the same version with different contents"
    return Step(
        target=target.name,
        version=seen.version,
        dsc=seen.dsc,
        kind=kind,
        reason=reason,
        number=highest + 1,
    )


def _again(
    last: RunRow, inputs: Mapping[str, str], now: int, rebuild_on: Collection[str]
) -> tuple[StepKind, str]:
    """Decide for a version that was run before; return what to do, and why."""
    changed = [k for k, v in inputs.items() if k != TOOLCHAIN and last.inputs.get(k) != v]
    changed += [k for k in last.inputs if k.startswith("fix ") and k not in inputs]
    if "builds" in changed:
        return StepKind.RUN, "this version of respin builds it differently"
    if changed:
        return StepKind.RUN if last.bad else StepKind.PROBE, f"changed: {', '.join(changed)}"
    if last.bad:
        if last.why == GONE:
            return StepKind.RUN, "in the archive again"
        due = last.retry_at is not None and now >= last.retry_at
        return (StepKind.RUN, "retry") if due else (StepKind.NOTHING, "")
    old, new = last.inputs.get(TOOLCHAIN), inputs.get(TOOLCHAIN)
    if TOOLCHAIN in rebuild_on and old and new and old != new and last.withdrawn is None:
        return StepKind.RUN, "the build dependencies have changed"
    return StepKind.NOTHING, ""


def retry_at(failed: RunRow, runs: Sequence[RunRow], now: int) -> int | None:
    """Return when to retry a version whose run has just failed; None: only on request.

    ``runs`` are those of the target without the failed one.
    """
    failures = 0
    for run in reversed(runs):
        if (run.version, run.dsc) != (failed.version, failed.dsc):
            continue
        if run.outcome in (FIXED, NOT_NEEDED, SAME):
            break
        if run.outcome in BAD:
            failures += 1
            if run.reason == "asked for":
                break
    return now + BACKOFF[failures] if failures < len(BACKOFF) else None


def settled(runs: Iterable[RunRow]) -> dict[str, RunRow]:
    """Return, for each version, the last of its runs that had an outcome."""
    return {r.version: r for r in runs if r.outcome not in (SAME, INTERRUPTED, "")}


def older_failures(target: TargetState, runs: Iterable[RunRow]) -> tuple[RunRow, ...]:
    """Return the last runs, if they failed, of the archive's versions beside the newest."""
    return tuple(
        run
        for version, run in settled(runs).items()
        if run.bad and version in target.versions and version != target.version
    )


def newest(versions: Sequence[str]) -> str | None:
    """Return the highest version in dpkg's order."""
    return max(versions, key=Version, default=None)


def offered(target: TargetState, runs: Sequence[RunRow], keep: int) -> tuple[RunRow, ...]:
    """Return the runs whose packages the repository offers, the newest version first.

    Withdrawn packages are not among them, nor those made from a version above the distro's
    newest, which the distro itself has withdrawn.
    """
    best = target.version
    found = [
        run
        for run in runs
        if run.outcome == FIXED
        and run.ours
        and run.withdrawn is None
        and best is not None
        and not Version(run.version) > Version(best)
    ]
    found.sort(key=lambda run: (Version(str(run.ours)), run.id), reverse=True)
    once = {run.ours: run for run in reversed(found)}
    return tuple(run for run in found if once[run.ours] is run)[:keep]
