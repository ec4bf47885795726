# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The script of the player (pipeline/vm/guest/play.c): the plan of a phase, and its files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from pipeline.smoke.cases import FIRST_KEY
from pipeline.smoke.matrix import Row

CHUNK = 25
"""Broken objects for one tc -batch: few enough to try each alone if one of them ends it."""

_SAFE = re.compile(r"[^\t\n\r%]*")


def step_id(phase: str, row: int) -> str:
    """Return the id under which the player reports on a row."""
    return f"{phase}:{row}"


def why_id(step: str) -> str:
    """Return the id under which the player reports what the verifier said about a row."""
    return f"{step}:why"


def ids(rows: Sequence[Row], phases: Sequence[str]) -> set[str]:
    """Return every id that the player may use."""
    steps = {step_id(phase, i) for phase in phases for i in range(len(rows))}
    more = max((len(row.commands) for row in rows), default=1)
    further = {f"{step}:{n}" for step in steps for n in range(1, more)}
    return steps | further | set(map(why_id, steps))


def plan(rows: Sequence[Row], phase: str, *, home: str, leave: frozenset[str] = frozenset()) -> str:
    """Return the plan of a phase: what the player does. ``leave`` are ids of rows to skip."""
    lines: list[Sequence[str]] = []
    for i, row in enumerate(rows):
        step = step_id(phase, i)
        if row.missing or step in leave or _without_those_before(rows, i, phase, leave):
            continue
        lines += [["next" if row.keep else "row", step], *_steps(row, step, home), ["end", step]]
    return "".join("\t".join(map(_quoted, line)) + "\n" for line in lines)


def _without_those_before(rows: Sequence[Row], i: int, phase: str, leave: frozenset[str]) -> bool:
    """Return whether a row needs what rows before it have loaded, and one of these is left out.

    A guest that crashed and was booted again has nothing of theirs, so the row would prove nothing.
    """
    return rows[i].keep and (
        step_id(phase, i - 1) in leave or _without_those_before(rows, i - 1, phase, leave)
    )


def _quoted(text: str) -> str:
    if _SAFE.fullmatch(text):
        return text
    return "".join(f"%{b:02x}" if b in b"\t\n\r%" else chr(b) for b in text.encode("latin-1"))


def _steps(row: Row, step: str, home: str) -> Iterator[Sequence[str]]:
    seconds = str(row.seconds)
    if row.corpus:
        directory = f"{home}/{row.name}"
        yield ["try", step, seconds, str(row.corpus), str(CHUNK), directory, row.section]
        return
    if row.files:
        yield ["files", str(row.files)]
    yield from (["unload", path] for path in row.unload)
    for n, each in enumerate(row.commands):
        yield ["run", step if n == 0 else f"{step}:{n}", seconds, *each.argv]
        if n == 0 and row.why:
            yield ["why", why_id(step), seconds, *row.why]
    if row.send:
        maps = [
            f"{name}={value}={row.keys.get(name, FIRST_KEY)}={row.paths[name]}"
            for name, value in row.values.items()
        ]
        what = ["replay", f"{home}/{row.name}.frames"] if row.replay else ["send", str(row.frames)]
        yield [what[0], step, row.send, what[1], str(row.mark), str(row.received), *maps]


def files(rows: Sequence[Row]) -> Mapping[str, bytes | Path]:
    """Return the files that the commands read, by name: bytes or a path."""
    found: dict[str, bytes | Path] = {}
    for row in rows:
        if row.missing:
            continue
        if row.corpus:
            found |= {f"{row.name}/{i}.o": row.object / f"{i}.o" for i in range(row.corpus)}
        else:
            found[f"{row.name}.o"] = row.object
        if row.batch:
            found[f"{row.name}.batch"] = row.batch.encode()
        if row.replay:
            found[f"{row.name}.frames"] = row.replay
        if row.script:
            found[f"{row.name}.sh"] = row.script
    return MappingProxyType(found)
