# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a night decides where a release is built for several architectures."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from datetime import date
from pathlib import Path

import pytest

from pipeline.archives.signedindex import Sighting
from pipeline.config import config
from pipeline.errors import PublishError, UsageError
from pipeline.host.resources import package_data
from pipeline.nightly import plan, status, targets
from pipeline.nightly.plan import Step, StepKind
from pipeline.nightly.state import RunRow, TargetState
from pipeline.publish import verified_run
from pipeline.publish.verified_run import File
from pipeline.vm.machine import machines

INPUTS = {"builds": "1", "fix a": "x"}
BOTH = ("amd64", "arm64")
TARGET = TargetState(
    name="bookworm",
    distro="debian",
    codename="bookworm",
    version="6.1.0-3",
    dsc="d",
    pocket="release",
    versions=("6.1.0-3",),
    architectures=BOTH,
    since=0,
)


def run(number: int, architecture: str, **changes: object) -> RunRow:
    """Return a run that built rebuild ``number``."""
    row = RunRow(
        id=number * 10 + BOTH.index(architecture),
        target="bookworm",
        architecture=architecture,
        version="6.1.0-3",
        dsc="d",
        number=number,
        reason="new version",
        inputs=INPUTS,
        folder=Path("/nowhere"),
        started=0,
        ended=1,
        outcome="fixed",
        ours=f"6.1.0-3+bpf{number}",
    )
    return dataclasses.replace(row, **changes)  # type: ignore[arg-type]


def decide(
    architecture: str,
    *runs: RunRow,
    target: TargetState = TARGET,
    inputs: dict[str, str] = INPUTS,
    now: int = 10,
) -> Step:
    """Decide for the newest version."""
    highest: dict[str, int] = {}
    for each in runs:
        if each.outcome == "fixed":
            highest[each.architecture] = max(highest.get(each.architecture, 0), each.number)
    seen = Sighting(version="6.1.0-3", dsc="d", suite="bookworm")
    return plan.decide(
        target, seen, runs, inputs, architecture=architecture, highest=highest, now=now
    )


def test_a_version_is_due_until_it_is_proven_for_the_architecture() -> None:
    """An architecture that lags behind gets the number of the source that the others have."""
    first = run(1, "amd64")
    assert decide("amd64", first).kind is StepKind.NOTHING
    step = decide("arm64", first)
    assert (step.kind, step.reason, step.number) == (StepKind.RUN, "new version", 1)
    failed = run(1, "arm64", outcome="failed", ours=None, retry_at=20)
    assert decide("arm64", first, failed, now=19).kind is StepKind.NOTHING
    step = decide("arm64", first, failed, now=20)
    assert (step.kind, step.reason, step.number) == (StepKind.RUN, "retry", 1)
    assert decide("amd64", first, failed, now=20).kind is StepKind.NOTHING


def test_one_number_is_one_source() -> None:
    """Where the source would be patched otherwise now, no package gets a number that is used."""
    first, edited = run(1, "amd64"), {**INPUTS, "fix a": "y"}
    assert decide("arm64", first, inputs=edited).number == 2
    # Both would be built again: with one number, since they are decided before either is run.
    both = (first, run(1, "arm64"))
    assert [decide(a, *both, inputs=edited).number for a in BOTH] == [2, 2]
    second = run(2, "amd64", inputs=edited)
    assert decide("arm64", *both, second, inputs=edited).number == 2
    assert decide("arm64", *both, second, inputs={**edited, "builds": "2"}).number == 3
    # What a package is built with is not in its source.
    built = run(2, "amd64", inputs={**INPUTS, "toolchain": "new"})
    failed = run(1, "arm64", outcome="failed", ours=None, retry_at=0)
    assert decide("arm64", first, failed, built).number == 2
    # Another source of the same version, and a run that was forgotten.
    assert decide("arm64", run(1, "amd64", dsc="e")).number == 2
    seen = Sighting(version="6.1.0-3", dsc="d", suite="bookworm")
    forgotten = plan.decide(
        TARGET, seen, (), INPUTS, architecture="arm64", highest={"amd64": 4}, now=0
    )
    assert forgotten.number == 5


def test_what_is_withdrawn_is_so_for_all() -> None:
    gone = run(1, "amd64", withdrawn=5, why="bad")
    assert decide("arm64", gone).kind is StepKind.NOTHING
    step = decide("arm64", gone, inputs={**INPUTS, "fix a": "y"})
    assert (step.kind, step.number) == (StepKind.RUN, 2)
    asked = dataclasses.replace(TARGET, asked=("arm64",))
    step = decide("arm64", gone, target=asked)
    assert (step.kind, step.reason, step.number) == (StepKind.RUN, "asked for", 2)
    assert decide("amd64", gone, target=asked).kind is StepKind.NOTHING
    # It was made while somebody withdrew it.
    late = run(1, "arm64")
    assert plan.offered(TARGET, [gone, late], 3) == ()
    for architecture in BOTH:
        row = status.row(TARGET, architecture, [gone, late], 3, 10)
        assert (row.outcome, row.why, row.ours) == ("withdrawn", "bad", None)
    assert status.row(TARGET, "arm64", [gone], 3, 10).outcome == "withdrawn"


