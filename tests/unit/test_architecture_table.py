# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of docs/architectures.md: how they are made, and what they must have."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipeline.archives import host_apt
from pipeline.smoke.cases import select
from pipeline.vm.machine import machine_for, machines

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs/architectures.md"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "architecture_table", PROJECT / "tools/architecture_table.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(architecture: str, *rows: tuple[str, str, str, bool]) -> dict[str, Any]:
    cells = [
        {
            "case": case,
            "way": "tc",
            "before": {"seen": before, "ok": True},
            "after": {"seen": after, "ok": ok} if after else None,
        }
        for case, before, after, ok in rows
    ]
    return {
        "architecture": architecture,
        "machine": "qemu-system-x virt",
        "accelerator": "tcg",
        "kernel": "6.1",
        "packages": ["iproute2 1", "iproute2 2"],
        "cases": cells,
    }


def test_the_tables_of_two_architectures(tool: ModuleType) -> None:
    one = report("arm64", ("a", "refused", "loads", True), ("b", "loads", "refused", False))
    other = report("s390x", ("a", "refused", "", True))
    assert tool.tables([one, other]).splitlines() == [
        "| architecture | machine | kernel | packages | as expected |",
        "|---|---|---|---|---|",
        "| arm64 | x virt, emulation | 6.1 | iproute2 1, iproute2 2 | 3 of 4 results |",
        "| s390x | x virt, emulation | 6.1 | iproute2 1, iproute2 2 | 1 of 1 results |",
        "",
        "| case | attach type | arm64 | s390x |",
        "|---|---|---|---|",
        "| a | tc | refused → loads | refused |",
        "| b | tc | loads → **refused** |  |",
    ]


def test_the_documentation_has_what_was_run() -> None:
    """Each column is whole. A case that was added since has no row until all are run again."""
    head, _, rest = DOCS.read_text().partition("| case | attach type | ")
    names, _, table = rest.partition(" |\n")
    columns = [machine_for(name) for name in names.split(" | ")]
    assert len(columns) >= 4
    lines = [line.strip("| ").split(" | ") for line in table.splitlines()[1:] if line]
    cases = {(case.name, case.way.name) for case in select(None, whole=True)}
    assert {(line[0], line[1]) for line in lines} <= cases and len(lines) > 60
    assert all(len(line) == 2 + len(columns) and "" not in line for line in lines)
    assert "**" not in table
    for machine in columns:
        assert f"| {machine.architecture} | {machine.title.removeprefix('qemu-system-')}" in head


def test_the_documentation_names_what_each_architecture_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host_apt, "architecture", lambda: "another")
    text = DOCS.read_text()
    for machine in machines().values():
        line = next(x for x in text.splitlines() if x.startswith(f"| {machine.architecture} | "))
        assert all(name in line for package in machine.needs for name in package.split("|"))
