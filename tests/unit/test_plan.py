# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a night decides: pure, from state, inputs and clock."""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path

import pytest
from debian.debian_support import Version
from hypothesis import given
from hypothesis import strategies as st

from pipeline.archives.signedindex import Sighting
from pipeline.config.config import Config
from pipeline.errors import UsageError
from pipeline.model import Release
from pipeline.nightly import plan, targets
from pipeline.nightly.plan import BACKOFF, Step, StepKind
from pipeline.nightly.state import RunRow, TargetState
from pipeline.releases.distroinfo import Known, Support
from pipeline.releases.releases import USUAL, Pocket

INPUTS = {"builds": "1", "fix a": "x", "fix b": "y"}
TARGET = TargetState(
    name="bookworm",
    distro="debian",
    codename="bookworm",
    version="6.1.0-3",
    dsc="d",
    pocket="release",
    versions=("6.1.0-3",),
    architectures=("amd64",),
    since=0,
)
RUN = RunRow(
    id=1,
    target="bookworm",
    architecture="amd64",
    version="6.1.0-3",
    dsc="d",
    number=1,
    reason="new version",
    inputs=INPUTS,
    folder=Path("/nowhere"),
    started=0,
    ended=1,
    outcome="fixed",
    ours="6.1.0-3+bpf1",
)
STEP = Step(
    target="bookworm",
    architecture="amd64",
    version="6.1.0-3",
    dsc="d",
    kind=StepKind.RUN,
    number=1,
)


def decide(
    *runs: RunRow,
    target: TargetState = TARGET,
    inputs: dict[str, str] = INPUTS,
    now: int = 10,
    rebuild_on: tuple[str, ...] = (),
    version: str | None = None,
    architecture: str = "amd64",
) -> Step:
    """Decide for a target's newest version, or for another one."""
    highest: dict[str, int] = {}
    for run in runs:
        if run.outcome == "fixed":
            before = highest.get(run.architecture, 0)
            highest[run.architecture] = max(before, run.number)
    seen = Sighting(version=version or str(target.version), dsc=str(target.dsc), suite="bookworm")
    return plan.decide(
        target,
        seen,
        runs,
        inputs,
        architecture=architecture,
        highest=highest,
        now=now,
        rebuild_on=rebuild_on,
    )


def a_run(**changes: object) -> RunRow:
    return dataclasses.replace(RUN, **changes)  # type: ignore[arg-type]


def test_a_version_not_seen_before_is_run_once() -> None:
    assert decide() == dataclasses.replace(STEP, reason="new version")
    assert decide(RUN).kind is StepKind.NOTHING
    assert decide(a_run(outcome="not-needed", ours=None)).kind is StepKind.NOTHING
    other = decide(RUN, target=dataclasses.replace(TARGET, version="6.1.0-4"))
    assert (other.kind, other.reason) == (StepKind.RUN, "new version")


def test_the_same_version_with_other_contents_is_another() -> None:
    step = decide(RUN, target=dataclasses.replace(TARGET, dsc="e"))
    assert (step.reason, step.number) == ("the same version with different contents", 2)


def test_what_is_no_longer_watched_is_nothing() -> None:
    assert decide(target=dataclasses.replace(TARGET, ended=5)).kind is StepKind.NOTHING


def test_what_is_asked_for_is_done_with_the_next_number() -> None:
    step = decide(RUN, target=dataclasses.replace(TARGET, asked=("amd64",)))
    assert (step.kind, step.reason, step.number) == (StepKind.RUN, "asked for", 2)


def test_a_change_of_ours_rebuilds_with_the_next_number() -> None:
    step = decide(RUN, inputs={**INPUTS, "builds": "2"})
    assert (step.kind, step.number) == (StepKind.RUN, 2)
    for inputs in (
        {**INPUTS, "fix b": "z"},
        {**INPUTS, "fix c": "n"},
        {"builds": "1", "fix a": "x"},
    ):
        step = decide(RUN, inputs=inputs)
        assert (step.kind, step.number) == (StepKind.PROBE, 2)
        assert decide(a_run(outcome="failed"), inputs=inputs).kind is StepKind.RUN
    same = a_run(id=2, outcome="same", inputs={**INPUTS, "fix b": "z"}, ours=None)
    assert decide(RUN, same, inputs={**INPUTS, "fix b": "z"}).kind is StepKind.NOTHING


