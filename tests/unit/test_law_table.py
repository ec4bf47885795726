# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of what each tc loads, in docs/smoke.md: the fixed tc loads what any other does."""

from __future__ import annotations

from pathlib import Path

from pipeline.smoke.cases import select

DOCS = Path(__file__).parents[2] / "docs/smoke.md"
HEAD = "| case | attach type | Debian 11 | no libbpf | Debian 12 | fixed |"
ELSEWHERE = {"action", "object-pin"}
"""What the kernel lacked on which the table was made."""


def _rows() -> list[list[str]]:
    lines = DOCS.read_text().split(f"{HEAD}\n")[1].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_the_fixed_tc_loads_what_any_other_loads() -> None:
    for case, way, *others, fixed in _rows():
        if "loads" in others:
            assert fixed == "loads", (case, way)


def test_the_table_has_every_cell_and_what_is_expected_of_the_fixed_tc() -> None:
    rows = {(row[0], row[1]): row[-1] for row in _rows()}
    cases = {
        (case.name, case.way.name): case
        for case in select(None, whole=True)
        if not {case.name, case.way.name} & ELSEWHERE
    }
    assert set(rows) == set(cases)
    for key, case in cases.items():
        expected = str(case.expect["libbpf-1-fixed"].what)
        assert expected in (rows[key], "any"), key
