# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is in a BPF object: its sections, maps and symbols, and what no loader would take.

Read from the file alone, before anything is loaded. Pure but for reading the file.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.sections import Section

from pipeline.errors import UsageError
from pipeline.files import bounded
from pipeline.files.elf import Broken, Elf
from pipeline.smoke.cases import ways

LARGEST = 32 << 20
"""Bytes; the largest in use have 3 MB."""

MAPS_MAX = 64
"""ELF_MAX_MAPS of iproute2's loader (include/bpf_elf.h)."""

_SECTION = re.compile(r"[A-Za-z0-9_.?][A-Za-z0-9_.?/:@+,*=%^~-]{0,200}")
"""No option of tc's, and nothing to the lines of `tc -batch`, where a # begins a comment even in
quotes (lib/utils.c: getcmdline)."""

_NOT_A_WAY = (".text", ".fini", ".init")
_LOCAL, _CALL, _PSEUDO_CALL = "STB_LOCAL", 0x85, 1


@dataclass(frozen=True, kw_only=True)
class UserObject:
    """An object of the user's, to be tried like a case."""

    path: Path
    section: str | None = None
    """None: the first that holds a program."""
    way: str = "tc"


@dataclass(frozen=True, kw_only=True)
class MapSymbol:
    """A symbol in a section of maps."""

    name: str
    section: str
    """``maps`` (legacy) or ``.maps`` (BTF)."""
    offset: int
    local: bool
    typed: bool
    """STT_OBJECT; LLVM 7 and before made STT_NOTYPE."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """What is in an object."""

    sections: tuple[tuple[str, int], ...]
    """Name and bytes of each that holds something."""
    programs: tuple[str, ...]
    """The sections that hold programs, in their order."""
    maps: tuple[MapSymbol, ...]
    symbols: tuple[tuple[str, str, int], ...]
    """Name, section and offset of each global symbol."""
    data: tuple[str, ...]
    """The sections with constants and variables."""
    calls: bool
    """One function calls another."""
    btf: int
    """Bytes of BTF; 0 if there is none."""
    struct: int | None
    """Bytes of one legacy map definition, as the loader reckons it."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A limit of the loaders that an object runs into, and what its author can do."""

    what: str
    mend: str


def read(path: Path) -> Description:
    """Return what is in an object. Raises UsageError if it is no BPF object."""
    return parse(load(path), str(path))


def load(path: Path) -> bytes:
    """Return the bytes of an object. Raises UsageError if it cannot be one."""
    try:
        return bounded.read(path, LARGEST)
    except OSError as e:
        raise UsageError(f"{path} cannot be read: {e.strerror}") from e


def parse(data: bytes, where: str) -> Description:
    """Return what is in an object; ``where`` names it. Raises UsageError if it is none."""
    try:
        elf = Elf(data)
        if elf.machine == "EM_BPF":
            return _describe(elf)
    except Broken as e:
        raise UsageError(f"{where} is not an ELF object", details=str(e)) from e
    raise UsageError(
        f"{where} is not a BPF object but one for {elf.architecture}",
        hint="Compile it with clang -target bpf.",
    )


def _describe(elf: Elf) -> Description:
    sections = elf.sections
    named = []
    for symbol in elf.symbols:
        at = symbol["st_shndx"]
        if symbol.name and isinstance(at, int) and at < len(sections):
            named.append((symbol, sections[at].name))
    maps = tuple(
        MapSymbol(
            name=symbol.name,
            section=section,
            offset=symbol["st_value"],
            local=symbol["st_info"]["bind"] == _LOCAL,
            typed=symbol["st_info"]["type"] == "STT_OBJECT",
        )
        for symbol, section in named
        if section in ("maps", ".maps") and symbol["st_info"]["type"] != "STT_SECTION"
    )
    named_maps = [m for m in maps if m.section == "maps" and not m.local]
    legacy = next((s for s in sections if s.name == "maps"), None)
    return Description(
        sections=tuple((s.name, s["sh_size"]) for s in sections if s.name and s["sh_size"]),
        programs=tuple(s.name for s in sections if _is_program(s)),
        maps=tuple(sorted(maps, key=lambda m: (m.section, m.offset))),
        symbols=tuple(
            (symbol.name, section, symbol["st_value"])
            for symbol, section in named
            if symbol["st_info"]["bind"] == "STB_GLOBAL"
        ),
        data=tuple(s.name for s in sections if _is_data(s)),
        calls=any(_calls(elf.content(s)) for s in sections if _has_code(s)),
        btf=next((s["sh_size"] for s in sections if s.name == ".BTF"), 0),
        struct=legacy["sh_size"] // len(named_maps) if legacy and named_maps else None,
    )


