"""Imports go down only (DESIGN)."""

from __future__ import annotations

import ast
from pathlib import Path

import pipeline

PACKAGE = Path(pipeline.__file__).parent
STAGES = {"fetch", "diagnose", "patch", "build", "smoke", "publish"}
LEAVES = {
    *("model", "errors", "progress", "command", "cache", "data", "config"),
    *("deadlines", "files", "interrupts", "limits", "outputs"),
}
SIDES = {"archives", "containers", "vm"}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline"):
            parts = (node.module or "").split(".")
            found |= {parts[1]} if len(parts) > 1 else {a.name for a in node.names}
    return found


def test_stages_do_not_import_each_other() -> None:
    for stage in STAGES:
        path = PACKAGE / f"{stage}.py"
        if path.exists():
            assert not imported(path) & (STAGES | {"run", "work", "cli", "terminal"}), stage


def test_archives_containers_and_vm_know_no_stage() -> None:
    above = STAGES | {"run", "work", "cli", "terminal", "report"}
    for side in SIDES:
        for path in (PACKAGE / side).rglob("*.py"):
            assert not imported(path) & above, path


def test_the_ground_floor_stands_alone() -> None:
    for leaf in LEAVES - {"config"}:
        assert imported(PACKAGE / f"{leaf}.py") <= LEAVES | {"__version__"}, leaf


def test_only_the_command_line_prints() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.name in ("cli.py", "terminal.py"):
            continue
        calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        names = {c.func.id for c in calls if isinstance(c.func, ast.Name)}
        assert "print" not in names, path
