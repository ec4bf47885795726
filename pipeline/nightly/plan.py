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
from pipeline.fixes.own_patch import OwnPatch
from pipeline.host.cache import digest
from pipeline.nightly.state import (
    FAILED,
    INTERRUPTED,
    MADE,
    NOT_NEEDED,
    SAME,
    UNKNOWN,
    WAITING,
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
    architecture: str
    version: str
    """The distro's version."""
    dsc: str
    """The SHA-256 of its .dsc."""
    kind: StepKind
    reason: str = ""
    number: int = 1


def inputs_of(fixes: Sequence[Fix], patches: Sequence[OwnPatch] = ()) -> dict[str, str]:
    """Return what a package depends on here: the pipeline's version, each fix by its content.

    So it does on each of the user's own patches, by its content and its place among them.
    """
    found = {"builds": BUILDS}
    for fix in fixes:
        parts: list[str | bytes] = []
        for path in sorted(p for p in fix.directory.rglob("*") if p.is_file()):
            parts += [str(path.relative_to(fix.directory)), path.read_bytes()]
        found[f"fix {fix.name}"] = digest(*parts)
    for place, patch in enumerate(patches):
        found[f"patch {patch.name}"] = digest(str(place), str(patch.optional), patch.content)
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
    architecture: str,
    highest: Mapping[str, int],
    now: int,
    rebuild_on: Collection[str] = (),
) -> Step:
    """Decide for one version that a target has, and one architecture.

    ``runs`` are the target's, oldest first; ``highest`` is, by architecture, the highest number
    that our rebuilds of the version ever had; ``now`` is in seconds since 1970. A request means the
    newest version.
    """
    kind, reason = StepKind.NOTHING, ""
    own = [r for r in runs if r.architecture == architecture]
    mine = [r for r in own if r.source == seen.key]
    ended = [r for r in mine if r.outcome not in (INTERRUPTED, WAITING)]
    if architecture in target.asked and seen.version == target.version:
        kind, reason = StepKind.RUN, "asked for"
    elif target.ended or _withdrawn(seen, runs, inputs, architecture):
        pass
    elif ended:
        kind, reason = _again(ended[-1], inputs, now, rebuild_on)
    else:
        killed = mine and mine[-1].outcome == INTERRUPTED
        kind, reason = StepKind.RUN, "killed while it ran" if killed else "new version"
        if any(r.version == seen.version for r in own if r.dsc != seen.dsc):
            reason = "the same version with different contents"
    return Step(
        target=target.name,
        architecture=architecture,
        version=seen.version,
        dsc=seen.dsc,
        kind=kind,
        reason=reason,
        number=_number(seen, runs, inputs, architecture, highest),
    )


def _made(seen: Sighting, runs: Sequence[RunRow]) -> list[RunRow]:
    """Return the runs that made a package of a source."""
    return [r for r in runs if r.source == seen.key and r.outcome in MADE]


def _same_patch(run: RunRow, inputs: Mapping[str, str]) -> bool:
    """Return whether a source is patched today as it was for a run."""
    return {**run.inputs, TOOLCHAIN: ""} == {**inputs, TOOLCHAIN: ""}


def _number(
    seen: Sighting,
    runs: Sequence[RunRow],
    inputs: Mapping[str, str],
    architecture: str,
    highest: Mapping[str, int],
) -> int:
    """Return the number of the next rebuild of a version.

    It is a new one, unless this architecture lags behind another one, whose package was made from
    the source that would be made now. One number stands for one source.
    """
    last = max(highest.values(), default=0)
    if last > highest.get(architecture, 0):
        there = [r for r in _made(seen, runs) if r.number == last]
        if there and all(r.withdrawn is None and _same_patch(r, inputs) for r in there):
            return last
    return last + 1


def _withdrawn(
    seen: Sighting, runs: Sequence[RunRow], inputs: Mapping[str, str], architecture: str
) -> bool:
    """Return whether somebody withdrew what an architecture that lags behind would now make."""
    made = _made(seen, runs)
    if not made or any(r.architecture == architecture for r in made):
        return False
    return made[-1].withdrawn is not None and _same_patch(made[-1], inputs)


def _again(
    last: RunRow, inputs: Mapping[str, str], now: int, rebuild_on: Collection[str]
) -> tuple[StepKind, str]:
    """Decide for a version that was run before; return what to do, and why."""
    changed = [k for k, v in inputs.items() if k != TOOLCHAIN and last.inputs.get(k) != v]
    changed += [k for k in last.inputs if k.startswith(("fix ", "patch ")) and k not in inputs]
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
        if (run.source, run.architecture) != (failed.source, failed.architecture):
            continue
        if run.outcome in (*MADE, NOT_NEEDED, SAME):
            break
        if run.outcome in BAD:
            failures += 1
            if run.reason == "asked for":
                break
    return now + BACKOFF[failures] if failures < len(BACKOFF) else None


def settled(runs: Iterable[RunRow]) -> dict[tuple[str, str], RunRow]:
    """Return, for each version and architecture, the last run that had an outcome."""
    ended = [r for r in runs if r.outcome not in (SAME, INTERRUPTED, WAITING, "")]
    return {(r.version, r.architecture): r for r in ended}


def older_failures(target: TargetState, runs: Iterable[RunRow]) -> tuple[RunRow, ...]:
    """Return the last runs, if they failed, of the archive's versions beside the newest."""
    return tuple(
        run
        for (version, architecture), run in settled(runs).items()
        if run.bad and version in target.versions and version != target.version
        if architecture in target.architectures
    )


def newest(versions: Sequence[str]) -> str | None:
    """Return the highest version in dpkg's order."""
    return max(versions, key=Version, default=None)


def offered(target: TargetState, runs: Sequence[RunRow], keep: int) -> tuple[RunRow, ...]:
    """Return the runs whose packages the repository offers, the newest version first.

    Of each architecture it offers ``keep`` versions. Withdrawn versions are not among them, nor
    those made from a version above the distro's newest, which the distro itself has withdrawn.
    """
    best = target.version
    withdrawn = {(run.version, run.ours) for run in runs if run.withdrawn is not None}
    found = [
        run
        for run in runs
        if run.outcome in MADE
        and run.ours
        and (run.version, run.ours) not in withdrawn
        and best is not None
        and not Version(run.version) > Version(best)
    ]
    found.sort(key=lambda run: (Version(str(run.ours)), run.id), reverse=True)
    once = {(run.architecture, run.ours): run for run in reversed(found)}
    newest: dict[str, list[RunRow]] = {}
    for run in found:
        if once[run.architecture, run.ours] is run:
            newest.setdefault(run.architecture, []).append(run)
    kept = {run.id for each in newest.values() for run in each[:keep]}
    return tuple(run for run in found if run.id in kept)


def architectures(target: TargetState, runs: Sequence[RunRow], keep: int) -> tuple[str, ...]:
    """Return the architectures that the repository serves: those watched, and those offered."""
    offers = [run.architecture for run in reversed(offered(target, runs, keep))]
    return tuple(dict.fromkeys((*target.architectures, *offers)))
