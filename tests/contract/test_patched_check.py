# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The new source is held against the diagnosis again; what it still needs ends a run."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from support import smallpackage
from support.filled import filled

from pipeline import run
from pipeline.errors import BuildError, PatchError
from pipeline.fixes import fixes
from pipeline.host.cache import Cache
from pipeline.model import Finding, Patched, Release, Source, Verdict
from pipeline.runs import report
from pipeline.runs.building import Building
from pipeline.runs.comparing import Comparing
from pipeline.runs.directory import open_run
from pipeline.runs.inputs import Inputs, Used
from pipeline.runs.patching import Patching
from pipeline.runs.proving import Proving
from pipeline.runs.report import Outcome, Report
from pipeline.runs.request import Request
from pipeline.runs.stages import begin

RELEASE = Release(distro="debian", codename="bookworm", version="12")
SOURCE = filled(Source, release=RELEASE, version="4.10.0-1")
OURS = "4.10.0-1+bpf1"


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """Return an asked whose archive has no version of the package but the source's."""
    archive = SimpleNamespace(
        versions=lambda name: [SimpleNamespace(version=SOURCE.version)],
        binary_versions=lambda name: [],
        candidate=lambda name: None,
        architecture="amd64",
    )
    monkeypatch.setattr(Inputs, "archive", archive)
    return Request(release=RELEASE, fixes=fixes.all_fixes(), cache=Cache(tmp_path / "cache"))


def check(asked: Request, tmp_path: Path, golden: str) -> None:
    dsc = smallpackage.make(tmp_path / "made", OURS, golden)
    patched = filled(Patched, source=SOURCE, version=OURS, dsc=dsc)
    with (
        open_run(tmp_path / "out", asked.cache) as directory,
        begin(asked, directory, None) as stages,
    ):
        stages.patching.check(patched)
        assert not any(directory.path.glob(".work/*")), "its copies are removed"
        done = Report(outcome=Outcome.PATCHED, source=SOURCE, findings=())
        report.write(done, directory.path)
        stages.inputs.write_lock(done, Used())


@pytest.mark.needs("spatch")
def test_a_source_that_needs_nothing_passes(asked: Request, tmp_path: Path) -> None:
    check(asked, tmp_path, smallpackage.FIXED)


@pytest.mark.needs("spatch")
@pytest.mark.parametrize("golden", [smallpackage.VULNERABLE, smallpackage.STRANGE])
def test_a_source_that_does_not_is_refused(asked: Request, tmp_path: Path, golden: str) -> None:
    with pytest.raises(PatchError, match="still needs stt-object"):
        check(asked, tmp_path, golden)
    assert not (tmp_path / "out").exists()


def test_a_run_is_not_fixed_without_it(
    asked: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(patching: Patching, patched: Patched) -> None:
        raise PatchError("the patched source still needs a-fix")

    needed = filled(Finding, fix=asked.fixes[0].name, verdict=Verdict.NEEDED)
    for stage, name, made in (
        (Inputs, "check_sandbox", None),
        (Inputs, "fetch", SOURCE),
        (Inputs, "tree", tmp_path),
        (Inputs, "distro_package", ("theirs",)),
        (Patching, "diagnose", (needed,)),
        (Patching, "patch", None),
        (Patching, "check_version", None),
        (Building, "check_engine", None),
        (Building, "prepare", SimpleNamespace(root=None)),
        (Building, "build", None),
        (Building, "written", ()),
        (Building, "stop", ""),
        (Proving, "check_possible", None),
        (Proving, "prepare_guest", None),
        (Proving, "smoke", None),
    ):
        monkeypatch.setattr(stage, name, lambda *args, made=made, **_: made)
    monkeypatch.setattr(Patching, "check", refuse)
    with pytest.raises(PatchError, match="still needs a-fix"):
        run.run(asked, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_source_is_checked_and_the_package_tested_while_the_build_goes_on(
    asked: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked, tested = Event(), Event()

    def build(*_: object) -> None:
        assert checked.wait(30) and tested.wait(30)
        raise BuildError("both were done before the end")

    def smoke(*given: Any) -> None:
        assert given[-1].result() == ("written",)
        tested.set()

    needed = filled(Finding, fix=asked.fixes[0].name, verdict=Verdict.NEEDED)
    for stage, name, does in (
        (Inputs, "check_sandbox", lambda *_: None),
        (Inputs, "fetch", lambda *_: SOURCE),
        (Inputs, "tree", lambda *_: tmp_path),
        (Inputs, "distro_package", lambda *_: ("theirs",)),
        (Patching, "diagnose", lambda *_: (needed,)),
        (Patching, "patch", lambda *_: filled(Patched, source=SOURCE)),
        (Patching, "check", lambda *_: checked.set()),
        (Patching, "check_version", lambda *_: None),
        (Building, "check_engine", lambda *_: None),
        (Building, "prepare", lambda *_: SimpleNamespace(root=None)),
        (Building, "build", build),
        (Building, "written", lambda *_: ("written",)),
        (Building, "stop", lambda *_: ""),
        (Proving, "check_possible", lambda *_: None),
        (Proving, "prepare_guest", lambda *_: None),
        (Proving, "smoke", smoke),
    ):
        monkeypatch.setattr(stage, name, does)
    monkeypatch.setattr(Building, "keep_ccache", lambda *_: None)
    monkeypatch.setattr(Comparing, "from_cache", lambda *_: None)
    monkeypatch.setattr(Comparing, "if_asked", lambda *_: None)
    with pytest.raises(BuildError, match="both were done"):
        run.run(asked, tmp_path / "out")
