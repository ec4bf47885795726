# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's own 6.1.0-3, turned back to each row of docs/facts.md by semantic patches (rows/)."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import real
from support.rows import FUNCTIONS, OLD, ROWS, Row, turn_back

from pipeline.fixes import diagnose, fixes, patch
from pipeline.model import Finding, Verdict
from pipeline.releases import releases
from pipeline.source import fetch

WITH, BELOW = {"libbpf-dev": "1:1.1.0-1"}, {"libbpf-dev": "1:0.5.0-1"}


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a row is built with, and the verdicts that are right."""

    row: str
    libraries: dict[str, str] | None = None
    built_with: bool = True
    symbols: str = "fixed"
    dispatch: str = "absent"
    functions: tuple[str, ...] = FUNCTIONS
    """The functions that are there."""


EXPECTED = {
    "v4.0": Expected(row="v4.0", functions=()),
    "v4.5": Expected(row="v4.5", symbols="needed", functions=FUNCTIONS[-1:]),
    "v4.10": Expected(row="v4.10", symbols="needed"),
    "7a04dd84": Expected(row="7a04dd84", symbols="needed"),
    "v4.20": Expected(row="v4.20"),
    "v5.11-without-libbpf": Expected(row="v5.11", built_with=False, libraries=WITH),
    "v5.11-libbpf-0.5": Expected(row="v5.11", libraries=BELOW),
    "v6.1": Expected(row="v5.11", libraries=WITH, dispatch="needed"),
    "v6.1-regressed": Expected(
        row="v5.11-regressed", libraries=WITH, symbols="needed", dispatch="needed"
    ),
    "v6.1-7a04dd84": Expected(
        row="v5.11-7a04dd84", libraries=WITH, symbols="needed", dispatch="needed"
    ),
    "v6.15": Expected(row="v6.15", libraries=WITH, dispatch="needed"),
}


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the unpacked source."""
    directory = tmp_path_factory.mktemp("debian")
    source = fetch.local(real.dsc(), directory / "source", releases.find("bookworm"))
    return fetch.unpack(source, directory / "tree")


def _turn_back(debian: Path, row: Row, tree: Path, *, built_with: bool = True) -> None:
    """Make a tree of a row: what the diagnosis reads, and no more."""
    for directory in ("lib", "tc", "ip", "include", "debian"):
        shutil.copytree(debian / directory, tree / directory, symlinks=True)
    turn_back(tree, row)
    if not built_with:
        control = tree / "debian/control"
        control.write_text(control.read_text().replace("libbpf-dev", "libfoo-dev"))


def _verdicts(finding: Finding) -> dict[str, str]:
    return {site.function: str(site.verdict) for site in finding.sites}


@pytest.mark.e2e
@pytest.mark.needs("spatch")
@pytest.mark.parametrize("name", EXPECTED)
def test_row(name: str, debian: Path, tmp_path: Path) -> None:
    right = EXPECTED[name]
    row = ROWS[right.row]
    tree = tmp_path / "tree"
    _turn_back(debian, row, tree, built_with=right.built_with)
    findings = diagnose.diagnose(tree, fixes.all_fixes(), libraries=right.libraries)
    names = ["af-alg", "libbpf-legacy-maps", "stt-object"]
    assert [finding.fix for finding in findings] == names
    hashing, dispatch, symbols = findings
    assert _verdicts(hashing) == {"bpf_obj_hash": "needed"}  # it is 6.1's in every row
    assert _verdicts(symbols) == {
        f: right.symbols if f in right.functions else "absent" for f in FUNCTIONS
    }
    assert {s.file for s in symbols.sites} <= {row.file, ""}
    assert _verdicts(dispatch) == {"bpf_do_load": right.dispatch}
    needed = [f for f in findings if f.verdict is Verdict.NEEDED]
    for finding in needed:
        patch.apply_fix(tree, fixes.choose([finding.fix])[0])
    again = diagnose.diagnose(tree, fixes.all_fixes(), libraries=right.libraries)
    assert {f.verdict for f in again} <= {Verdict.FIXED, Verdict.ABSENT}
    if name in ("v4.10", "7a04dd84"):
        # Turned back and mended, it is what upstream made of it, beside the pins' names.
        fixed = tmp_path / "fixed"
        _turn_back(debian, ROWS["v4.20"], fixed)
        patch.apply_fix(fixed, fixes.choose(["af-alg"])[0])
        assert (tree / OLD).read_text().split() == (fixed / OLD).read_text().split()