def _has_code(section: Section) -> bool:
    code = section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR and section["sh_size"]
    return bool(code and section["sh_type"] == "SHT_PROGBITS")


def _is_program(section: Section) -> bool:
    return _has_code(section) and not section.name.startswith(_NOT_A_WAY)


def _is_data(section: Section) -> bool:
    names = (".rodata", ".data", ".bss")
    return bool(section["sh_size"]) and section.name.startswith(names)


def _calls(code: bytes) -> bool:
    """Whether an instruction calls another function: BPF_CALL with BPF_PSEUDO_CALL."""
    return any(
        opcode == _CALL and registers >> 4 == _PSEUDO_CALL
        for opcode, registers in struct.iter_unpack("<BB6x", code[: len(code) // 8 * 8])
    )


def limits(found: Description, *, size: int = 36) -> tuple[Limit, ...]:
    """Return the limits that an object runs into, with the loader that takes legacy maps.

    ``size`` is that of the iproute2's struct bpf_elf_map, in bytes.
    """
    legacy = [m for m in found.maps if m.section == "maps"]
    btf_maps = [m for m in found.maps if m.section == ".maps"]
    # A section of maps without a symbol is legacy, too.
    if not legacy and not any(name == "maps" for name, _ in found.sections):
        return ()
    checks: Sequence[tuple[object, str, str]] = (
        (
            btf_maps,
            "it has maps in both sections, maps and .maps: no loader knows both",
            "define all of its maps in one way; in .maps, libbpf loads it without the fix",
        ),
        (
            any(m.local for m in legacy) or not legacy,
            "the symbol of a legacy map is local: "
            + (", ".join(m.name for m in legacy if m.local) or "there is none at all"),
            "leave out `static` before the map's definition",
        ),
        (
            found.data,
            f"it has constants or variables of its own ({', '.join(found.data)}) beside legacy "
            "maps, and iproute2's own loader makes no maps of them",
            "keep such values in a map, or on the stack; or define its maps in .maps",
        ),
        (
            found.calls,
            "one function calls another, and iproute2's own loader does not link them",
            "declare the function called `static __always_inline`; or define maps in .maps",
        ),
        (
            len(legacy) > MAPS_MAX,
            f"it has {len(legacy)} legacy maps, and iproute2's own loader has room for {MAPS_MAX}",
            "use fewer maps, or define them in .maps",
        ),
        (
            found.struct is not None and not 16 <= found.struct <= size,
            f"a map definition has {found.struct} bytes; this iproute2 takes 16 to {size}",
            "use the struct bpf_elf_map of iproute2's include/bpf_elf.h, and name each map",
        ),
        (
            found.btf,
            "it has BTF (clang -g), which iproute2's own loader may not digest: noise from "
            "v5.14 on, before that it may be fatal",
            "compile it without -g, or run llvm-strip -g on it",
        ),
    )
    return tuple(Limit(what=what, mend=mend) for applies, what, mend in checks if applies)


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


def user_section(item: UserObject) -> str:
    """Return the section of a user's object to load: the given one, or the first program.

    Raises UsageError if the file is no BPF object, or has no such section.
    """
    if item.way not in ways():
        raise UsageError(
            f"{item.way} is no way to load an object", hint="There are: " + ", ".join(ways())
        )
    programs = read(item.path).programs
    wanted = item.section or next(iter(programs), None)
    if wanted in programs and not _SECTION.fullmatch(wanted):
        raise UsageError(
            f"{item.path} has a program in a section {wanted!r}, which tc cannot be told of",
            hint="name the section with letters, digits and _.?/:@+,*=%^~-",
        )
    if wanted is None or wanted not in programs:
        raise UsageError(
            f"{item.path} has no program in a section {wanted or 'of its own'}",
            hint="It has: " + (", ".join(programs) or "none"),
        )
    return wanted
