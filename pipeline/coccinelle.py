"""Running Coccinelle (spatch) over source trees, many at the cost of about one.

Each tree stands under a number in a folder of our own, so that neither the trees' paths
nor what they contain can be taken for something else by spatch or in its output.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline import command
from pipeline.data import data_path
from pipeline.errors import RespinError

SECONDS = 120.0
"""For a batch, plus SECONDS_EACH for each of its trees. Usual: 1-2 s, 0.3 s each."""
SECONDS_EACH = 5.0


@dataclass(frozen=True, kw_only=True)
class Match:
    """A line of a semantic patch's report: ``respin`` and then these, with tabs between."""

    shape: str
    function: str
    file: str
    """Relative to the tree."""
    line: int
    """Counted from 1."""
    names: Mapping[str, str]
    """What the function calls its variables: ``name=word``, a field each."""


def report(
    trees: Sequence[Path],
    cocci: Path,
    files: Sequence[str],
    *,
    error: type[RespinError],
    brief: str,
) -> list[list[Match]]:
    """Return, for each tree, what a semantic patch reports on those of the files it has.

    Raises ``error`` with ``brief`` if Coccinelle fails.
    """
    isomorphisms = data_path("patches", "diagnose.iso")
    options = ["--no-show-diff", "--iso-file", str(isomorphisms), "--sp-file", str(cocci)]
    found: list[list[Match]] = [[] for _ in trees]
    for line in _batches(trees, files, options, error, brief):
        fields = line.split("\t")
        if len(fields) < 5 or fields[0] != "respin" or not fields[4].isdecimal():
            continue
        number, _, file = fields[3].partition("/")
        if not number.isdecimal() or int(number) >= len(trees):
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
    # --smpl-spacing: the spacing of the semantic patch, not Coccinelle's own.
    options = ["--no-show-diff", "--smpl-spacing", "--in-place", "--sp-file", str(cocci)]
    _batches(trees, files, options, error, brief)


def _batches(
    trees: Sequence[Path],
    files: Sequence[str],
    options: Sequence[str],
    error: type[RespinError],
    brief: str,
) -> list[str]:
    """Run spatch over all trees, a process per core; return the lines it printed."""
    numbered = [
        (n, tree) for n, tree in enumerate(trees) if any((tree / f).is_file() for f in files)
    ]
    workers = max(1, min(len(os.sched_getaffinity(0)), len(numbered)))

    def one(batch: Sequence[tuple[int, Path]]) -> list[str]:
        with tempfile.TemporaryDirectory(prefix="respin-spatch-") as tmp:
            groups = []
            for number, tree in batch:
                (Path(tmp) / str(number)).symlink_to(tree.resolve())
                groups.append("\n".join(f"{number}/{f}" for f in files if (tree / f).is_file()))
            (Path(tmp) / "groups").write_text("\n\n".join(groups) + "\n")
            done = command.run(
                ["spatch", "--very-quiet", *options, "--file-groups", "groups"],
                cwd=Path(tmp),
                timeout=SECONDS + SECONDS_EACH * len(batch),
                error=error,
                brief=brief,
                hint="respin doctor says whether coccinelle is installed as it should be",
            )
        return done.text.splitlines()

    with command.threads(workers) as pool:
        batches = [numbered[start::workers] for start in range(workers)]
        return [line for lines in pool.map(one, filter(None, batches)) for line in lines]
