# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The functions and variables of an object file, in a form that does not depend on the layout.

Two builds of a function are the same if their instructions are, and what each instruction refers to
is: a symbol by its name, a string by its text, a place in the function itself by its distance from
the start, other data by its content. Addresses do not count, for one function that is larger moves
all that come after it. What this cannot resolve (the operands of i386 and armhf that hold a part of
an address) stays as it is, so a function may be taken for changed that is not, and never the
reverse.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.sections import Section, Symbol

from pipeline.errors import BuildError
from pipeline.files import bounded
from pipeline.files.elf import Broken, Elf, Relocation
from pipeline.isolation import lent, sandbox

BYTES = 16 << 20
"""Of one object file; iproute2's largest has 0.6 MB."""
SECONDS = 60.0
READ = 64 << 20
"""Bytes of instructions and data that its functions and variables may have, each counted whenever
it is read."""
DEEPEST = 4
"""How often data may refer to other data that has no name."""
_FUNCTION, _VARIABLE = "STT_FUNC", "STT_OBJECT"
# The numbers that GCC gives to static variables and to copies of functions count from the end of
# the file, so one more of them renumbers all.
_NUMBER = re.compile(r"\.\d+\b")
_LINE = re.compile(r"^\s*([0-9a-f]+):\t(.*)$")
_PLACE = re.compile(r"\b(?:0x)?([0-9a-f]+) <[^>]*>")
_COMMENT = re.compile(r"\s+(#|//|@|;) .*$")
# What counts from its own place, by the numbers of each architecture's ABI. In code, x86 counts
# from the next instruction and s390 from the start of this one; the others correct nothing.
_FROM_NEXT = {"EM_X86_64": frozenset({2, 4, 9, 24, 41, 42})}
_FROM_THIS = {"EM_S390": frozenset({5, 16, 17, 18, 19, 20, 26})}
# In data: entries of jump tables.
_IN_TABLE = {
    "EM_X86_64": frozenset({2, 24}),
    "EM_S390": frozenset({5}),
    "EM_AARCH64": frozenset({260, 261}),
    "EM_PPC64": frozenset({26, 44}),
}
_NONE: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Named:
    """A function or a variable."""

    name: str
    """Without the numbers that GCC adds to it."""
    variable: bool
    body: str
    """A digest, equal for two builds of the same."""


def read(path: Path, objdump: str) -> dict[str, list[Named]]:
    """Return the functions and variables of an object file, by their names.

    ``objdump`` is the program that knows its architecture; it runs in the sandbox. Raises
    BuildError, or ``files.elf.Broken`` for a file that makes no sense.
    """
    data = bounded.read(path, BYTES)
    text = _disassembly(path, objdump)
    found: dict[str, list[Named]] = {}
    for each in _Object(Elf(data), text).named():
        found.setdefault(each.name, []).append(each)
    return found


def _disassembly(path: Path, objdump: str) -> str:
    with lent.lent(None, "respin-object-") as directory:
        bounded.copy(path, directory / "object.o", BYTES)
        return sandbox.run(
            [objdump, "--disassemble", "--no-show-raw-insn", "--disassemble-zeroes", "object.o"],
            directory=directory,
            timeout=SECONDS,
            limit=bounded.LARGE,
            error=BuildError,
            brief=f"objdump could not read {path.name}",
        ).text