def test_the_toolchain_counts_only_where_asked() -> None:
    built = a_run(inputs={**INPUTS, "toolchain": "old"})
    new = {**INPUTS, "toolchain": "new"}
    assert decide(built, inputs=new).kind is StepKind.NOTHING
    assert decide(built, inputs=new, rebuild_on=("toolchain",)).kind is StepKind.RUN
    same = {**INPUTS, "toolchain": "old"}
    assert decide(built, inputs=same, rebuild_on=("toolchain",)).kind is StepKind.NOTHING
    assert decide(built, rebuild_on=("toolchain",)).kind is StepKind.NOTHING


def test_what_was_withdrawn_is_not_made_again() -> None:
    assert decide(a_run(withdrawn=5)).kind is StepKind.NOTHING


def test_a_failure_waits_and_is_left_in_the_end() -> None:
    # What became of another version meanwhile is not of account.
    other = a_run(id=99, version="6.1.0-2")
    runs: list[RunRow] = []
    now = 1000
    for wait in BACKOFF:
        at = plan.retry_at(RUN, [*runs, other], now)
        assert at == now + wait
        runs.append(a_run(id=len(runs) + 1, outcome="failed", retry_at=at))
        assert decide(*runs, now=at - 1).kind is StepKind.NOTHING
        assert decide(*runs, now=at) == dataclasses.replace(STEP, reason="retry")
        now = at
    assert plan.retry_at(RUN, runs, now) is None
    left = a_run(id=9, outcome="unknown", retry_at=None)
    assert decide(*runs, left, now=10**10).kind is StepKind.NOTHING
    # Another version begins anew.
    other = a_run(version="6.1.0-4")
    assert plan.retry_at(other, runs, now) == now + BACKOFF[0]


def test_each_version_that_was_seen_is_decided_apart() -> None:
    listed = [
        Sighting(version=version, dsc=dsc, suite=suite)
        for version, dsc, suite in (
            ("6.1.0-10", "a", "bookworm"),
            ("6.1.0-9", "b", "bookworm"),
            ("6.1.0-10+deb12u1", "c", "bookworm-security"),
            ("6.1.0-10", "d", "bookworm-updates"),
        )
    ]
    assert [s.key for s in plan.each(listed)] == [
        ("6.1.0-9", "b"),
        ("6.1.0-10", "a"),
        ("6.1.0-10+deb12u1", "c"),
    ]
    # The newest is done; an older one is new, or waits for its own next try.
    older = decide(RUN, version="6.1.0-2")
    assert (older.version, older.reason, older.kind) == ("6.1.0-2", "new version", StepKind.RUN)
    failed = a_run(id=2, version="6.1.0-2", outcome="failed", ours=None, retry_at=20)
    assert decide(RUN, failed, version="6.1.0-2", now=19).kind is StepKind.NOTHING
    assert decide(RUN, failed, version="6.1.0-2", now=20).reason == "retry"
    assert decide(RUN, failed, now=20).kind is StepKind.NOTHING
    # What is asked for is the newest.
    asked = dataclasses.replace(TARGET, asked=("amd64",))
    assert decide(RUN, target=asked).reason == "asked for"
    assert decide(RUN, failed, target=asked, version="6.1.0-2").kind is StepKind.NOTHING


def test_what_the_archive_has_again_is_tried_again() -> None:
    gone = a_run(outcome="failed", ours=None, why=plan.GONE)
    assert decide(gone).reason == "in the archive again"
    left = a_run(outcome="failed", ours=None)
    assert decide(left).kind is StepKind.NOTHING


def test_what_failed_beside_the_newest() -> None:
    target = dataclasses.replace(TARGET, versions=("6.1.0-2", "6.1.0-3"))
    bad = a_run(id=1, version="6.1.0-2", outcome="failed")
    newest = a_run(id=2, outcome="unknown")
    past = a_run(id=3, version="6.1.0-1", outcome="failed")
    killed = a_run(id=4, version="6.1.0-2", outcome="interrupted")
    assert plan.older_failures(target, [bad, newest, past, killed]) == (bad,)
    good = a_run(id=5, version="6.1.0-2")
    assert plan.older_failures(target, [bad, newest, past, good]) == ()


def test_a_killed_run_is_made_again_at_once() -> None:
    killed = a_run(outcome="interrupted", ours=None)
    step = decide(killed)
    assert (step.kind, step.reason, step.number) == (StepKind.RUN, "killed while it ran", 1)


