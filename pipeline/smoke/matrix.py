# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of the smoke matrix: what is loaded, how, and what must result.

The only side effect is to compile the objects of the cases.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from debian.debian_support import Version

from pipeline.host.cache import Cache
from pipeline.host.resources import package_data
from pipeline.smoke.cases import AttachType, Case, Expected, Then, attach_types, map_struct_size
from pipeline.smoke.compile import compile_cases, section_of
from pipeline.smoke.user_object import UserObject, user_section
from pipeline.vm.machine import Machine

FRAMES = 7
"""Frames to send after each load."""

MARK = 0x5157
"""As in templates/objects/common.h.j2."""

PINS = "/sys/fs/bpf/tc"
"""Where both loaders pin maps, for XDP by way of a link."""

LOAD_SECONDS, BATCH_SECONDS = 30, 180
"""Seconds that a command may take."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command of a row, and what its output must show if it succeeds."""

    argv: tuple[str, ...]
    says: str = ""
    silent: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the matrix: what is loaded, how, and what is expected from each loader."""

    case: str
    title: str
    way: AttachType
    name: str
    """The name of its files, without suffix."""
    object: Path
    """The object, or the directory of a corpus."""
    commands: tuple[Command, ...]
    """The command that loads the object, and those that follow."""
    expect: Mapping[str, Expected] | None
    """None for the user's own object."""
    why: tuple[str, ...] = ()
    """The first command once more, with the verifier's whole log."""
    pins: Mapping[str, int] = field(default_factory=dict)
    """The pinned maps, and how much each frame adds to each of them."""
    paths: Mapping[str, str] = field(default_factory=dict)
    """Where each map is pinned, as a pattern (glob(7))."""
    keys: Mapping[str, str] = field(default_factory=dict)
    send: str = ""
    """Where frames are sent from; empty if none are sent."""
    mark: int = 0
    """The mark of the frames that the receiver counts."""
    received: int = 0
    """How many frames it must receive."""
    batch: str = ""
    """The content of the file that the command reads."""
    script: Path | None = None
    """The script that the command runs."""
    files: int = 0
    """The command's limit of open files; 0 for the default."""
    corpus: int = 0
    section: str = ""
    seconds: int = LOAD_SECONDS
    missing: str = ""
    """What this place lacks, so that the row cannot run."""
    since: str = ""
    """The upstream version that introduced the feature."""


@dataclass(frozen=True, kw_only=True)
class KernelFacts:
    """What is known about the kernel of a place."""

    version: str
    """``uname -r``."""
    config: frozenset[str] | None = None
    """The options set to y or m; None if they are unknown."""

    def lacks(self, needs: Sequence[str], since: str) -> str:
        """Return in words what is missing; empty if nothing is."""
        number = re.match(r"\d+\.\d+", self.version)
        if since and number and Version(number[0]) < Version(since):
            return f"Linux {since}"
        absent = [o for o in needs if self.config is not None and o not in self.config]
        return ", ".join(absent)


def case_rows(
    cases: Sequence[Case],
    *,
    kernel: KernelFacts,
    machine: Machine,
    version: str,
    home: str,
    cache: Cache,
    log: Path,
) -> list[Row]:
    """Return the rows of cases, with objects for this version of iproute2.

    ``home`` is the directory where the objects will be. Raises SmokeImpossible if one cannot be
    compiled.
    """
    size = map_struct_size(version)
    compiled = compile_cases(cases, size=size, machine=machine, cache=cache, log=log)
    return [_case_row(case, compiled[case.id], kernel, home) for case in cases]


def _case_row(case: Case, path: Path, kernel: KernelFacts, home: str) -> Row:
    which = ["program", case.program] if case.program else ["section", section_of(case)]
    row = _row(case.name, case.title, case.way, case.id, path, which, home, case.repeat)
    directory = "*" if case.parameters["pin"] == "object" else "globals"
    verdict = case.verdict
    received = 0 if verdict == "drop" else FRAMES
    return dataclasses.replace(
        row,
        expect=case.expect,
        pins=case.pins,
        paths={name: f"{PINS}/{directory}/{name}" for name in case.pins},
        keys=case.keys,
        send="" if case.corpus else "redirected" if verdict == "redirect" else case.way.send,
        mark=MARK if verdict == "mark" else 0,
        received=received if case.received is None else case.received,
        files=case.files,
        corpus=case.corpus,
        seconds=BATCH_SECONDS if case.repeat > 1 else LOAD_SECONDS,
        missing=kernel.lacks(case.needs, case.kernel),
        since=max(case.since, case.way.since, key=lambda v: Version(v or "0")),
    )


def _row(
    case: str,
    title: str,
    way: AttachType,
    name: str,
    path: Path,
    which: Sequence[str],
    home: str,
    repeat: int = 1,
) -> Row:
    here = {"object": f"{home}/{name}.o", "batch": f"{home}/{name}.batch"}
    here["script"] = f"{home}/{name}.sh"

    def words(line: str, *more: str) -> tuple[str, ...]:
        parts = shlex.split(line)
        at = parts.index("{which}") if "{which}" in parts else len(parts)
        parts[at : at + 1] = [*which, *more] if at < len(parts) else []
        return tuple(here.get(p[1:-1], p) if p.startswith("{") else p for p in parts)

    then = [Command(argv=words(each.run), says=each.says, silent=each.silent) for each in way.then]
    return Row(
        case=case,
        title=title,
        way=way,
        name=name,
        object=path,
        commands=(Command(argv=words(way.load), says=way.says), *then),
        batch=(shlex.join(words(way.line)) + "\n") * repeat if way.line else "",
        script=package_data(__package__, way.script) if way.script else None,
        section=which[1],
        expect=None,
        # tc and ip take `verbose` after the program's name; a script and a batch do not.
        why=words(way.load, "verbose") if "{which}" in way.load and not way.script else (),
    )


def object_rows(items: Sequence[UserObject], *, kernel: KernelFacts, home: str) -> list[Row]:
    """Return the rows of the user's own objects. Raises UsageError for one that is not valid."""
    rows = []
    for i, item in enumerate(items):
        section = user_section(item)
        way = attach_types()[item.way]
        way = dataclasses.replace(way, says="", then=(Then(run=way.show, says=_LOADED),))
        title = f"{item.path}, section {section}"
        which = ["section", section]
        row = _row(item.path.name, title, way, f"object-{i}", item.path, which, home)
        missing = kernel.lacks(way.needs, "")
        rows.append(dataclasses.replace(row, missing=missing, since=way.since))
    return rows


_LOADED = r"\b(bpf|xdpgeneric|prog/xdp)\b"