class _Object:
    """An object file, and the text of its instructions."""

    def __init__(self, elf: Elf, text: str) -> None:
        self._elf = elf
        self._left = READ
        self._known: dict[tuple[str, int, int], str] = {}
        self._lines = _instructions(text)
        self._relocations = {
            name: sorted(entries, key=lambda r: r.offset)
            for name, entries in elf.relocations_by_section.items()
        }

    def named(self) -> Iterator[Named]:
        """Yield every function and variable that is in the file."""
        for symbol in self._elf.symbols:
            kind = symbol["st_info"]["type"]
            section = self._section(symbol)
            if kind in (_FUNCTION, _VARIABLE) and section is not None and symbol["st_size"]:
                body = self._code if kind == _FUNCTION else self._data
                start, size = symbol["st_value"], symbol["st_size"]
                yield Named(
                    name=plain(symbol.name),
                    variable=kind == _VARIABLE,
                    body=_digest(body(section, start, start + size)),
                )

    def _section(self, symbol: Symbol) -> Section | None:
        index = symbol["st_shndx"]
        return self._elf.sections[index] if isinstance(index, int) else None

    def _code(self, section: Section, start: int, end: int) -> Iterator[str]:
        lines = self._lines.get(section.name, [])
        first = bisect_right(lines, (start, ""))
        while first and lines[first - 1][0] >= start:
            first -= 1
        for n, (address, text) in enumerate(lines[first:], first):
            if address >= end:
                break
            after = lines[n + 1][0] if n + 1 < len(lines) else end
            self._spend(len(text))
            entries = self._entries(section, address, after)
            yield self._instruction(section, start, text, bool(entries))
            for entry in entries:
                short = 0
                if entry.kind in _FROM_NEXT.get(self._elf.machine, _NONE):
                    short = after - entry.offset
                elif entry.kind in _FROM_THIS.get(self._elf.machine, _NONE):
                    short = address - entry.offset
                yield self._target(entry, short, start, 0)

    def _instruction(self, section: Section, start: int, text: str, relocated: bool) -> str:
        """Return an instruction without addresses."""

        def place(match: re.Match[str]) -> str:
            if relocated:
                return "<>"
            return f"<{self._near(section, int(match[1], 16), start)}>"

        bare = _COMMENT.sub("", text)
        return _PLACE.sub(place, " ".join(bare.split()))

    def _entries(self, section: Section, start: int, end: int) -> list[Relocation]:
        found = self._relocations.get(section.name, [])
        first = bisect_right(found, start - 1, key=lambda r: r.offset)
        last = bisect_right(found, end - 1, key=lambda r: r.offset)
        return found[first:last]

    def _target(self, entry: Relocation, short: int, start: int, depth: int) -> str:
        """Return what a relocation refers to, ``short`` bytes behind its addend."""
        symbol = self._elf.symbols[entry.symbol] if entry.symbol else None
        if symbol is None:
            return f"{entry.kind} {entry.addend:#x}"
        section = self._section(symbol)
        if section is None:
            return f"{entry.kind} {plain(symbol.name)}{entry.addend:+#x}"
        place = symbol["st_value"] + entry.addend + short
        return f"{entry.kind} {self._near(section, place, start, depth)}"

    def _near(self, section: Section, offset: int, start: int, depth: int = 0) -> str:
        """Return a place in a section by what is there."""
        symbol = self._covering(section, offset)
        if symbol is not None:
            return f"{plain(symbol.name)}+{offset - symbol['st_value']:#x}"
        flags = section["sh_flags"]
        if section["sh_type"] == "SHT_NOBITS" or flags & SH_FLAGS.SHF_EXECINSTR:
            return f"{section.name}+{offset - start:#x}"
        content = self._elf.content(section)
        if flags & SH_FLAGS.SHF_STRINGS:
            end = content.find(b"\0", offset)
            text = content[offset : end if end >= 0 else None]
            self._spend(len(text))
            return repr(text)
        size = section["sh_entsize"] if flags & SH_FLAGS.SHF_MERGE else 0
        end = offset + size if size else self._boundary(section, offset)
        if depth >= DEEPEST:
            return f"{section.name}+{offset:#x}"
        key = (section.name, offset, depth)
        if key not in self._known:
            self._known[key] = _digest(self._data(section, offset, end, depth + 1))
        return f"{section.name}[{self._known[key]}]"

    def _data(self, section: Section, start: int, end: int, depth: int = 0) -> Iterator[str]:
        """Yield the content of data, with what it refers to."""
        if section["sh_type"] == "SHT_NOBITS":
            yield f"{end - start} bytes"
            return
        content = self._elf.content(section)[start:end]
        self._spend(len(content))
        yield content.hex()
        for entry in self._entries(section, start, end):
            table = entry.kind in _IN_TABLE.get(self._elf.machine, _NONE)
            short = start - entry.offset if table else 0
            yield f"{entry.offset - start} {self._target(entry, short, 0, depth)}"

    def _spend(self, read: int) -> None:
        """Count what is read; a file may be made so that all of it is read for every symbol."""
        self._elf.in_time()
        self._left -= read
        if self._left < 0:
            raise Broken(f"its functions refer to more than {READ >> 20} MiB")

    def _covering(self, section: Section, offset: int) -> Symbol | None:
        """Return the function or variable at a place, if there is one."""
        table = self._tables.get(section.name, [])
        n = bisect_right(table, offset, key=lambda s: s["st_value"])
        symbol = table[n - 1] if n else None
        if symbol is None or offset >= symbol["st_value"] + max(1, symbol["st_size"]):
            return None
        return symbol

    @cached_property
    def _tables(self) -> Mapping[str, list[Symbol]]:
        found: dict[str, list[Symbol]] = {}
        for symbol in self._elf.symbols:
            section = self._section(symbol)
            if symbol["st_info"]["type"] in (_FUNCTION, _VARIABLE) and section is not None:
                found.setdefault(section.name, []).append(symbol)
        for table in found.values():
            # Of two names for one place the same one is chosen in every build.
            table.sort(key=lambda s: (s["st_value"], plain(s.name)))
        return found

    def _boundary(self, section: Section, offset: int) -> int:
        """Return where data without a name ends: where the next begins that something names."""
        table = self._referred.get(section.name, [])
        n = bisect_right(table, offset)
        return table[n] if n < len(table) else section["sh_size"]

    @cached_property
    def _referred(self) -> Mapping[str, list[int]]:
        found: dict[str, set[int]] = {
            name: {s["st_value"] for s in table} for name, table in self._tables.items()
        }
        for entries in self._relocations.values():
            for entry in entries:
                symbol = self._elf.symbols[entry.symbol]
                section = self._section(symbol)
                if section is not None and symbol["st_info"]["type"] == "STT_SECTION":
                    # From the usual place in an instruction; another one only names more data.
                    short = 4 if entry.kind in _FROM_NEXT.get(self._elf.machine, _NONE) else 0
                    found.setdefault(section.name, set()).add(entry.addend + short)
        return {name: sorted(places) for name, places in found.items()}


def _digest(lines: Iterable[str]) -> str:
    sha = hashlib.sha256()
    for line in lines:
        sha.update(f"{len(line)} {line}\n".encode())
    return sha.hexdigest()


def plain(name: str) -> str:
    """Return a symbol's name without the numbers that GCC adds."""
    return _NUMBER.sub("", name)


def _instructions(text: str) -> dict[str, list[tuple[int, str]]]:
    """Return the instructions in objdump's text: section -> (address, instruction) in order."""
    found: dict[str, list[tuple[int, str]]] = {}
    lines: list[tuple[int, str]] = []
    for line in text.splitlines():
        if line.startswith("Disassembly of section "):
            lines = found.setdefault(line.removeprefix("Disassembly of section ").rstrip(":"), [])
        elif match := _LINE.match(line):
            lines.append((int(match[1], 16), match[2]))
    return found
