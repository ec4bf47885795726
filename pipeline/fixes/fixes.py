# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The fixes: one directory each under patches/, data only.

A directory NAME/ holds ``fix.toml`` and two semantic patches for Coccinelle:

``diagnose.cocci``
    prints, for each place that it knows, a line of fields with a tab between: ``respin``,
    the shape's name, the function, the file, the line, and then any number of
    ``name=word``: what the function calls its variables. The shape ``defined`` stands
    for every definition of a function that it could read.
``fix.cocci``
    turns every shape that means ``needed`` into one that means ``fixed``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError
from pipeline.host.resources import project_data
from pipeline.model import Verdict


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A form of a function that diagnose.cocci knows."""

    verdict: Verdict
    reason: str
    mentions: Mapping[str, int]
    """Word or regular expression -> how often it stands in the function's code.

    Comments, strings and ``#if 0`` are left out; ``<name>`` is what was reported for it."""
    also: Mapping[str, Mapping[str, int]]
    """Other functions that have to be there, and what stands in them how often."""


@dataclass(frozen=True, kw_only=True)
class Requires:
    """The library without which a source cannot have the defect."""

    build_depends: str
    since: str
    """The first upstream version of the library that brings the defect."""
    switched_off: str = ""
    """A regular expression: what in debian/rules may build the package without it."""


@dataclass(frozen=True, kw_only=True)
class Fix:
    """What one directory under patches/ says."""

    name: str
    title: str
    folder: Path
    functions: tuple[str, ...]
    files: tuple[str, ...]
    """Files, relative to the source tree, that the semantic patches are given."""
    evidence: tuple[str, ...]
    """Regular expressions for code that has no place outside the functions."""
    words: frozenset[str]
    """All identifiers and keywords that may stand in the functions."""
    directives: frozenset[str]
    """The lines of the preprocessor that may."""
    mentions: Mapping[str, Mapping[str, int]]
    """Function -> what stands in it how often whatever its shape (see Shape.mentions)."""
    has: Mapping[str, tuple[str, ...]]
    """File -> the functions that it defines in every release that has this file."""
    requires: Requires | None
    dep3: Mapping[str, str]
    shapes: Mapping[str, Shape]
    turns: tuple[str, ...]
    """Smoke cases that fail before and load after."""
    symptoms: tuple[str, ...]
    """Regular expressions: what a package with the defect says."""

    @property
    def diagnose_cocci(self) -> Path:
        """The semantic patch that reports shapes."""
        return self.folder / "diagnose.cocci"

    @property
    def fix_cocci(self) -> Path:
        """The semantic patch that mends."""
        return self.folder / "fix.cocci"


def load(folder: Path) -> Fix:
    """Read a fix's directory. Raises KeyError or ValueError if the directory is not in order."""
    data = tomllib.loads((folder / "fix.toml").read_text())
    requires = data.get("requires")
    return Fix(
        name=folder.name,
        title=data["title"],
        folder=folder,
        functions=tuple(data["functions"]),
        files=tuple(data["files"]),
        evidence=tuple(data["evidence"]),
        words=frozenset(data["words"].split()),
        directives=frozenset(data["directives"]),
        mentions=data["mentions"],
        has={file: tuple(functions) for file, functions in data["has"].items()},
        requires=Requires(
            build_depends=requires["build-depends"],
            since=requires["since"],
            switched_off=requires.get("switched-off", ""),
        )
        if requires
        else None,
        dep3={key: value.strip("\n") for key, value in data["dep3"].items()},
        shapes={
            name: Shape(
                verdict=Verdict(shape["verdict"]),
                reason=shape["reason"],
                mentions=_mentions(data["shapes"], name),
                also=shape.get("also", {}),
            )
            for name, shape in data["shapes"].items()
        },
        turns=tuple(data["smoke"]["turns"]),
        symptoms=tuple(data["smoke"]["symptoms"]),
    )


def _mentions(shapes: Mapping[str, Any], name: str, *heirs: str) -> dict[str, int]:
    """Return the mentions of a shape: those of the one that it is like, and its own above them."""
    if name in heirs:
        raise ValueError(f"the shapes {', '.join(heirs)} are like each other")
    like = shapes[name].get("like")
    inherited = _mentions(shapes, like, name, *heirs) if like else {}
    return {**inherited, **shapes[name].get("mentions", {})}


@cache
def all_fixes() -> tuple[Fix, ...]:
    """Return every fix there is, by the order of their names.

    That is also the order in which their patches stand in debian/patches/series.
    """
    folders = project_data("patches").iterdir()
    return tuple(load(f) for f in sorted(folders) if (f / "fix.toml").is_file())


def choose(names: Sequence[str]) -> tuple[Fix, ...]:
    """Return the fixes of these names, or all if none is named.

    Raises UsageError for a name that is not known.
    """
    known = {fix.name: fix for fix in all_fixes()}
    for name in names:
        if name not in known:
            raise UsageError(
                f"there is no fix named {name}", hint=f"the fixes are {', '.join(known)}"
            )
    return tuple(fix for fix in known.values() if not names or fix.name in names)
