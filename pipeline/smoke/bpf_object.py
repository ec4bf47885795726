# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a BPF object contains: sections, programs, maps, symbols, and what its code refers to.

Everything comes from the file itself, before anything is loaded.
"""

from __future__ import annotations

import itertools
import shlex
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.sections import Section, Symbol

from pipeline.errors import UsageError
from pipeline.files import bounded
from pipeline.files.elf import Broken, Elf

LARGEST = 32 << 20
"""Bytes; the largest in use have 3 MB."""

PROGRAMS_MAX, FUNCTIONS_MAX, REFERENCES_MAX = 256, 4096, 1 << 15
"""Each is compared with the others; the largest objects in use have some hundred programs."""

TEXT = ".text"
"""The section of functions that have no section of their own."""

FIELDS = (
    *("type", "size_key", "size_value", "max_elem"),
    *("flags", "id", "pinning", "inner_id", "inner_idx"),
)
"""The members of struct bpf_elf_map, 32 bits each (include/bpf_elf.h of iproute2 v4.13)."""

_NOT_A_PROGRAM = (TEXT, ".fini", ".init")
_GLOBAL, _LOCAL, _CALL, _PSEUDO_CALL = "STB_GLOBAL", "STB_LOCAL", 0x85, 1
_LOADS_OF_PACKETS = frozenset((0x20, 0x28, 0x30, 0x40, 0x48, 0x50))
"""The opcodes of BPF_LD with BPF_ABS or BPF_IND (linux/filter.h)."""


@dataclass(frozen=True, kw_only=True)
class MapSymbol:
    """A symbol in a section with maps."""

    name: str
    section: str
    """``maps`` (legacy) or ``.maps`` (BTF)."""
    offset: int
    local: bool
    typed: bool
    """STT_OBJECT; LLVM 7 and before made STT_NOTYPE."""
    values: tuple[int, ...] = ()
    """For a legacy map: the members of its definition, in the order of FIELDS."""

    def value(self, field: str) -> int:
        """Return a member of its definition; 0 if the definition is too short to have it."""
        at = FIELDS.index(field)
        return self.values[at] if at < len(self.values) else 0


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function, or a label that stands for one."""

    name: str
    section: str
    offset: int
    local: bool


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A relocation in a section with code: what an instruction refers to."""

    section: str
    offset: int
    target: str
    """The section of its symbol; empty if the symbol is defined elsewhere."""
    symbol: str


@dataclass(frozen=True, kw_only=True)
class Description:
    """The content of an object."""

    sections: tuple[tuple[str, int], ...]
    """Name and size in bytes of each section that is not empty."""
    programs: tuple[str, ...]
    """The sections with programs, in their order."""
    maps: tuple[MapSymbol, ...]
    symbols: tuple[tuple[str, str, int], ...]
    """Name, section and offset of each global symbol."""
    functions: tuple[Function, ...] = ()
    references: tuple[Reference, ...] = ()
    called: frozenset[str] = frozenset()
    """The sections from which functions of TEXT are called."""
    called_inside: frozenset[str] = frozenset()
    """The sections with calls of functions of the same section, which have no relocation."""
    packet_loads: frozenset[str] = frozenset()
    """The sections with instructions LD_ABS or LD_IND."""
    formats: frozenset[str] = frozenset()
    """The sections with a format of bpf_printk, which libbpf's macro calls ____fmt."""
    btf: int = 0
    """Bytes of BTF; 0 if there is none."""
    struct: int | None = None
    """Bytes of one legacy map definition, as the loader computes it."""
    stripped: bool = False
    """Whether it has no symbol table."""
    little: bool = True

    @property
    def legacy(self) -> tuple[MapSymbol, ...]:
        """Return the symbols of legacy maps."""
        return tuple(m for m in self.maps if m.section == "maps")

    def has(self, section: str) -> int:
        """Return how many sections that are not empty have this name."""
        return sum(name == section for name, _ in self.sections)

    def in_text(self, section: str) -> bool:
        """Return whether a program needs functions of TEXT."""
        return section in self.called

    def references_of(self, section: str, *, with_text: bool) -> tuple[Reference, ...]:
        """Return what a program refers to, and, if asked, what the functions of TEXT do."""
        code = (section, TEXT) if with_text else (section,)
        return tuple(r for r in self.references if r.section in code)


