# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a BPF object contains: sections, maps and symbols, and what no loader would accept.

Everything comes from the file itself, before anything is loaded.
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
from pipeline.smoke.cases import attach_types

LARGEST = 32 << 20
"""Bytes; the largest in use have 3 MB."""

MAPS_MAX = 64
"""ELF_MAX_MAPS of iproute2's loader (include/bpf_elf.h)."""

_SECTION = re.compile(r"[A-Za-z0-9_.?][A-Za-z0-9_.?/:@+,*=%^~-]{0,200}")
"""Names that cannot be an option of tc, and are safe in a line of `tc -batch`, in which # begins a
comment even inside quotes (lib/utils.c: getcmdline)."""

_NOT_A_WAY = (".text", ".fini", ".init")
_LOCAL, _CALL, _PSEUDO_CALL = "STB_LOCAL", 0x85, 1


@dataclass(frozen=True, kw_only=True)
class UserObject:
    """An object of the user's, which is tested like a case."""

    path: Path
    section: str | None = None
    """None: the first section with a program."""
    way: str = "tc"


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
    data: tuple[str, ...]
    """The sections with constants and variables."""
    calls: bool
    """Whether one function calls another."""
    btf: int
    """Bytes of BTF; 0 if there is none."""
    struct: int | None
    """Bytes of one legacy map definition, as the loader computes it."""


@dataclass(frozen=True, kw_only=True)
class LoaderLimit:
    """A limit of the loaders that an object exceeds, and what its author can do."""

    what: str
    remedy: str


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
    try:
        elf = Elf(data)
        if elf.machine == "EM_BPF":
            return _describe(elf)
    except Broken as e:
        raise UsageError(f"{where} is not an ELF object", details=str(e)) from e
    raise UsageError(
        f"{where} is not a BPF object; it is for {elf.architecture}",
        hint="compile it with clang -target bpf",
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
    """Return whether an instruction calls another function: BPF_CALL with BPF_PSEUDO_CALL."""
    return any(
        opcode == _CALL and registers >> 4 == _PSEUDO_CALL
        for opcode, registers in struct.iter_unpack("<BB6x", code[: len(code) // 8 * 8])
    )


def limits(found: Description, *, size: int = 36) -> tuple[LoaderLimit, ...]:
    """Return the limits that an object exceeds in the loader for legacy maps.

    ``size`` is that of iproute2's struct bpf_elf_map, in bytes.
    """
    legacy = [m for m in found.maps if m.section == "maps"]
    btf_maps = [m for m in found.maps if m.section == ".maps"]
    # A section of maps without a symbol counts as legacy, too.
    if not legacy and not any(name == "maps" for name, _ in found.sections):
        return ()
    checks: Sequence[tuple[object, str, str]] = (
        (
            btf_maps,
            "it has maps in both sections, maps and .maps, and no loader supports both",
            "define all maps in the same section; from .maps, libbpf loads them without the fix",
        ),
        (
            any(m.local for m in legacy) or not legacy,
            "the symbol of a legacy map is local: "
            + (", ".join(m.name for m in legacy if m.local) or "there is no symbol at all"),
            "remove `static` from the map's definition",
        ),
        (
            found.data,
            f"it has global constants or variables ({', '.join(found.data)}) beside legacy maps, "
            "and iproute2's own loader does not support them",
            "keep such values in a map or on the stack, or define the maps in .maps",
        ),
        (
            found.calls,
            "one function calls another, and iproute2's own loader does not link them",
            "declare the called function `static __always_inline`, or define the maps in .maps",
        ),
        (
            len(legacy) > MAPS_MAX,
            f"it has {len(legacy)} legacy maps, and iproute2's own loader supports at most "
            f"{MAPS_MAX}",
            "use fewer maps, or define them in .maps",
        ),
        (
            found.struct is not None and not 16 <= found.struct <= size,
            f"a map definition has {found.struct} bytes, and this iproute2 accepts 16 to {size}",
            "use struct bpf_elf_map from iproute2's include/bpf_elf.h, and name each map",
        ),
        (
            found.btf,
            "it has BTF (clang -g), which iproute2's own loader may not understand: from v5.14 on "
            "it prints messages, and before that it may fail",
            "compile the object without -g, or run llvm-strip -g on it",
        ),
    )
    return tuple(
        LoaderLimit(what=what, remedy=remedy) for applies, what, remedy in checks if applies
    )


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
    """Return the section of a user's object to load: the given one, or the first with a program.

    Raises UsageError if the file is not a BPF object, or has no such section.
    """
    if item.way not in attach_types():
        raise UsageError(
            f"{item.way} is not an attach type",
            hint="the attach types are: " + ", ".join(attach_types()),
        )
    programs = read(item.path).programs
    wanted = item.section or next(iter(programs), None)
    if wanted in programs and not _SECTION.fullmatch(wanted):
        raise UsageError(
            f"{item.path} has a program in section {wanted!r}, which tc's command line cannot name",
            hint="use only letters, digits and _.?/:@+,*=%^~- in the name of the section",
        )
    if wanted is None or wanted not in programs:
        raise UsageError(
            f"{item.path} has no program in section {wanted or 'of its own'}",
            hint="the sections with programs are: " + (", ".join(programs) or "none"),
        )
    return wanted
