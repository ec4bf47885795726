# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A whole run with a user's own patch, and the same again from its lock.

Fetch, diagnosis and patch are real; the build and the guest are made up.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import ownpatches, packages, real, smallpackage, standin
from support.filled import filled

from pipeline import run
from pipeline.errors import PatchError
from pipeline.fixes import fixes, own_patch
from pipeline.fixes.fixes import Fix
from pipeline.host.cache import Cache
from pipeline.model import Artifact, Built, Fate, Finding, Patched, Release, SmokeReport
from pipeline.runs import lockfile, lockfile_reader, report_reader, single_stage
from pipeline.runs.building import Building
from pipeline.runs.comparing import Comparing
from pipeline.runs.inputs import Inputs
from pipeline.runs.proving import Proving
from pipeline.runs.report import Outcome, Report
from pipeline.runs.request import Request

pytestmark = pytest.mark.needs("spatch")
RELEASE = Release(distro="debian", codename="bookworm", version="12")


@pytest.fixture
def smoked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Do the stages without archive, container and guest; return the fixes of each smoke test."""
    archive = SimpleNamespace(
        versions=lambda name: [],
        binary_versions=lambda name: [],
        candidate=lambda name: None,
        architecture="amd64",
        trust=lambda: (),
    )
    image = SimpleNamespace(packages=None)
    seen: list[tuple[str, ...]] = []

    def build(building: Building, environment: object, patched: Patched) -> Built:
        path = building._context.directory.path / "debs/x.deb"
        path.parent.mkdir()
        path.write_text("x")
        made = Artifact(path=path, size=1, sha256="ab" * 32)
        return filled(
            Built,
            version=patched.version,
            debs=(made,),
            changes=made,
            buildinfo=made,
            container="none",
            root=standin.ROOT,
        )

    def smoke(
        proving: Proving,
        image: object,
        before: object,
        built: Future[Built] | None,
        needed: Sequence[Fix],
        findings: Sequence[Finding],
        written: object,
    ) -> SmokeReport:
        assert built
        built.result()
        seen.append(tuple(fix.name for fix in needed))
        return standin.smoked()

    monkeypatch.setattr(Inputs, "archive", archive)
    for stage, name, made in (
        (Building, "check_engine", None),
        (Building, "prepare", SimpleNamespace(root=None)),
        (Building, "build_control", None),
        (Building, "written", ()),
        (Building, "stop", ""),
        (Building, "keep_ccache", None),
        (Comparing, "from_cache", None),
        (Comparing, "if_asked", None),
        (Proving, "check_possible", None),
        (Proving, "prepare_guest", image),
    ):
        monkeypatch.setattr(stage, name, lambda *args, made=made: made)
    monkeypatch.setattr(Building, "build_control", lambda b, root, source, tree: source.files[:1])
    monkeypatch.setattr(Building, "build", build)
    monkeypatch.setattr(Proving, "smoke", smoke)
    return seen


def request(tmp_path: Path, golden: str, *patches: str, no_fixes: bool = False) -> Request:
    functions = (smallpackage.GOLDEN / golden / "in/lib/bpf.c").read_text()
    files = {"lib/bpf.c": functions, "Makefile": ownpatches.MAKEFILE}
    given = [
        ownpatches.write(tmp_path, text, f"{number}.patch") for number, text in enumerate(patches)
    ]
    return Request(
        release=RELEASE,
        dsc=packages.make_source(tmp_path / "made", version="4.10.0-1", files=files),
        fixes=fixes.all_fixes(),
        no_fixes=no_fixes,
        patches=own_patch.read_all([], given),
        cache=Cache(real.checked(tmp_path / "cache")),
    )


def fates(done: Report) -> list[Fate]:
    return [each.fate for each in done.user_patches]


def test_the_only_change(tmp_path: Path, smoked: list[tuple[str, ...]]) -> None:
    """The source needs no fix."""
    done = run.run(request(tmp_path, smallpackage.FIXED, ownpatches.GOOD), tmp_path / "out")
    assert (done.outcome, smoked, fates(done)) == (Outcome.UNHARMED, [()], [Fate.APPLIED])
    assert report_reader.read(tmp_path / "out").user_patches == done.user_patches


def test_no_patch_is_left(tmp_path: Path, smoked: list[tuple[str, ...]]) -> None:
    done = run.run(request(tmp_path, smallpackage.FIXED, ownpatches.THERE), tmp_path / "out")
    assert (done.outcome, smoked, fates(done)) == (Outcome.NOT_NEEDED, [], [Fate.IN_SOURCE])
    assert done.patched is None and done.user_patches[0].reason == "the source already has it"
    assert report_reader.read(tmp_path / "out").user_patches == done.user_patches


def test_beside_a_fix(tmp_path: Path, smoked: list[tuple[str, ...]]) -> None:
    done = run.run(request(tmp_path, smallpackage.VULNERABLE, ownpatches.GOOD), tmp_path / "out")
    assert (done.outcome, smoked) == (Outcome.FIXED, [("stt-object",)])
    assert done.patched and [p.name for p in done.patched.patches][1:] == ["0.patch"]


def test_without_fixes_and_again_from_the_lock(
    tmp_path: Path, smoked: list[tuple[str, ...]]
) -> None:
    asked = request(tmp_path, smallpackage.VULNERABLE, ownpatches.GOOD, no_fixes=True)
    done = run.run(asked, tmp_path / "out")
    assert (done.outcome, smoked) == (Outcome.UNHARMED, [()])
    assert done.patched and done.patched.fixes == ()
    (tmp_path / "0.patch").unlink()
    locked = lockfile_reader.read(tmp_path / "out/respin.lock")
    assert locked.fixes == () and [p.name for p in locked.patches] == ["0.patch"]
    statements = (tmp_path / "out/provenance.json").read_text()
    assert json.loads(statements)
    kept = lockfile.own_patches(locked)
    again = replace(asked, dsc=None, locked=replace(locked, guest=None, root=()), patches=kept)
    made = single_stage.patch_only(again, tmp_path / "again").patched
    assert made and made.sha256 == done.patched.sha256
    assert (tmp_path / "again/user-patches/0.patch").read_text() == ownpatches.GOOD


def test_a_patch_that_hides_the_fix(tmp_path: Path, smoked: list[tuple[str, ...]]) -> None:
    """Nothing would say any more that the defect is gone."""
    functions = (smallpackage.GOLDEN / smallpackage.VULNERABLE / "in/lib/bpf.c").read_text()
    name = "static int bpf_map_num_sym(struct bpf_elf_ctx *ctx)\n{\n"
    assert name in functions
    strange = ownpatches.diff(
        functions, functions.replace(name, f"{name}\tsurprise();\n"), "lib/bpf.c"
    )
    with pytest.raises(PatchError, match="or a patch of your own hides that it is fixed"):
        run.run(request(tmp_path, smallpackage.VULNERABLE, strange), tmp_path / "out")
    (tmp_path / "2").mkdir()
    done = run.run(
        request(tmp_path / "2", smallpackage.VULNERABLE, strange, no_fixes=True), tmp_path / "2/out"
    )
    assert done.outcome is Outcome.UNHARMED
