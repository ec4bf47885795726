# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the modules may use; which may import which is import-linter's (pyproject.toml)."""

from __future__ import annotations

import ast
from pathlib import Path

import pipeline
from pipeline.__main__ import LATER

PACKAGE = Path(pipeline.__file__).parent


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


def test_what_is_imported_later_is_not_imported_at_the_start() -> None:
    """Neither a library nor the one module that needs it all."""
    wire = "pipeline.archives.wire"
    for path in PACKAGE.rglob("*.py"):
        names = set[str]()
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                names |= {each.name for each in node.names}
            if isinstance(node, ast.ImportFrom):
                names |= {f"{node.module}.{each.name}" for each in node.names}
        if path != PACKAGE / "archives/wire.py":
            assert not {name.partition(".")[0] for name in names} & {*LATER}, path
            assert not any(f"{name}.".startswith(f"{wire}.") for name in names), path


def test_only_the_terminal_writes_to_the_terminal() -> None:
    """It cleans what it is given (tests/adversary/test_terminal_escapes.py)."""
    for path in PACKAGE.rglob("*.py"):
        ours = path in (PACKAGE / "cli/terminal.py", PACKAGE / "cli/streams.py")
        assert not used(path) & WRITES or ours, path


def test_text_with_a_style_is_made_in_one_place() -> None:
    """``terminal.styled`` cleans it; the console cleans every other text, and reads no markup."""
    for path in PACKAGE.rglob("*.py"):
        assert "escape" not in used(path), path
        if path != PACKAGE / "cli/terminal.py":
            assert not used(path) & {"Text.assemble", "Text.from_markup", "Text.append"}, path
            nodes = ast.walk(ast.parse(path.read_text()))
            calls = [n for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
            assert not any(n.func.id == "Text" for n in calls if isinstance(n.func, ast.Name)), path
