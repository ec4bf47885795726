"""Imports go down only (DESIGN)."""

from __future__ import annotations

import ast
from pathlib import Path

import pipeline

PACKAGE = Path(pipeline.__file__).parent
STAGES = {"fetch", "diagnose", "patch", "build", "smoke", "publish"}
LEAVES = {
    *("model", "errors", "progress", "command", "cache", "data", "config"),
    *("address", "bounded", "deadlines", "interrupts", "leftovers", "limits", "outputs"),
    *("owned", "ownfiles", "quoting", "visible"),
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


WRITES = {"print", "Console"} | {
    f"{module}.{name}"
    for module, name in [
        *(("click", "echo"), ("click", "secho"), ("rich", "print")),
        *(("sys", "stdout"), ("sys", "stderr"), ("sys", "__stdout__"), ("sys", "__stderr__")),
        *(("traceback", "print_exc"), ("traceback", "print_exception")),
        *(("warnings", "warn"), ("logging", "warning"), ("logging", "error")),
    ]
}
"""What writes to standard output or standard error."""


def used(path: Path) -> set[str]:
    """Return the names, and attributes of names, that a module uses."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    found = {n.id for n in nodes if isinstance(n, ast.Name)}
    pairs = [n for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)]
    return found | {f"{n.value.id}.{n.attr}" for n in pairs if isinstance(n.value, ast.Name)}


def test_only_the_terminal_writes_to_the_terminal() -> None:
    """It cleans what it is given (tests/adversary/test_terminal_escapes.py)."""
    for path in PACKAGE.rglob("*.py"):
        ours = path.name in ("cli/terminal.py", "cli/streams.py")  # the latter writes nothing
        assert not used(path) & WRITES or ours, path


def test_text_with_a_style_is_made_in_one_place() -> None:
    """``terminal.styled`` cleans it; the console cleans every other text, and reads no markup."""
    for path in PACKAGE.rglob("*.py"):
        assert "escape" not in used(path), path
        if path.name != "cli/terminal.py":
            assert not used(path) & {"Text.assemble", "Text.from_markup", "Text.append"}, path
            nodes = ast.walk(ast.parse(path.read_text()))
            calls = [n for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
            assert not any(n.func.id == "Text" for n in calls if isinstance(n.func, ast.Name)), path
