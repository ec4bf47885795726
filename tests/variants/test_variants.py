# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Not one wrong verdict: hundreds of variants of the functions, the truth known.

``unknown`` is always a right answer, but for forms that have to be recognised.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support.dispatch import LEGACY, LOADER, of_dispatch
from support.loaderfunctions import FUNCTIONS
from support.variants import Variant, of_symbols

from pipeline.fixes import diagnose, fixes, patch
from pipeline.fixes.fixes import Fix
from pipeline.model import Finding, Site, Verdict

pytestmark = pytest.mark.needs("spatch")


def _fix(name: str) -> Fix:
    return fixes.choose([name])[0]


def _write(variants: Sequence[Variant], directory: Path) -> list[Path]:
    names = [v.name for v in variants]
    assert len(set(names)) == len(names)
    return [v.write(directory / str(n)) for n, v in enumerate(variants)]


def _right(variant: Variant, site: Site) -> bool:
    if site.verdict is Verdict.UNKNOWN:
        return site.function not in variant.must
    return site.verdict in variant.truth[site.function]


def _count(variants: Sequence[Variant], found: Sequence[Finding]) -> str:
    told: Counter[str] = Counter()
    wrong = []
    for variant, finding in zip(variants, found, strict=True):
        for site in finding.sites:
            known = site.verdict is not Verdict.UNKNOWN
            told["right" if known else "unknown"] += 1
            if not _right(variant, site):
                wrong.append(f"{variant.name}: {site.function}: {site.verdict}: {site.reason}")
        if any(s.verdict is Verdict.UNKNOWN and not s.text.strip() for s in finding.sites):
            wrong.append(f"{variant.name}: unknown, and no place shown")
    assert not wrong, "\n".join(wrong)
    return f"right {told['right']}, unknown {told['unknown']}, wrong: none"


