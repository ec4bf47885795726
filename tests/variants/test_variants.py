"""Not one wrong verdict: hundreds of variants of the functions, the truth known.

``unknown`` is always a right answer, but for forms that have to be recognised.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from variants import Variant, of_symbols

from pipeline import diagnose, fixes
from pipeline.fixes import Fix
from pipeline.model import Finding, Site, Verdict

pytestmark = pytest.mark.needs("spatch")


def _fix(name: str) -> Fix:
    return fixes.choose([name])[0]


def _write(variants: Sequence[Variant], folder: Path) -> list[Path]:
    names = [v.name for v in variants]
    assert len(set(names)) == len(names)
    return [v.write(folder / str(n)) for n, v in enumerate(variants)]


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
    symbols: tuple[list[Variant], list[Path], list[Finding]], figures: list[str]
) -> None:
    variants, _, found = symbols
    assert len(variants) > 500
    counted = _count(variants, found)
    figures.append(f"stt-object: {len(variants)} source trees; functions: {counted}")
