"""Each folder under fixes/: a source, the verdicts on it, and what the fixes make of it.

``in/`` is the tree, ``expected.json`` the verdict per fix and function, ``out/`` the files
that the fixes change; a case without ``out/`` must not be touched. After a deliberate change
of a fix, RESPIN_GOLDEN=write rewrites ``out/``; read the difference before committing it.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from pipeline import diagnose, fixes, patch
from pipeline.errors import DiagnosisRefused
from pipeline.model import Verdict

CASES = sorted(p for p in (Path(__file__).parent / "fixes").iterdir() if p.is_dir())


def _files(top: Path) -> dict[str, str]:
    return {str(p.relative_to(top)): p.read_text() for p in top.rglob("*") if p.is_file()}


@pytest.mark.needs("spatch")
@pytest.mark.parametrize("case", CASES, ids=lambda p: p.name)
def test_verdicts(case: Path) -> None:
    expected = json.loads((case / "expected.json").read_text())["verdicts"]
    found = diagnose.diagnose(case / "in", fixes.all_fixes())
    seen = {f.fix: {s.function: s.verdict for s in f.sites} for f in found}
    assert seen == expected
    if "unknown" in {v for functions in expected.values() for v in functions.values()}:
        with pytest.raises(DiagnosisRefused) as caught:
            diagnose.refuse_unknown(found)
        for site in (s for f in found for s in f.sites if s.verdict is Verdict.UNKNOWN):
            assert f"{site.function} ({site.file}:{site.line})" in caught.value.details
            assert len(site.text.splitlines()) > 3  # the code that was not understood
            assert site.text in caught.value.details
    else:
        diagnose.refuse_unknown(found)


@pytest.mark.needs("spatch")
@pytest.mark.needs("clang-format")
@pytest.mark.parametrize("case", CASES, ids=lambda p: p.name)
def test_fixed(case: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(case / "in", tree)
    found = diagnose.diagnose(tree, fixes.all_fixes())
    if any(f.verdict is Verdict.UNKNOWN for f in found):
        assert not (case / "out").exists()
        return
    needed = {f.fix for f in found if f.verdict is Verdict.NEEDED}
    changed: set[str] = set()
    for fix in fixes.all_fixes():
        if fix.name in needed:
            changed |= set(patch.mend(tree, fix))
    made = {name: text for name, text in _files(tree).items() if name in changed}
    if os.environ.get("RESPIN_GOLDEN") == "write":
        shutil.rmtree(case / "out", ignore_errors=True)
        for name, text in made.items():
            (case / "out" / name).parent.mkdir(parents=True, exist_ok=True)
            (case / "out" / name).write_text(text)
    assert made == (_files(case / "out") if (case / "out").exists() else {})
    # What the fixes make is what they call fixed, and they leave it alone.
    again = diagnose.diagnose(tree, fixes.all_fixes())
    assert {f.verdict for f in again} <= {Verdict.FIXED, Verdict.ABSENT}
    for text in made.values():
        added = set(text.splitlines()) - set(
            "\n".join(_files(case / "in").values()).splitlines()
        )
        for line in added:
            assert line == line.rstrip()
            assert len(line.expandtabs(8)) <= 80 or "fprintf" in line or '"' in line


def test_a_third_must_not_be_touched() -> None:
    untouched = [case for case in CASES if not (case / "out").exists()]
    assert len(untouched) * 3 >= len(CASES)