@pytest.fixture(scope="module")
def symbols(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[list[Variant], list[Path], list[Finding]]:
    """Return the variants of stt-object, their trees, and what was found in them."""
    variants = list(of_symbols())
    trees = _write(variants, tmp_path_factory.mktemp("symbols"))
    found = [row[0] for row in diagnose.diagnose_all(trees, [_fix("stt-object")])]
    return variants, trees, found


def test_symbols(
    symbols: tuple[list[Variant], list[Path], list[Finding]], figure: Callable[[str], None]
) -> None:
    variants, _, found = symbols
    assert len(variants) > 500
    counted = _count(variants, found)
    figure(f"stt-object: {len(variants)} source trees; functions: {counted}")


def test_a_lax_diagnosis_is_caught(tmp_path: Path) -> None:
    """Each rule that is left out makes verdicts wrong: the variants are hard enough."""
    fix = _fix("stt-object")
    hard = ("all-fixed-or", "all-fixed-then", "elsewhere/cut-off", "elsewhere/renamed")
    variants = [v for v in of_symbols() if any(name in v.name for name in hard)]
    trees = _write(variants, tmp_path)
    shapes = {name: replace(shape, mentions={}) for name, shape in fix.shapes.items()}
    lax = {
        "nothing left out": fix,
        "what stands in it how often": replace(fix, mentions={}, shapes=shapes),
        "what a file has": replace(fix, has={}),
    }
    for what, one in lax.items():
        found = [row[0] for row in diagnose.diagnose_all(trees, [one])]
        wrong = [
            site
            for variant, finding in zip(variants, found, strict=True)
            for site in finding.sites
            if site.verdict is not Verdict.UNKNOWN and not _right(variant, site)
        ]
        assert bool(wrong) == (one is not fix), what


def test_dispatch(tmp_path: Path, figure: Callable[[str], None]) -> None:
    fix = _fix("libbpf-legacy-maps")
    made = list(of_dispatch())
    variants = [variant for _, variant in made]
    trees = dict(zip((v.name for v in variants), _write(variants, tmp_path), strict=True))
    found: dict[str, Finding] = {}
    for version in {version for version, _ in made}:
        names = [v.name for built, v in made if built == version]
        libraries = {"libbpf-dev": version} if version else {}
        rows = diagnose.diagnose_all([trees[n] for n in names], [fix], libraries=libraries)
        found.update({name: row[0] for name, row in zip(names, rows, strict=True)})
    counted = _count(variants, [found[v.name] for v in variants])
    figure(f"libbpf-legacy-maps: {len(variants)} source packages; functions: {counted}")
    needed = [v.name for v in variants if found[v.name].verdict is Verdict.NEEDED]
    before = {n: (trees[n] / LEGACY).read_text() for n in needed}
    patch.apply_fix_to_all([trees[n] for n in needed], fix)
    again = diagnose.diagnose_all([trees[n] for n in needed], [fix])
    assert {row[0].verdict for row in again} == {Verdict.FIXED}
    for name in needed:
        # The function itself stays as it is; what libbpf is given is another object.
        assert _do_load(before[name]) == _do_load((trees[name] / LEGACY).read_text())
        assert "obj = open_bpf_object(cfg, &open_opts);" in (trees[name] / LOADER).read_text()
    figure(f"libbpf-legacy-maps: {len(needed)} mended, and fixed when diagnosed again")


def _do_load(text: str) -> list[str]:
    function = text[text.index("bpf_do_load(") :]
    return ["".join(line.split()) for line in function[: function.index("\n}")].splitlines()]


TYPE = r"GELF_ST_TYPE \( \w+ \. st_info \)"
ASSIGNED = re.compile(rf"(?:int )?(\w+) = {TYPE} ;")


def _canonical(text: str) -> str:
    """Return C text, comments too, in which the test of the type is but a word."""
    text = " ".join(re.findall(r"\w+|->|[!=]=|&&|\|\||\S", text))
    for var in {"type", *(m[1] for m in ASSIGNED.finditer(text))}:
        text = re.sub(rf"(?:int )?\b{var} = {TYPE} ;|\bint {var} ;", " ", text)
        one, two = (rf"\b{var} (?:!=|==) STT_(?:NOTYPE|OBJECT)" for _ in "12")
        text = re.sub(rf"! \( {one} \|\| {two} \)|(?:\( )?{one} && {two}(?: \))?", "TEST", text)
        text = re.sub(rf"\( {one} \)|{one}", "TEST", text)
    text = re.sub(rf"{TYPE} != STT_NOTYPE|STT_NOTYPE != {TYPE}", "TEST", text)
    return " ".join(text.replace("( TEST )", "TEST").split())


def test_mended(
    symbols: tuple[list[Variant], list[Path], list[Finding]],
    tmp_path: Path,
    figure: Callable[[str], None],
) -> None:
    fix = _fix("stt-object")
    variants, _, found = symbols
    needed = [v for v, f in zip(variants, found, strict=True) if f.verdict is Verdict.NEEDED]
    trees = _write(needed, tmp_path)
    changed = patch.apply_fix_to_all(trees, fix)
    again = diagnose.diagnose_all(trees, [fix])
    wrong = []
    for variant, tree, files, row in zip(needed, trees, changed, again, strict=True):
        if row[0].verdict is not Verdict.FIXED:
            wrong.append(f"{variant.name}: {[s.reason for s in row[0].sites]}")
        (file,) = files
        old, new = variant.files[file], (tree / file).read_bytes().decode()
        if _canonical(old) != _canonical(new):
            wrong.append(f"{variant.name}: more than the test was changed:\n{new}")
        lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), n=0))
        # Coccinelle indents anew what it touches where the indentation is none of tabs.
        tabs = not any(style in variant.name for style in ("spaces", "indentation", "blank-lines"))
        if tabs and sum(line.startswith("-") for line in lines) > 1 + 2 * len(FUNCTIONS):
            wrong.append(f"{variant.name}: more lines than need be:\n" + "\n".join(lines))
    assert not wrong, "\n".join(wrong)
    figure(f"stt-object: {len(needed)} mended, and fixed when diagnosed again")
