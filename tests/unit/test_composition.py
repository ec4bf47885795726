# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Classes are composed: no class is spread over files, and its attributes are all in one place.

mypy does not ask for either.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pipeline"
INTERFACES = {"Container"}
"""Abstract classes that other modules implement."""


def classes() -> Iterator[tuple[str, ast.Module, ast.ClassDef]]:
    """Yield each class with its module."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                yield str(path.relative_to(PACKAGE)), tree, node


def inherited(tree: ast.Module, node: ast.ClassDef) -> set[str]:
    """Return the bases of a class that come from other modules of the package."""
    imported = {
        alias.asname or alias.name
        for each in ast.walk(tree)
        if isinstance(each, ast.ImportFrom) and (each.module or "").startswith("pipeline")
        for alias in each.names
    }
    return {base for base in map(ast.unparse, node.bases) if base.partition(".")[0] in imported}


def appearing(node: ast.ClassDef, known: set[str]) -> set[str]:
    """Return the attributes that are neither declared nor set by ``__init__``, but later."""
    methods = [each for each in node.body if isinstance(each, ast.FunctionDef)]
    places = {
        (method.name == "__init__", target.attr)
        for method in methods
        for target in ast.walk(method)
        if isinstance(target, ast.Attribute)
        and isinstance(target.ctx, ast.Store)
        and isinstance(target.value, ast.Name)
        and target.value.id == "self"
    }
    declared = {
        each.target.id
        for each in node.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    }
    known = known | declared | {name for begun, name in places if begun}
    return {name for begun, name in places if not begun and name not in known}


def faults(tree: ast.Module, node: ast.ClassDef) -> set[str]:
    """Return what is wrong with a class."""
    bases = inherited(tree, node)
    # What an interface's own __init__ sets is there for those who implement it.
    known = {"_look"} if bases & INTERFACES else set()
    return (bases - INTERFACES) | appearing(node, known)


def test_no_class_is_spread_over_files_and_no_attribute_appears_later() -> None:
    found = {
        f"{name}:{node.name}": wrong
        for name, tree, node in classes()
        if (wrong := faults(tree, node))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("from pipeline.runs.inputs import Inputs\nclass Work(Inputs): pass", {"Inputs"}),
        ("class Work:\n    def do(self): self.done = 1", {"done"}),
        ("class Work:\n    def __init__(self): self.n = 0\n    def do(self): self.n += 1", set()),
    ],
)
def test_the_check_sees_it(text: str, wrong: set[str]) -> None:
    tree = ast.parse(text)
    (node,) = (each for each in tree.body if isinstance(each, ast.ClassDef))
    assert faults(tree, node) == wrong
