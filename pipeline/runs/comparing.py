# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the patch of one run changed in the packages, seen from a build without it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

from pipeline.build import comparison
from pipeline.build.build import BuildRoot
from pipeline.build.comparison import Side
from pipeline.errors import BuildError, FetchError
from pipeline.files import bounded
from pipeline.fixes import c_source
from pipeline.model import Built, Comparison, Patched, Source
from pipeline.runs.building import Building
from pipeline.runs.context import RunContext
from pipeline.runs.inputs import Inputs
from pipeline.source import fetch
from pipeline.vm import machine

_FILE = re.compile(r"^\+\+\+ [^/\s]+/(\S+)", re.MULTILINE)
PATCH_BYTES = 4 << 20
SECONDS = 20.0
"""Seconds for all functions."""
MENTIONS = 300
"""Times that a function is mentioned in a file before its definition is not looked for: each place
may take a search through the whole file."""


class Comparing:
    """The comparison of one run."""

    def __init__(self, context: RunContext, inputs: Inputs, building: Building) -> None:
        self._context, self._inputs, self._building = context, inputs, building

    def from_cache(
        self, root: BuildRoot, source: Source, tree: Path, patched: Patched, built: Future[Built]
    ) -> Comparison | None:
        """Compare the packages with those of ``source``, which unpacks to ``tree``.

        Returns None if the cache has no build without the patch, and, since nobody has asked for
        it, also if the comparison fails.
        """
        made = built.result()
        if not (self._building.objects.exists() and self._building.has_control(root, source)):
            return None
        try:
            return self._compare(root, source, tree, patched, made)
        except (BuildError, FetchError) as e:
            if self._context.request.compare:
                raise
            with self._context.progress.stage("compare") as stage:
                stage.note(f"not compared with a build without the patch: {e.brief}")
            return None

    def if_asked(
        self, root: BuildRoot, source: Source, tree: Path, patched: Patched, built: Built
    ) -> Comparison | None:
        """Do the same with a new build without the patch, if the request is for a comparison."""
        if not self._context.request.compare:
            return None
        return self._compare(root, source, tree, patched, built)

    def _compare(
        self, root: BuildRoot, source: Source, tree: Path, patched: Patched, built: Built
    ) -> Comparison:
        control = self._building.control(root, source, tree)
        with self._context.progress.stage("compare"):
            return comparison.compare(
                control,
                Side(debs=built.debs, objects=self._building.objects),
                self._context.scratch / "compared",
                objdump=machine.machine_for(root.architecture).objdump,
                in_patch=in_patch(tree, self._patched_tree(patched), patched.patches),
            )

    def _patched_tree(self, patched: Patched) -> Path:
        copy = self._context.scratch / "compared-source"
        made = fetch.local(patched.dsc, copy, patched.source.release)
        return self._inputs.unpack(made, "compared-tree", "compare")


def in_patch(tree: Path, patched: Path, patches: Sequence[Path]) -> Callable[[str], bool]:
    """Return a function that says whether the source of a function or variable changes.

    It does if its definition, or, for a variable, how often it is mentioned, differs between the
    two trees in a file that one of ``patches`` changes.
    """
    names = {
        name
        for patch in patches
        for name in _FILE.findall(bounded.text(patch, PATCH_BYTES, errors="replace"))
        if name.endswith((".c", ".h")) and ".." not in name.split("/")
    }
    codes = [
        [c_source.code_only(c_source.read(each / name)) for each in (tree, patched)]
        for name in sorted(names)
    ]

    until = time.monotonic() + SECONDS

    def changes(symbol: str) -> bool:
        name = symbol.partition(".")[0]

        def shape(code: str) -> tuple[object, ...]:
            if time.monotonic() > until:
                raise BuildError("the source is made so that its functions take too long to find")
            number = c_source.mentions(code, name)
            if number > MENTIONS:
                return (number,)
            return tuple(text for _, text in c_source.definitions(code, name)) or (number,)

        return any(shape(old) != shape(new) for old, new in codes)

    return changes
