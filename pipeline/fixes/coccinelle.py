# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run Coccinelle (spatch) over source trees: many cost about as much as one.

Only the relevant files are copied into a directory of our own, each tree under a number. So spatch
sees nothing else of the trees (no .cocciconfig), and their paths cannot be mistaken for anything
else by spatch or in its output.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import RespinError
from pipeline.files.bounded import copy
from pipeline.fixes.c_source import FILE_BYTES
from pipeline.host import command
from pipeline.host.resources import project_data
from pipeline.isolation import lent, sandbox

_NUMBER = re.compile(r"[0-9]{1,9}")

SECONDS = 120.0
"""For a batch, plus SECONDS_EACH for each tree. Usual are 1-2 s plus 0.3 s each."""
SECONDS_EACH = 5.0


@dataclass(frozen=True, kw_only=True)
class Match:
    """A line of a semantic patch's report: ``respin`` and these fields, separated by tabs."""

    shape: str
    function: str
    file: str
    """Relative to the tree."""
    line: int
    """Counted from 1."""
    names: Mapping[str, str]
    """The names of the function's variables: ``name=word``, one field each."""


def report(
    trees: Sequence[Path],
    cocci: Path,
    files: Sequence[str],
    *,
    error: type[RespinError],
    brief: str,
) -> list[list[Match]]:
    """Return what a semantic patch reports on each tree, for those of the files that it has.

    Raises ``error`` with ``brief`` if Coccinelle fails.
    """
    call = _Call(cocci=cocci, files=files, error=error, brief=brief)
    return parse(_batches(trees, call), len(trees))


def parse(lines: Iterable[str], trees: int) -> list[list[Match]]:
    """Read the reports on ``count`` trees; skip lines of any other form."""
    found: list[list[Match]] = [[] for _ in range(trees)]
    for line in lines:
        fields = line.split("\t")
        if len(fields) < 5 or fields[0] != "respin" or not _NUMBER.fullmatch(fields[4]):
            continue
        number, _, file = fields[3].partition("/")
        if not _NUMBER.fullmatch(number) or int(number) >= trees:
            continue
        names = dict(field.split("=", 1) for field in fields[5:] if "=" in field)
        found[int(number)].append(
            Match(shape=fields[1], function=fields[2], file=file, line=int(fields[4]), names=names)
        )
    return found


def apply(
    trees: Sequence[Path],
    cocci: Path,
    files: Sequence[str],
    *,
    error: type[RespinError],
    brief: str,
) -> None:
    """Apply a semantic patch in place to those of the files that each tree has.

    Raises ``error`` with ``brief`` if Coccinelle fails.
    """
    _batches(trees, _Call(cocci=cocci, files=files, error=error, brief=brief, in_place=True))


@dataclass(frozen=True, kw_only=True)
class _Call:
    """How spatch is called on a batch of trees."""

    cocci: Path
    files: Sequence[str]
    error: type[RespinError]
    brief: str
    in_place: bool = False
    """It changes the files."""

    def on(self, batch: Sequence[tuple[int, Path]]) -> list[str]:
        """Run spatch over numbered trees; return the lines it printed."""
        with lent.lent(None, "respin-spatch-") as directory:
            copied = [
                (tree / f, directory / str(n) / f) for n, tree in batch for f in self._of(tree)
            ]
            for here, there in copied:
                there.parent.mkdir(parents=True, exist_ok=True)
                self._copy(here, there)
            isomorphisms = project_data("patches", "fixes.iso")
            for path in (self.cocci, isomorphisms):
                shutil.copyfile(path, directory / path.name)
            options = ["--iso-file", isomorphisms.name, "--sp-file", self.cocci.name]
            if self.in_place:
                # --smpl-spacing: the spacing of the semantic patch, not Coccinelle's own.
                options += ["--in-place", "--smpl-spacing"]
            groups = ["\n".join(f"{n}/{f}" for f in self._of(tree)) for n, tree in batch]
            (directory / "groups").write_text("\n\n".join(groups) + "\n")
            done = sandbox.run(
                ["spatch", "--very-quiet", "--no-show-diff", *options, "--file-groups", "groups"],
                directory=directory,
                timeout=SECONDS + SECONDS_EACH * len(batch),
                error=self.error,
                brief=self.brief,
                hint="run respin doctor, which checks whether Coccinelle is installed correctly",
            )
            if self.in_place:
                for here, there in copied:
                    here.write_bytes(there.read_bytes())
        return done.text.splitlines()

    def _of(self, tree: Path) -> list[str]:
        return [f for f in self.files if (tree / f).is_file()]

    def _copy(self, here: Path, there: Path) -> None:
        try:
            copy(here, there, FILE_BYTES)
        except OSError as e:
            raise self.error(self.brief, details=f"{here} cannot be read: {e.strerror}") from e


def _batches(trees: Sequence[Path], call: _Call) -> list[str]:
    """Run spatch over all trees; return the lines it printed.

    There is a process per core, but none for a single tree of several: to read the semantic patch
    costs it more.
    """
    numbered = [
        (n, tree) for n, tree in enumerate(trees) if any((tree / f).is_file() for f in call.files)
    ]
    workers = max(1, min(len(os.sched_getaffinity(0)), (len(numbered) + 1) // 2))
    with command.threads(workers) as pool:
        batches = [numbered[start::workers] for start in range(workers)]
        return [line for lines in pool.map(call.on, filter(None, batches)) for line in lines]