def read(path: Path) -> Description:
    """Return the content of an object. Raises UsageError if it is not a BPF object."""
    return parse(load(path), str(path))


def load(path: Path) -> bytes:
    """Return the bytes of an object. Raises UsageError if it cannot be one."""
    try:
        return bounded.read(path, LARGEST)
    except OSError as e:
        raise UsageError(f"respin could not read {path}: {e.strerror}") from e


def parse(data: bytes, where: str) -> Description:
    """Return the content of an object; ``where`` names it. Raises UsageError if it is not one."""
    elf = opened(data, where)
    try:
        return _describe(elf)
    except Broken as e:
        raise _not_elf(where, e) from e


def _not_elf(where: str, why: Broken) -> UsageError:
    return UsageError(
        f"{where} is not an ELF object, or it is damaged",
        details=str(why),
        hint="name an object that clang -target bpf has made",
    )


def opened(data: bytes, where: str) -> Elf:
    """Return an object as ELF. Raises UsageError if it is not a BPF object."""
    try:
        elf = Elf(data)
    except Broken as e:
        _refuse_uncompiled(data, where)
        raise _not_elf(where, e) from e
    if elf.machine != "EM_BPF":
        raise UsageError(
            f"{where} is not a BPF object; it is for {elf.architecture}",
            hint="compile it with clang -target bpf",
        )
    return elf


_BITCODE = (b"BC\xc0\xde", b"\xde\xc0\x17\x0b", b"; ModuleID", b"source_filename")
"""How LLVM's bitcode, its wrapper, and its text begin (llvm.org/docs/BitCodeFormat.html)."""


def _refuse_uncompiled(data: bytes, where: str) -> None:
    """Raise UsageError with the command that compiles it, if it is a source or LLVM's bitcode."""
    name, stem = shlex.quote(where), shlex.quote(where.rpartition(".")[0] or where)
    if data.startswith(_BITCODE):
        raise UsageError(
            f"{where} is LLVM bitcode (clang -emit-llvm), not an object",
            hint=f"compile it: llc -march=bpf -filetype=obj -o {stem}.o {name}",
        )
    if b"\0" not in data and (b"#include" in data or where.endswith(".c")):
        debug = " -g" if b".maps" in data else ""
        raise UsageError(
            f"{where} is C source, not an object",
            hint=f"compile it: clang -O2{debug} -target bpf -I/usr/include/$(gcc -print-multiarch) "
            f"-c {name} -o {stem}.o",
        )


def _describe(elf: Elf) -> Description:
    sections = elf.sections
    named = [(s, name) for s in elf.symbols if s.name and (name := _home(s, sections))]
    legacy = [s for s in sections if s.name == "maps"]
    globals_ = [
        s
        for s, name in named
        if name == "maps" and s["st_info"]["bind"] == _GLOBAL and not _is(s, "STT_SECTION")
    ]
    one = legacy[0]["sh_size"] // len(globals_) if len(legacy) == 1 and globals_ else None
    references = tuple(itertools.islice(_references(elf), REFERENCES_MAX + 1))
    code = {s.name: elf.content(s) for s in sections if _has_code(s)}
    linked = {(r.section, r.offset) for r in references}
    inside = frozenset(
        name
        for name, content in code.items()
        if any((name, at) not in linked for at in _calls(content, little=elf.little))
    )
    programs = tuple(s.name for s in sections if _is_program(s))
    functions = tuple(
        Function(name=s.name, section=name, offset=s["st_value"], local=_is_local(s))
        for s, name in named
        if _is(s, "STT_FUNC")
    )
    for what, number, most in (
        ("programs", len(programs), PROGRAMS_MAX),
        ("functions", len(functions), FUNCTIONS_MAX),
        ("relocations", len(references), REFERENCES_MAX),
    ):
        if number > most:
            raise Broken(f"it has more than {most} {what}")
    return Description(
        sections=tuple((s.name, s["sh_size"]) for s in sections if s.name and s["sh_size"]),
        programs=programs,
        maps=tuple(
            sorted(_maps(elf, named, one), key=lambda m: (m.section, m.offset)),
        ),
        symbols=tuple(
            (symbol.name, section, symbol["st_value"])
            for symbol, section in named
            if symbol["st_info"]["bind"] == _GLOBAL
        ),
        functions=functions,
        references=references,
        called=frozenset({r.section for r in references if r.target == TEXT} | inside & {TEXT}),
        called_inside=inside,
        packet_loads=frozenset(name for name, content in code.items() if _loads_packets(content)),
        formats=frozenset(name for s, name in named if "____fmt" in s.name),
        btf=next((s["sh_size"] for s in sections if s.name == ".BTF"), 0),
        struct=one,
        stripped=not elf.symbols,
        little=elf.little,
    )


