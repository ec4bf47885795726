# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The fixes: each is a directory of data under patches/.

A directory NAME/ holds ``fix.toml`` and two semantic patches for Coccinelle:

``diagnose.cocci``
    prints a line for each place that it recognizes, with fields separated by tabs: ``respin``, the
    name of the shape, the function, the file, the line, and any number of ``name=word`` with the
    names of the function's variables. The shape ``defined`` marks every definition of a function
    that it could read.
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
    """A form of a function that diagnose.cocci recognizes."""

    verdict: Verdict
    reason: str
    mentions: Mapping[str, int]
    """Word or regular expression -> how often it occurs in the function's code.

    Comments, strings and ``#if 0`` do not count; ``<name>`` stands for its reported value."""
    also: Mapping[str, Mapping[str, int]]
    """Other functions that must exist, and what must occur in them how often."""


@dataclass(frozen=True, kw_only=True)
class Requires:
    """The library without which a source does not have the defect."""

    build_depends: str
    since: str
    """The first upstream version of the library that causes the defect."""
    switched_off: str = ""
    """Regular expression for what in debian/rules may disable the library."""


@dataclass(frozen=True, kw_only=True)
class Releases:
    """Which releases have the defect."""

    has: frozenset[str]
    """The codenames of those in which it was found."""
    lacks: frozenset[str]
    """The codenames of those in which it was not found."""
    since: Mapping[str, str]
    """Distro -> the codename of the first release from which on every one has it."""
    upstream: tuple[str, ...]
    """The first version of iproute2 that has it, and the first later one that does not, if any."""


@dataclass(frozen=True, kw_only=True)
class Fix:
    """The content of one directory under patches/."""

    name: str
    title: str
    directory: Path
    functions: tuple[str, ...]
    files: tuple[str, ...]
    """Files that the semantic patches read, relative to the source tree."""
    evidence: tuple[str, ...]
    """Regular expressions for code that must not occur outside the functions."""
    words: frozenset[str]
    """All identifiers and keywords that may occur in the functions."""
    directives: frozenset[str]
    """The preprocessor directives that may occur in the functions."""
    macros: frozenset[str]
    """Those of the words that iproute2 itself defines as macros."""
    mentions: Mapping[str, Mapping[str, int]]
    """Function -> what must occur in it whatever its shape (see Shape.mentions)."""
    has: Mapping[str, tuple[str, ...]]
    """File -> the functions that it defines in every release that has it."""
    requires: Requires | None
    dep3: Mapping[str, str]
    shapes: Mapping[str, Shape]
    releases: Releases
    turns: tuple[str, ...]
    """Smoke cases that fail before and load after."""
    behind: tuple[str, ...]
    """Fixes that the cases need too, where the source does: a package that lacks one of these
    refuses the cases before it comes to this defect."""
    symptoms: tuple[str, ...]
    """Regular expressions for what a package with the defect prints."""
    cases: tuple[Mapping[str, Any], ...] = ()
    """Smoke cases of its own, as in fix.toml (pipeline/smoke/own_cases.py)."""
    own: bool = False
    """Whether it is the user's own."""

    @property
    def diagnose_cocci(self) -> Path:
        """The semantic patch that reports shapes."""
        return self.directory / "diagnose.cocci"

    @property
    def fix_cocci(self) -> Path:
        """The semantic patch that fixes the source."""
        return self.directory / "fix.cocci"


def load(directory: Path) -> Fix:
    """Read a fix's directory. Raises KeyError or ValueError if it is not valid."""
    return parse(tomllib.loads((directory / "fix.toml").read_text()), directory)


def parse(data: Mapping[str, Any], directory: Path) -> Fix:
    """Return the fix of a directory whose fix.toml has these values. Raises as ``load``."""
    requires, releases = data.get("requires"), data["releases"]
    return Fix(
        name=directory.name,
        title=data["title"],
        directory=directory,
        functions=tuple(data["functions"]),
        files=tuple(data["files"]),
        evidence=tuple(data["evidence"]),
        words=frozenset(data["words"].split()),
        directives=frozenset(data["directives"]),
        macros=frozenset(data.get("macros", ())),
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
        releases=Releases(
            has=frozenset(releases.get("has", ())),
            lacks=frozenset(releases.get("lacks", ())),
            since=releases.get("since", {}),
            upstream=tuple(releases["upstream"]),
        ),
        turns=tuple(data["smoke"]["turns"]),
        behind=tuple(data["smoke"].get("behind", ())),
        symptoms=tuple(data["smoke"]["symptoms"]),
        cases=tuple(data["smoke"].get("case", ())),
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
    """Return all fixes, sorted by name.

    Their patches have the same order in debian/patches/series.
    """
    directories = project_data("patches").iterdir()
    return tuple(load(f) for f in sorted(directories) if (f / "fix.toml").is_file())


def choose(names: Sequence[str], among: Sequence[Fix] | None = None) -> tuple[Fix, ...]:
    """Return the fixes with these names, or all if no name is given.

    ``among`` are the fixes that there are, by default the project's. Raises UsageError for an
    unknown name.
    """
    known = {fix.name: fix for fix in (all_fixes() if among is None else among)}
    for name in names:
        if name not in known:
            of_that_name = f"; for the directory of that name, write ./{name}"
            raise UsageError(
                f"there is no fix named {name}",
                hint=f"the fixes are {', '.join(known)}"
                + (of_that_name if Path(name).is_dir() else ""),
            )
    return tuple(fix for fix in known.values() if not names or fix.name in names)
