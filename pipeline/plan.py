"""What a night has to do: a decision for each target, from what is known and the clock.

Pure: the same state, inputs and time give the same plan.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from debian.debian_support import Version

from pipeline.cache import digest
from pipeline.fixes import Fix
from pipeline.nightconfig import TOOLCHAIN
from pipeline.state import (
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
"""Raised by a change of ours that makes other packages of the same source: all are rebuilt."""

HOUR = 3600
BACKOFF = (HOUR, 6 * HOUR, 24 * HOUR, 72 * HOUR, 168 * HOUR)
"""Seconds to wait after the first, second … failure; after one more it is left until asked."""

BAD = (FAILED, UNKNOWN)

KILLED = 3
"""Runs of one version that may be killed before that counts as a failure."""


class Kind(StrEnum):
    """What is to be done for a target."""

    RUN = "run"
    PROBE = "probe"
    """Find out whether a changed fix touches this source; only then run."""
    NOTHING = "nothing"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A decision."""

    target: str
    kind: Kind
    reason: str = ""
    number: int = 1


def inputs_of(fixes: Sequence[Fix]) -> dict[str, str]:
    """Return what of ours a package depends on: the pipeline's version, each fix by content."""
    found = {"builds": BUILDS}
    for fix in fixes:
        parts: list[str | bytes] = []
        for path in sorted(p for p in fix.folder.rglob("*") if p.is_file()):
            parts += [str(path.relative_to(fix.folder)), path.read_bytes()]
        found[f"fix {fix.name}"] = digest(*parts)
    return found


def decide(
    target: TargetState,
    runs: Sequence[RunRow],
    inputs: Mapping[str, str],
    *,
    highest: int,
    now: int,
    rebuild_on: Collection[str] = (),
) -> Step:
    """Decide for one target.

    ``runs`` are its runs, oldest first; ``highest`` is the highest number that our rebuilds of
    the distro's version ever had; ``now`` in seconds since 1970.
    """
    nothing = Step(target=target.name, kind=Kind.NOTHING)
    if target.version is None or (target.ended and not target.asked):
        return nothing
    number = highest + 1
    mine = [r for r in runs if (r.version, r.dsc) == (target.version, target.dsc)]
    ended = [r for r in mine if r.outcome != INTERRUPTED]
    if target.asked:
        return Step(target=target.name, kind=Kind.RUN, reason="asked for", number=number)
    if not ended:
        reason = "new version" if not mine else "killed while it ran"
        if any(r.version == target.version for r in runs if r.dsc != target.dsc):
            reason = "the same version with other contents"
        return Step(target=target.name, kind=Kind.RUN, reason=reason, number=number)
    return _again(target, ended[-1], inputs, number, now, rebuild_on)


def _again(
    target: TargetState,
    last: RunRow,
    inputs: Mapping[str, str],
    number: int,
    now: int,
    rebuild_on: Collection[str],
) -> Step:
    """Decide for a version that was run before."""
    changed = [k for k, v in inputs.items() if k != TOOLCHAIN and last.inputs.get(k) != v]
    changed += [k for k in last.inputs if k.startswith("fix ") and k not in inputs]
    if "builds" in changed:
        return Step(
            target=target.name, kind=Kind.RUN, reason="respin builds it otherwise", number=number
        )
    if changed:
        kind = Kind.RUN if last.bad else Kind.PROBE
        return Step(
            target=target.name, kind=kind, reason=f"changed: {', '.join(changed)}", number=number
        )
    if last.bad:
        if last.retry_at is None or now < last.retry_at:
            return Step(target=target.name, kind=Kind.NOTHING)
        return Step(target=target.name, kind=Kind.RUN, reason="retry", number=number)
    old, new = last.inputs.get(TOOLCHAIN), inputs.get(TOOLCHAIN)
    if TOOLCHAIN in rebuild_on and old and new and old != new and last.withdrawn is None:
        reason = "the build dependencies have changed"
        return Step(target=target.name, kind=Kind.RUN, reason=reason, number=number)
    return Step(target=target.name, kind=Kind.NOTHING)


def retry_at(target: TargetState, runs: Sequence[RunRow], now: int) -> int | None:
    """Return when a version that has just failed is tried again; None: when it is asked for.

    ``runs`` are those of the target, the failed one not among them or without an outcome.
    """
    failures = 0
    for run in reversed(runs):
        if (run.version, run.dsc) != (target.version, target.dsc) or run.outcome in (
            FIXED,
            NOT_NEEDED,
            SAME,
        ):
            break
        if run.outcome in BAD:
            failures += 1
            if run.reason == "asked for":
                break
    return now + BACKOFF[failures] if failures < len(BACKOFF) else None


def newest(versions: Sequence[str]) -> str | None:
    """Return the highest of some versions, in dpkg's order."""
    return max(versions, key=Version, default=None)


def offered(target: TargetState, runs: Sequence[RunRow], keep: int) -> tuple[RunRow, ...]:
    """Return the runs whose packages the repository offers, the newest version first.

    Not what was withdrawn, and not what is made from a version above the distro's newest: that
    one the distro has withdrawn itself.
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
