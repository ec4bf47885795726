# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each directory under fixes/: a source, the verdicts on it, and what the fixes make of it.

``in/`` is the tree, ``expected.json`` the verdict per fix and function, ``out/`` the files
that the fixes change; a case without ``out/`` must not be touched. After a deliberate change
of a fix, RESPIN_GOLDEN=write rewrites ``out/``; read the difference before committing it.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.errors import DiagnosisRefused
from pipeline.fixes import diagnose, fixes, patch, self_check
from pipeline.host.cache import Cache
from pipeline.model import Finding, Verdict

CASES = sorted(p for p in (Path(__file__).parent / "fixes").iterdir() if p.is_dir())
Findings = tuple[Finding, ...]


@dataclass(frozen=True)
class Seen:
    """What became of a case: its tree, and what was found and changed, in this order."""

    tree: Path
    found: Findings
    changed: frozenset[str]
    again: Findings


def _files(top: Path) -> dict[str, str]:
    return {str(p.relative_to(top)): p.read_text() for p in top.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Seen]:
    """Diagnose, mend and diagnose again every case, all at once: Coccinelle starts slowly."""
    top = tmp_path_factory.mktemp("cases")
    trees = {case: top / case.name for case in CASES}
    for case, tree in trees.items():
        shutil.copytree(case / "in", tree)
    found = dict(zip(CASES, _diagnose(trees), strict=True))
    changed: dict[Path, set[str]] = {case: set() for case in CASES}
    for fix in fixes.all_fixes():
        needed = [
            case
            for case in CASES
            if all(f.verdict is not Verdict.UNKNOWN for f in found[case])
            and any(f.fix == fix.name and f.verdict is Verdict.NEEDED for f in found[case])
        ]
        mended = patch.apply_fix_to_all([trees[case] for case in needed], fix)
        for case, files in zip(needed, mended, strict=True):
            changed[case].update(files)
    again = dict(zip(CASES, _diagnose(trees), strict=True))
    return {
        case: Seen(tree, found[case], frozenset(changed[case]), again[case])
        for case, tree in trees.items()
    }


def _diagnose(trees: dict[Path, Path]) -> list[Findings]:
    return diagnose.diagnose_all(list(trees.values()), fixes.all_fixes())


@pytest.mark.needs("spatch")
@pytest.mark.parametrize("case", CASES, ids=lambda p: p.name)
def test_verdicts(case: Path, seen: dict[Path, Seen]) -> None:
    expected = json.loads((case / "expected.json").read_text())["verdicts"]
    found = seen[case].found
    verdicts = {f.fix: {s.function: s.verdict for s in f.sites} for f in found}
    assert verdicts == expected
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
def test_fixed(case: Path, seen: dict[Path, Seen]) -> None:
    row = seen[case]
    if any(f.verdict is Verdict.UNKNOWN for f in row.found):
        assert not (case / "out").exists()
        return
    made = {name: text for name, text in _files(row.tree).items() if name in row.changed}
    if os.environ.get("RESPIN_GOLDEN") == "write":
        shutil.rmtree(case / "out", ignore_errors=True)
        for name, text in made.items():
            (case / "out" / name).parent.mkdir(parents=True, exist_ok=True)
            (case / "out" / name).write_text(text)
    assert made == (_files(case / "out") if (case / "out").exists() else {})
    # What the fixes make is what they call fixed, and they leave it alone.
    assert {f.verdict for f in row.again} <= {Verdict.FIXED, Verdict.ABSENT}
    for text in made.values():
        added = set(text.splitlines()) - set("\n".join(_files(case / "in").values()).splitlines())
        for line in added:
            assert line == line.rstrip()
            assert len(line.expandtabs(8)) <= 80 or "fprintf" in line or '"' in line


def test_a_third_must_not_be_touched() -> None:
    untouched = [case for case in CASES if not (case / "out").exists()]
    assert len(untouched) * 3 >= len(CASES)


def test_the_samples_of_the_self_check(tmp_path: Path) -> None:
    assert self_check.check(Cache(tmp_path / "cache"), fixes.all_fixes())