def test_what_is_offered() -> None:
    one, two = RUN, a_run(id=2, number=2, ours="6.1.0-3+bpf2")
    new = a_run(id=3, version="6.1.0-4", ours="6.1.0-4+bpf1")
    target = dataclasses.replace(TARGET, version="6.1.0-4")
    assert plan.offered(target, [one, two, new], 3) == (new, two, one)
    assert plan.offered(target, [one, two, new], 2) == (new, two)
    assert plan.offered(target, [one, two, a_run(id=3, version="6.1.0-4", withdrawn=1)], 3) == (
        two,
        one,
    )
    # The distro has withdrawn 6.1.0-4 itself.
    assert plan.offered(TARGET, [one, two, new], 3) == (two, one)
    assert plan.offered(dataclasses.replace(TARGET, version=None), [one, two, new], 3) == ()
    failed = a_run(id=4, outcome="failed", ours=None)
    assert plan.offered(TARGET, [one, failed], 3) == (one,)


VERSIONS = [f"6.1.0-{n}{s}" for n in (1, 2, 10) for s in ("", "+deb12u1", "+deb12u2")]


@given(
    st.lists(
        st.tuples(st.sampled_from(VERSIONS), st.sampled_from(["fixed", "failed"]), st.booleans())
    ),
    st.sampled_from(VERSIONS),
    st.integers(1, 5),
)
def test_nothing_above_the_distro_is_ever_offered(
    made: list[tuple[str, str, bool]], best: str, keep: int
) -> None:
    runs = [
        a_run(
            id=n,
            version=version,
            number=n,
            ours=f"{version}+bpf{n}",
            outcome=outcome,
            withdrawn=1 if withdrawn else None,
        )
        for n, (version, outcome, withdrawn) in enumerate(made, 1)
    ]
    found = plan.offered(dataclasses.replace(TARGET, version=best), runs, keep)
    assert len(found) <= keep
    assert all(r.outcome == "fixed" and r.withdrawn is None for r in found)
    assert all(Version(r.version) <= Version(best) for r in found)
    ours = [Version(str(r.ours)) for r in found]
    assert ours == sorted(ours, reverse=True)


def known(name: str, distro: str, end: date, *, long_term: bool = False) -> Known:
    return Known(
        release=Release(distro=distro, codename=name, version="1"),
        released=date(2020, 1, 1),
        ends=((Support.SUPPORTED, end),),
        long_term=long_term,
    )


KNOWN = (
    known("old", "debian", date(2024, 1, 1)),
    known("new", "debian", date(2028, 1, 1)),
    known("short", "ubuntu", date(2028, 1, 1)),
    known("long", "ubuntu", date(2028, 1, 1), long_term=True),
)


@pytest.mark.parametrize(
    ("names", "on", "found"),
    [
        (["debian:supported"], date(2023, 1, 1), ["old", "new"]),
        (["debian:supported"], date(2024, 1, 1), ["old", "new"]),
        (["debian:supported"], date(2024, 1, 2), ["new"]),
        (["ubuntu:lts"], date(2024, 1, 2), ["long"]),
        (["ubuntu:supported", "ubuntu:lts"], date(2024, 1, 2), ["short", "long"]),
        (["bookworm", "debian:supported", "12"], date(2024, 1, 2), ["bookworm", "new"]),
    ],
)
def test_groups_of_releases(names: list[str], on: date, found: list[str]) -> None:
    made = targets.targets(names, ("release", "security"), Config(), on, KNOWN)
    assert [t.name for t in made] == found


def test_backports_are_a_target_of_their_own() -> None:
    made = targets.targets(["bookworm"], (*USUAL, "backports"), Config(), date.today())
    assert [t.name for t in made] == ["bookworm", "bookworm-backports"]
    assert made[0].asked() == () and made[1].asked() == (Pocket.BACKPORTS,)
    assert made[0].follows("bookworm-security") and not made[0].follows("bookworm-backports")
    assert made[1].follows("bookworm-backports") and not made[1].follows("bookworm")


def test_no_release_is_an_error() -> None:
    with pytest.raises(UsageError, match="no release is configured"):
        targets.targets(["debian:supported"], ("release",), Config(), date(2040, 1, 1), KNOWN)
    with pytest.raises(UsageError, match="no release named"):
        targets.targets(["debian:stabel"], ("release",), Config(), date(2040, 1, 1), KNOWN)
