# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's iproute2 for three architectures by one command: cross-built, and proven on each.

arm64 is the one most used, s390x is big-endian and has no security archive in bookworm. make test
leaves out arm64: test_foreign_guests.py proves its packages, test_cross_builds.py builds for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support import cli, real
from support.proof import SCHEMA

from pipeline.archives import host_apt
from pipeline.archives.apt import AptArchive
from pipeline.host.cache import file_sha256
from pipeline.releases import releases
from pipeline.smoke.cases import select
from pipeline.vm.machine import machine_for

NATIVE = host_apt.architecture()
FOREIGN = ("arm64", "s390x")
TWO, THREE = (NATIVE, "s390x"), (NATIVE, *FOREIGN)
SHORT = tuple(dict.fromkeys(case.name for case in select(None)))
MORE = ("map-in-map", "tail-calls", "lpm-trie")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.needs("spatch", *(f"{machine_for(name).multiarch}-gcc" for name in FOREIGN)),
    pytest.mark.skipif(NATIVE in FOREIGN, reason="one of them is this machine's"),
]


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What one command has made."""

    names: tuple[str, ...]
    """The architectures."""
    out: Path
    reports: dict[str, dict[str, Any]]
    """That of each architecture."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(TWO, id="two"),
        pytest.param(THREE, id="three", marks=pytest.mark.slow),
    ],
)
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    names = request.param
    out = tmp_path_factory.mktemp("cross") / "out"
    said = cli.respin(
        *("run", "--release", "bookworm", "--out", out, "--json"),
        *(word for name in names for word in ("--architecture", name)),
        *(word for name in (*SHORT, *MORE) for word in ("--case", name)),
        cache=real.cache().root,
    )
    assert said.status == 0, said.err
    found: dict[str, dict[str, Any]] = json.loads(said.out)
    assert tuple(found) == names
    for name in names:
        assert f"{name:9} fixed: " in said.err
    return Ran(names=names, out=out, reports=found)


def test_it_loads_what_the_distros_refuses(ran: Ran) -> None:
    for name in ran.names:
        loads(ran.reports[name], name)


def loads(report: dict[str, Any], name: str) -> None:
    """Hold that what an architecture's distro refuses is loaded by what was built for it."""
    jsonschema.validate(report, SCHEMA)
    assert (report["outcome"], report["architecture"]) == ("fixed", name)
    smoke = report["smoke"]
    assert smoke["architecture"] == name and machine_for(name).kernel in smoke["kernel"]
    seen = {case["case"]: case for case in smoke["cases"] if case["way"] == "tc"}
    for case in ("pinned-hash", *MORE):
        before, after = seen[case]["before"], seen[case]["after"]
        assert "legacy map definitions" in before["output"], case
        assert (before["seen"], after["seen"]) == ("refused", "loads"), case
        assert after["counted"] > 0, case
    assert all(cell["ok"] for case in smoke["cases"] for cell in (case["before"], case["after"]))


def test_what_was_built_and_with_what(ran: Ran) -> None:
    """The distro's package of that architecture is the control; the source is the same for all."""
    for name in ran.names:
        built_with(ran.out, ran.reports[name], name)


def built_with(out: Path, report: dict[str, Any], name: str) -> None:
    """Hold what was built for an architecture, the root, the control, the lock and the source."""
    built = report["built"]
    names = {Path(deb["path"]).name for deb in built["debs"]}
    version = built["version"]
    assert f"iproute2_{version}_{name}.deb" in names
    assert (f"iproute2-doc_{version}_all.deb" in names) == (name == NATIVE)
    assert built["omitted"] == ([] if name == NATIVE else ["iproute2-doc"])
    compiler = machine_for(name).compiler
    assert built["cross"].startswith(f"{compiler} (") == (name != NATIVE)
    both = {package["architecture"] for package in built["root"]} - {"all"}
    assert both == {NATIVE, name}
    archive = AptArchive(
        releases.find("bookworm"),
        releases.sources(releases.find("bookworm"), architecture=name),
        real.cache(),
        architecture=name,
    )
    candidate = archive.candidate("iproute2")
    assert candidate and [c["sha256"] for c in report["control"]] == [candidate.sha256]
    left_out = [line for line in report["archives"] if "left out" in line]
    assert [line.partition(" ")[0] for line in left_out] == (
        ["bookworm-security"] if name == "s390x" else []
    )
    lock = json.loads((out / name / "respin.lock").read_text())
    assert lock["architecture"] == name and len(lock["root"]) == len(built["root"])
    same = [out / each / "patched" for each in (NATIVE, name)]
    first, own = ({p.name: file_sha256(p) for p in d.iterdir() if p.is_file()} for d in same)
    assert own == first


def test_the_lock_of_a_cross_build_is_repeated(ran: Ran, tmp_path: Path) -> None:
    """For the architecture that it names, without being told; the packages are the same."""
    name = ran.names[1]
    said = cli.respin(
        *("run", "--locked", ran.out / name / "respin.lock", "--case", "pinned-hash"),
        *("--out", tmp_path / "out", "--json"),
        cache=real.cache().root,
    )
    assert said.status == 0, said.err
    again, before = json.loads(said.out), ran.reports[name]
    assert (again["outcome"], again["architecture"]) == ("fixed", name)
    assert again["built"]["debs"] == before["built"]["debs"]
    assert again["built"]["cross"] == before["built"]["cross"]
    assert again["built"]["root"] == before["built"]["root"]
