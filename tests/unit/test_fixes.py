# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A fix is a directory of data."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.fixes import fixes
from pipeline.model import Verdict
from pipeline.smoke.cases import all_cases


def test_the_fixes() -> None:
    names = [f.name for f in fixes.all_fixes()]
    assert names == ["af-alg", "libbpf-legacy-maps", "stt-object"]


@pytest.mark.parametrize("fix", fixes.all_fixes(), ids=lambda f: f.name)
def test_a_directory_is_complete(fix: fixes.Fix) -> None:
    assert fix.diagnose_cocci.is_file()
    assert fix.fix_cocci.is_file()
    assert {"Description", "Origin", "Forwarded"} <= set(fix.dep3)
    assert {s.verdict for s in fix.shapes.values()} >= {Verdict.NEEDED, Verdict.FIXED}
    assert fix.turns and fix.symptoms
    for pattern in fix.symptoms:
        re.compile(pattern)
    # The self-check of Coccinelle has something to find.
    assert any((fix.directory / "sample" / file).is_file() for file in fix.files)
    # The shapes that are reported and those that are explained are the same.
    reported = set(re.findall(r'report\("([a-z-]+)"', fix.diagnose_cocci.read_text()))
    assert reported == {*fix.shapes, "defined"}
    assert set(fix.turns) <= {case.name for case in all_cases()}
    assert set(fix.behind) < {f.name for f in fixes.all_fixes()}


def test_no_stage_names_a_fix() -> None:
    """To add a fix is to add a directory, with no edit to a stage."""
    package = Path(fixes.__file__).parents[1]
    words = {w for f in fixes.all_fixes() for w in (f.name, *f.functions)}
    for path in package.rglob("*.py"):
        text = path.read_text()
        assert not [w for w in words if w in text], path


def test_another_fix_is_one_more_directory(tmp_path: Path) -> None:
    directory = tmp_path / "another"
    shutil.copytree(fixes.all_fixes()[1].directory, directory)
    fix = fixes.load(directory)
    assert fix.name == "another"
    assert fix.functions == fixes.all_fixes()[1].functions


def test_choose() -> None:
    assert fixes.choose(()) == fixes.all_fixes()
    assert [f.name for f in fixes.choose(["stt-object"])] == ["stt-object"]
    with pytest.raises(UsageError) as caught:
        fixes.choose(["stt-objects"])
    assert "stt-object" in caught.value.hint
