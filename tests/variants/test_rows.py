"""Debian's own 6.1.0-3, turned back to each row of FACTS by semantic patches (rows/)."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from loaderfunctions import FUNCTIONS
from support import real

from pipeline import coccinelle, diagnose, fetch, fixes, patch, releases
from pipeline.errors import DiagnosisRefused
from pipeline.model import Finding, Verdict

ROWS_FOLDER = Path(__file__).with_name("rows")
NEW, OLD, OLDEST = "lib/bpf_legacy.c", "lib/bpf.c", "tc/tc_bpf.c"
WITH, BELOW = {"libbpf-dev": "1:1.1.0-1"}, {"libbpf-dev": "1:0.5.0-1"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is done to the source, and the verdicts that are right."""

    file: str = NEW
    back: tuple[str, ...] = ()
    libraries: dict[str, str] | None = None
    built_with: bool = True
    symbols: str = "fixed"
    dispatch: str = "absent"
    expected: tuple[str, ...] = FUNCTIONS
    """The functions that are there."""


BEFORE = ("one-loader",)
ROWS = {
    "v4.0": Row(file=OLDEST, back=(*BEFORE, "fetch-name-only", "no-symbols"), expected=()),
    "v4.5": Row(
        file=OLDEST,
        back=(*BEFORE, "skips-object", "fetch-name-only"),
        symbols="needed",
        expected=FUNCTIONS[-1:],
    ),
    "v4.10": Row(file=OLD, back=(*BEFORE, "skips-object"), symbols="needed"),
    "7a04dd84": Row(file=OLD, back=(*BEFORE, "judges-previous"), symbols="needed"),
    "v4.20": Row(file=OLD, back=BEFORE),
    "v5.11-without-libbpf": Row(built_with=False, libraries=WITH),
    "v5.11-libbpf-0.5": Row(libraries=BELOW),
    "v6.1": Row(libraries=WITH, dispatch="needed"),
    "v6.1-regressed": Row(
        back=("skips-object",), libraries=WITH, symbols="needed", dispatch="needed"
    ),
}


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the unpacked source."""
    folder = tmp_path_factory.mktemp("debian")
    source = fetch.local(real.dsc(), folder / "source", releases.find("bookworm"))
    return fetch.unpack(source, folder / "tree")


def _turn_back(debian: Path, row: Row, tree: Path) -> None:
    """Make a tree of a row: what the diagnosis reads, and no more."""
    for folder in ("lib", "tc", "ip", "include", "debian"):
        shutil.copytree(debian / folder, tree / folder, symlinks=True)
    for name in row.back:
        cocci = ROWS_FOLDER / f"{name}.cocci"
        before = (tree / NEW).read_text()
        coccinelle.apply([tree], cocci, [NEW], error=DiagnosisRefused, brief=name)
        assert (tree / NEW).read_text() != before, name
    if row.file != NEW:
        (tree / NEW).rename(tree / row.file)
        (tree / "lib/bpf_libbpf.c").unlink()
    if row.file == OLDEST:  # the function of this name is younger
        text = (tree / OLDEST).read_text()
        (tree / OLDEST).write_text(text.replace("bpf_do_load", "bpf_load"))
    if not row.built_with:
        control = tree / "debian/control"
        control.write_text(control.read_text().replace("libbpf-dev", "libfoo-dev"))


def _verdicts(finding: Finding) -> dict[str, str]:
    return {site.function: str(site.verdict) for site in finding.sites}


@pytest.mark.e2e
@pytest.mark.needs("spatch")
@pytest.mark.parametrize("name", ROWS)
def test_row(name: str, debian: Path, tmp_path: Path) -> None:
    row = ROWS[name]
    tree = tmp_path / "tree"
    _turn_back(debian, row, tree)
    dispatch, symbols = diagnose.diagnose(tree, fixes.all_fixes(), libraries=row.libraries)
    assert (dispatch.fix, symbols.fix) == ("libbpf-legacy-maps", "stt-object")
    assert _verdicts(symbols) == {
        f: row.symbols if f in row.expected else "absent" for f in FUNCTIONS
    }
    assert {s.file for s in symbols.sites} <= {row.file, ""}
    assert _verdicts(dispatch) == {"bpf_do_load": row.dispatch}
    needed = [f for f in (dispatch, symbols) if f.verdict is Verdict.NEEDED]
    for finding in needed:
        patch.mend(tree, fixes.choose([finding.fix])[0])
    again = diagnose.diagnose(tree, fixes.all_fixes(), libraries=row.libraries)
    assert {f.verdict for f in again} <= {Verdict.FIXED, Verdict.ABSENT}
    if name in ("v4.10", "7a04dd84"):
        # Turned back and mended, it is what upstream made of it.
        fixed = tmp_path / "fixed"
        _turn_back(debian, ROWS["v4.20"], fixed)
        assert (tree / OLD).read_text().split() == (fixed / OLD).read_text().split()
