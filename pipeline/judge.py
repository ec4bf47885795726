"""From what the guest said to the smoke matrix: what was seen, and whether it is as expected.

Pure: a row, its command's end and its counts in; a cell out.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.model import Cell, Expect, Seen
from pipeline.vm.results import Counted, Ran

_TC = re.compile(r"iproute2-(?:(\d+)\.)?\S*?(?:, libbpf (\d+)\.\S*)?\s*$")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the matrix: what is loaded, how, and what is expected."""

    case: str
    title: str
    way: str
    name: str
    """Of its files in the guest, without suffix."""
    object: Path
    argv: tuple[str, ...]
    """The command that loads it."""
    pins: Mapping[str, int]
    """The pinned maps, and by how much each counts a frame. None: only shown."""
    expect: Mapping[str, tuple[Expect, str]] | None
    """By loader, with the reason; None for the user's own object."""
    like: str = ""
    """The case whose symptoms are its own too."""
    says: str = ""
    """A pattern that a refusal must match."""
    program: bool = False
    """The command says ``program NAME``."""
    batch: str = ""
    """The content of the file that the command reads."""
    files: int = 0
    """Its limit of open files; 0: none of its own."""
    seconds: int = 30
    """How long the command may take in the guest."""


@dataclass(frozen=True, kw_only=True)
class Tc:
    """What ``tc -V`` says."""

    text: str
    major: int
    """Of iproute2's version; 0 before v5.5, when it was a date."""
    loader: str
    """As in cases.toml."""


def read_tc(output: str) -> Tc:
    """Return what the output of ``tc -V`` says; one that says nothing known is an old one."""
    text = output.strip()
    found = _TC.search(text)
    major, libbpf = found.groups() if found else (None, None)
    loader = "own" if libbpf is None else "libbpf-0" if libbpf == "0" else "libbpf-1"
    return Tc(text=text, major=int(major or 0), loader=loader)


def expectation(
    row: Row, tc: Tc, *, after: bool, symptoms: Sequence[str] | None
) -> tuple[Expect, str]:
    """Return what a row expects of a package, and why.

    ``symptoms`` are those of the needed fixes that turn the case; None if none does.
    """
    if row.expect is None:
        if after:
            return Expect.LOADS, "the user's object must load with the new package"
        return Expect.ANY, "shown only"
    if symptoms is not None:
        if after:
            return Expect.LOADS, "the fix must make it load"
        return Expect.REFUSED, "the negative control: what the fix mends must be seen to fail"
    if row.program and tc.major < 6:
        return Expect.ANY, "program NAME came with iproute2 v6.0"
    return row.expect[tc.loader]


def judge(
    row: Row,
    tc: Tc,
    ran: Ran,
    counted: Counted,
    shown: str,
    *,
    after: bool,
    symptoms: Sequence[str] | None,
) -> Cell:
    """Return the cell of a row under one package. ``shown`` is what tc then shows as loaded."""
    expected, reason = expectation(row, tc, after=after, symptoms=symptoms)
    seen, what = _see(row, ran, counted, shown)
    if row.program and tc.major < 6:
        seen = Seen.NOT_POSSIBLE
    words: list[str] = []
    if expected is not Expect.ANY and seen.value != expected.value:
        words.append(f"expected: {expected.value} ({reason}); seen: {what}")
    elif expected is Expect.REFUSED:
        patterns = symptoms if symptoms is not None and not after else [row.says or r"\S"]
        if not any(re.search(p, ran.output) for p in patterns):
            words.append("refused, as expected, but not in the words that were expected: ")
            words.append(" | ".join(patterns))
    value = next(iter(counted.maps.values()), -1)
    return Cell(
        expected=expected,
        seen=seen,
        ok=not words,
        command=shlex.join(row.argv),
        status=ran.status,
        output=ran.output,
        counted=value,
        sent=counted.sent,
        seconds=ran.seconds,
        why="".join(words),
    )


def _see(row: Row, ran: Ran, counted: Counted, shown: str) -> tuple[Seen, str]:
    """Return what was seen, also in words."""
    if ran.late:
        return Seen.CRASHED, f"it did not end within {row.seconds} s"
    if ran.status < 0:
        return Seen.CRASHED, f"it was killed by signal {-ran.status}"
    if ran.status > 0:
        return Seen.REFUSED, f"refused, exit status {ran.status}"
    if not row.pins:
        if re.search(r"\b(bpf|xdpgeneric|prog/xdp)\b", shown):
            return Seen.LOADS, "loaded"
        return Seen.LOADED_WRONG, "exit status 0, and no program is there"
    wrong = [
        f"{name} holds {counted.maps.get(name, -1)} instead of {counted.sent * step}"
        for name, step in row.pins.items()
        if counted.maps.get(name, -1) != counted.sent * step
    ]
    if counted.sent <= 0:
        wrong.append("no frame was sent")
    if wrong:
        return Seen.LOADED_WRONG, "exit status 0, but " + ", ".join(wrong)
    return Seen.LOADS, "loaded and counted"
