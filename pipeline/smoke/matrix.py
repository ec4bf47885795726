# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of the smoke matrix: what is loaded, how, and what must result.

The only side effect is to compile the objects of the cases.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from debian.debian_support import Version

from pipeline.errors import UsageError
from pipeline.host.cache import Cache
from pipeline.host.resources import package_data
from pipeline.smoke.bpf_object import read
from pipeline.smoke.cases import AttachType, Case, Expected, Then, attach_types, map_struct_size
from pipeline.smoke.compile import compile_cases, section_of
from pipeline.smoke.expectation import packed
from pipeline.smoke.user_object import UserObject, user_section
from pipeline.vm.machine import Machine

FRAMES = 7
"""Frames to send after each load."""

MARK = 0x5157
"""As in templates/objects/common.h.j2."""

PINS = "/sys/fs/bpf/tc"
"""Where both loaders pin maps, for XDP by way of a link."""

PIN_GLOBAL = 2
"""PIN_GLOBAL_NS of iproute2's include/bpf_elf.h; libbpf pins maps of .maps there, too."""

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
    holds: Mapping[str, int] = field(default_factory=dict)
    """What else pinned maps must hold, whatever was sent."""
    replay: bytes = b""
    """The frames to send, as the player reads them; empty for respin's own."""
    frames: int = FRAMES
    """How many are sent."""
    keep: bool = False
    """Whether what the row before has attached and pinned stays."""
    send: str = ""
    """Where frames are sent from; empty if none are sent."""
    mark: int = 0
    """The mark of the frames that the receiver counts."""
    received: int = 0
    """How many frames it must receive; -1 if that is not judged."""
    batch: str = ""
    """The content of the file that the command reads."""
    script: Path | None = None
    """The script that the command runs."""
    files: int = 0
    """The command's limit of open files; 0 for the default."""
    corpus: int = 0
    section: str = ""
    seconds: int = LOAD_SECONDS
    unload: tuple[str, ...] = ()
    """The files of modules that are unloaded while the row runs."""
    missing: str = ""
    """What this place lacks, so that the row cannot run."""
    since: str = ""
    """The upstream version that introduced the feature."""

    @property
    def values(self) -> Mapping[str, int]:
        """Return what each pinned map must hold afterwards."""
        return {name: self.frames * by for name, by in self.pins.items()} | dict(self.holds)


@dataclass(frozen=True, kw_only=True)
class KernelFacts:
    """What is known about the kernel of a place."""

    version: str
    """``uname -r``."""
    config: frozenset[str] | None = None
    """The options set to y or m; None if they are unknown."""
    modules: Mapping[str, str] = field(default_factory=dict)
    """Option -> the file of its module, if this place can unload it and load it again."""

    def has_built_in(self, without: Sequence[str]) -> str:
        """Return in words what must not be there and cannot be unloaded; empty if nothing is."""
        there = [o for o in without if self.config is None or o in self.config]
        kept = [o for o in there if o not in self.modules]
        return f"a kernel without {', '.join(kept)}" if kept else ""

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
    return [
        _case_row(case, compiled[case.id], kernel, home, little=machine.little) for case in cases
    ]


def _case_row(case: Case, path: Path, kernel: KernelFacts, home: str, *, little: bool) -> Row:
    which = ["program", case.program] if case.program else ["section", section_of(case)]
    row = _row(case.name, case.title, case.way, case.id, path, which, home, case.repeat)
    # tc names the directory of an object's own maps by its SHA-1, whoever computes it.
    own = case.parameters["pin"] == "object"
    directory = hashlib.sha1(path.read_bytes()).hexdigest() if own else "globals"
    verdict = case.verdict
    received = 0 if verdict == "drop" else FRAMES
    return dataclasses.replace(
        row,
        expect=case.expect,
        pins=case.pins,
        paths={name: f"{PINS}/{directory}/{name}" for name in case.pins},
        keys=case.keys_hex(little=little),
        send="" if case.corpus else "redirected" if verdict == "redirect" else case.way.send,
        mark=MARK if verdict == "mark" else 0,
        received=received if case.received is None else case.received,
        files=case.files,
        corpus=case.corpus,
        seconds=BATCH_SECONDS if case.repeat > 1 else LOAD_SECONDS,
        unload=tuple(kernel.modules[o] for o in case.without if o in kernel.modules),
        missing=kernel.lacks(case.needs, case.kernel) or kernel.has_built_in(case.without),
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


def object_rows(
    items: Sequence[UserObject], *, kernel: KernelFacts, home: str, together: bool = False
) -> list[Row]:
    """Return the rows of the user's own objects, which may be loaded one after the other.

    Raises UsageError for one that is not valid, or lacks a map of which a value is expected.
    """
    rows: list[Row] = []
    for i, item in enumerate(items):
        section = user_section(item)
        way = attach_types()[item.way]
        way = dataclasses.replace(way, says="", then=(Then(run=way.show, says=_LOADED),))
        after = f" (after {rows[-1].case})" if together and rows else ""
        title = f"{item.path}, section {section}{after}"
        which = ["section", section]
        row = _row(item.path.name, title, way, f"object-{i}", item.path, which, home)
        expect = item.expect
        rows.append(
            dataclasses.replace(
                row,
                missing=kernel.lacks(way.needs, ""),
                since=way.since,
                keep=bool(after),
                send=way.send if expect.sends else "",
                replay=packed(expect.frames),
                frames=len(expect.frames) or FRAMES,
                received=-1 if expect.received is None else expect.received,
            )
        )
        rows[-1] = _holding(rows[-1], item)
    return rows


def _holding(row: Row, item: UserObject) -> Row:
    """Return a row with the maps of which the user expects a value."""
    found = read(item.path)
    holds, keys, paths = {}, {}, {}
    for held in item.expect.maps:
        symbol = next((m for m in found.maps if m.name == held.name), None)
        legacy = symbol is not None and symbol.section == "maps"
        pinning = symbol.value("pinning") if symbol and legacy else PIN_GLOBAL
        if symbol is None or not pinning:
            raise UsageError(
                f"{item.path} has no pinned map {held.name}, so nothing can read its values",
                hint="its maps are: " + (", ".join(m.name for m in found.maps) or "none"),
            )
        directory = "globals" if pinning == PIN_GLOBAL else "*"
        holds[held.label] = held.value
        keys[held.label] = held.key_hex(symbol.value("size_key") or 4, little=found.little)
        paths[held.label] = f"{PINS}/{directory}/{held.name}"
    return dataclasses.replace(row, holds=holds, keys=keys, paths=paths)


_LOADED = r"\b(bpf|xdpgeneric|prog/xdp)\b"