def _home(symbol: Symbol, sections: Sequence[Section]) -> str:
    """Return the name of a symbol's section; empty if it has none."""
    at = symbol["st_shndx"]
    return str(sections[at].name) if isinstance(at, int) and at < len(sections) else ""


def _is(symbol: Symbol, kind: str) -> bool:
    return bool(symbol["st_info"]["type"] == kind)


def _is_local(symbol: Symbol) -> bool:
    return bool(symbol["st_info"]["bind"] == _LOCAL)


def _maps(elf: Elf, named: Sequence[tuple[Symbol, str]], one: int | None) -> Iterator[MapSymbol]:
    """Yield the maps; ``one`` is the size of a legacy definition, if it can be computed."""
    content = {i: elf.content(s) for i, s in enumerate(elf.sections) if s.name == "maps"}
    for symbol, section in named:
        if section not in ("maps", ".maps") or _is(symbol, "STT_SECTION"):
            continue
        size = one if section == "maps" and one else symbol["st_size"]
        values: tuple[int, ...] = ()
        if section == "maps":
            begin = symbol["st_value"]
            end = begin + min(size, 4 * len(FIELDS))
            definition = content[symbol["st_shndx"]][begin:end]
            words = len(definition) // 4
            order = "<" if elf.little else ">"
            values = struct.unpack(f"{order}{words}I", definition[: words * 4])
        yield MapSymbol(
            name=symbol.name,
            section=section,
            offset=symbol["st_value"],
            local=_is_local(symbol),
            typed=_is(symbol, "STT_OBJECT"),
            values=values,
        )


def _references(elf: Elf) -> Iterator[Reference]:
    """Yield what the code refers to, in the order of the relocation sections."""
    sections, symbols = elf.sections, elf.symbols
    for section in sections:
        at = section["sh_info"]
        if section["sh_type"] != "SHT_REL" or at >= len(sections) or not _has_code(sections[at]):
            continue
        for offset, number in elf.relocations(section):
            if number >= len(symbols):
                raise Broken("a relocation names a symbol that does not exist")
            symbol = symbols[number]
            yield Reference(
                section=sections[at].name,
                offset=offset,
                target=_home(symbol, sections),
                symbol=symbol.name,
            )


def _has_code(section: Section) -> bool:
    code = section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR and section["sh_size"]
    return bool(code and section["sh_type"] == "SHT_PROGBITS")


def _is_program(section: Section) -> bool:
    return _has_code(section) and not section.name.startswith(_NOT_A_PROGRAM)


def _calls(code: bytes, *, little: bool) -> Iterator[int]:
    """Yield the offset of each call of another function: BPF_CALL with BPF_PSEUDO_CALL."""
    # The source register is in the high nibble of little-endian objects, in the low one of others.
    shift = 4 if little else 0
    instructions = struct.iter_unpack("<BB6x", code[: len(code) // 8 * 8])
    for at, (opcode, registers) in enumerate(instructions):
        if opcode == _CALL and registers >> shift & 15 == _PSEUDO_CALL:
            yield at * 8


def _loads_packets(code: bytes) -> bool:
    return not _LOADS_OF_PACKETS.isdisjoint(code[::8])


def text(found: Description) -> str:
    """Return a description as lines for people."""
    lines = [f"programs: {', '.join(found.programs) or 'none'}"]
    lines += [
        f"map {m.name}: section {m.section}, offset {m.offset}"
        + (", local symbol" if m.local else "")
        + ("" if m.typed else ", symbol without a type")
        for m in found.maps
    ]
    lines += [f"symbol {name}: {section} + {offset}" for name, section, offset in found.symbols]
    lines.append("sections: " + ", ".join(f"{name} ({size})" for name, size in found.sections))
    return "\n".join(lines)