def test_each_architecture_has_its_own_last_versions() -> None:
    amd64 = [run(number, "amd64") for number in (1, 2, 3)]
    arm64 = [run(1, "arm64")]
    found = plan.offered(TARGET, [*amd64, *arm64], 2)
    assert found == (amd64[2], amd64[1], arm64[0])
    assert plan.architectures(TARGET, [*amd64, *arm64], 2) == BOTH
    # One that is no longer built for keeps what it has.
    only = dataclasses.replace(TARGET, architectures=("amd64",))
    assert plan.architectures(only, [*amd64, *arm64], 2) == BOTH
    ended = status.row(only, "arm64", [*amd64, *arm64], 2, 10)
    assert (ended.outcome, ended.ours) == ("ended", "6.1.0-3+bpf1")
    assert plan.architectures(only, amd64, 2) == ("amd64",)


def test_one_that_fails_is_a_row_of_its_own() -> None:
    runs = [run(1, "amd64"), run(1, "arm64", outcome="failed", ours=None, code=13, brief="no")]
    rows = [status.row(TARGET, a, runs, 3, 10) for a in BOTH]
    assert [(r.outcome, r.code, r.needs_person) for r in rows] == [
        ("fixed", 0, False),
        ("failed", 13, True),
    ]


def parse(text: str) -> config.Config:
    return config.parse(tomllib.loads(text), Path("/etc/respin/respin.toml"))


def test_the_architectures_of_a_release() -> None:
    found = parse(
        '[nightly]\narchitectures = ["amd64", "arm64", "amd64"]\n'
        '[release.trixie]\narchitectures = ["riscv64"]\n'
    )
    made = targets.targets(
        ["bookworm", "trixie"],
        ("release", "backports"),
        found,
        date(2026, 1, 1),
        architectures=found.nightly.architectures,
    )
    assert {t.name: t.architectures for t in made} == {
        "bookworm": BOTH,
        "bookworm-backports": BOTH,
        "trixie": ("riscv64",),
        "trixie-backports": ("riscv64",),
    }


@pytest.mark.parametrize("table", ["nightly", "release.trixie"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("[]", "architectures: expected a list of at least one architecture"),
        ('["arm64", "sparc"]', "architectures[1]: expected one of amd64, arm64, armhf, i386"),
        ('["x86_64"]', 'i386, ppc64el, riscv64, s390x, found "x86_64"'),
        ('"arm64"', "architectures: expected a list of at least one architecture"),
    ],
)
def test_a_wrong_architecture_is_named(table: str, value: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)) as caught:
        parse(f"[{table}]\narchitectures = {value}\n")
    assert caught.value.exit_code == 2 and f"[{table}]" in caught.value.brief


def test_those_are_the_ones_that_can_be_proven() -> None:
    schema = json.loads(package_data("pipeline.config", "respin.schema.json").read_text())
    assert schema["definitions"]["architectures"]["items"]["enum"] == sorted(machines())


def test_a_run_has_packages_of_one_architecture() -> None:
    def of(names: str, smoke: str | None = None, kernel: str | None = None, **report: str) -> str:
        files = [File(path=Path(name), sha256="0") for name in names.split()]
        package = {"architecture": kernel} if kernel else None
        values = {"smoke": {"architecture": smoke, "kernel_package": package}, **report}
        return verified_run._architecture(Path("/run"), files, values)

    both = "iproute2_1-1+bpf1_arm64.deb iproute2-doc_1-1+bpf1_all.deb iproute2_1-1+bpf1.dsc"
    assert of(both) == of(both, architecture="arm64") == "arm64"
    assert of(both, smoke="arm64", kernel="arm64") == "arm64"
    for names, report in (
        (f"{both} iproute2_1-1+bpf1_amd64.deb", {}),
        (both, {"architecture": "s390x"}),
        (both, {"smoke": "amd64"}),
        (both, {"kernel": "amd64"}),
        ("iproute2-doc_1-1+bpf1_all.deb", {}),
        ("iproute2-doc_1-1+bpf1_all.deb", {"architecture": "arm64"}),
        ("iproute2_1-1+bpf1_source.deb", {}),
        ("iproute2_1-1+bpf1_.deb", {}),
    ):
        with pytest.raises(PublishError, match="/run has packages of"):
            of(names, **report)
