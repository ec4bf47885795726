# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""ELF files that somebody else made, read within bounds.

pyelftools believes what a file says of itself: it allocates a section of 2^60 bytes, counts four
thousand million sections, and raises one of a dozen exceptions for a header that makes no sense.
Here it is held to numbers, bytes and seconds, and there is one exception.
"""

from __future__ import annotations

import functools
import io
import itertools
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from elftools.elf.constants import SH_FLAGS
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import Section, Symbol, SymbolTableSection

SECTIONS = 8192
SYMBOLS = 1 << 17
RELOCATIONS = 1 << 17
NAMES = 8 << 20
"""Bytes of all names."""
LIBRARIES, NAME = 256, 255
"""Libraries that a program may need, and bytes of the name of one (NAME_MAX)."""
SECONDS = 20.0
"""Seconds for all that is asked of one file; a kernel's largest module takes 0.1 s."""

P = ParamSpec("P")
T = TypeVar("T")


class Broken(ValueError):
    """It is not an ELF file, or it was made to cause endless trouble."""


def _broken(
    function: Callable[Concatenate[Any, P], T],
) -> Callable[Concatenate[Any, P], T]:
    """Make a method raise Broken for whatever a file that makes no sense causes."""

    @functools.wraps(function)
    def wrapped(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(self, *args, **kwargs)
        except Broken:
            raise
        except (Exception, MemoryError, RecursionError) as e:
            raise Broken(f"{type(e).__name__}: {e}"[:200]) from e

    return wrapped


@dataclass(frozen=True, kw_only=True)
class Relocation:
    """An entry of a relocation section."""

    offset: int
    """In the section that it is about."""
    symbol: int
    """Its number in the table."""
    kind: int
    """As the architecture's ABI numbers it."""
    addend: int
    """0 where the section itself holds it (SHT_REL)."""


class Elf:
    """An ELF file in memory. What is asked of it raises Broken if it makes no sense."""

    @_broken
    def __init__(self, data: bytes) -> None:
        """Read its header."""
        self._size = len(data)
        self._until = time.monotonic() + SECONDS
        self._elf = ELFFile(io.BytesIO(data))
        self.machine: str = str(self._elf["e_machine"])
        """``EM_BPF`` …"""
        self.little: bool = bool(self._elf.little_endian)
        """Whether its numbers are little-endian."""
        self.architecture: str = str(self._elf.get_machine_arch())
        """In words."""

    @functools.cached_property
    @_broken
    def sections(self) -> tuple[Section, ...]:
        """Its sections, in their order."""
        number = self._elf.num_sections()
        if number > SECTIONS:
            raise Broken(f"it has {number} sections")
        return tuple(self._bounded(map(self._elf.get_section, range(number))))

    @functools.cached_property
    @_broken
    def symbols(self) -> tuple[Symbol, ...]:
        """Its symbols, in their order; none if it has no table of them."""
        table = self.section(".symtab")
        if not isinstance(table, SymbolTableSection):
            return ()
        if table.num_symbols() > SYMBOLS:
            raise Broken(f"it has {table.num_symbols()} symbols")
        return tuple(self._bounded(table.iter_symbols()))

    @functools.cached_property
    @_broken
    def needed(self) -> tuple[str, ...]:
        """The names of the libraries that it is linked with; none if it is static."""
        table = self.section(".dynamic")
        if not isinstance(table, DynamicSection):
            return ()
        if table["sh_size"] > self._size:
            raise Broken("a section is larger than the file")
        found = []
        for tag in itertools.islice(table.iter_tags("DT_NEEDED"), LIBRARIES + 1):
            self.in_time()
            found.append(str(vars(tag)["needed"])[: NAME + 1])
        if len(found) > LIBRARIES or any(len(name) > NAME for name in found):
            raise Broken(f"it needs more than {LIBRARIES} libraries, or one with a longer name")
        return tuple(found)

    @functools.cached_property
    @_broken
    def interpreter(self) -> str:
        """The path of the loader that starts it; empty for a library or a static program."""
        section = self.section(".interp")
        return self.content(section).rstrip(b"\0").decode("ascii") if section else ""

    def section(self, name: str) -> Section | None:
        """Return the first section with a name, or None."""
        return next((s for s in self.sections if s.name == name), None)

    @_broken
    def content(self, section: Section) -> bytes:
        """Return the content of a section; it is empty if the section is not in the file."""
        if section["sh_type"] == "SHT_NOBITS":
            return b""
        if section["sh_size"] > self._size or section["sh_flags"] & SH_FLAGS.SHF_COMPRESSED:
            raise Broken("a section is larger than the file, or compressed")
        self.in_time()
        data: bytes = section.data()
        return data

    @_broken
    def relocations(self, section: Section) -> tuple[tuple[int, int], ...]:
        """Return offset and symbol of each entry of a relocation section (SHT_REL)."""
        content = self.content(section)
        number = len(content) // 16
        if number > RELOCATIONS:
            raise Broken(f"it has {number} relocations in one section")
        entries = struct.iter_unpack("<QQ" if self.little else ">QQ", content[: number * 16])
        return tuple((offset, info >> 32) for offset, info in entries)

    @functools.cached_property
    @_broken
    def relocations_by_section(self) -> dict[str, tuple[Relocation, ...]]:
        """The relocations of every section that is in memory at run time, by its name."""
        found: dict[str, tuple[Relocation, ...]] = {}
        for section in self.sections:
            if not isinstance(section, RelocationSection):
                continue
            about = self.sections[section["sh_info"]]
            if not about["sh_flags"] & SH_FLAGS.SHF_ALLOC:
                continue
            if section.num_relocations() > RELOCATIONS:
                raise Broken(f"it has {section.num_relocations()} relocations in one section")
            entries = []
            for each in section.iter_relocations():
                self.in_time()
                entries.append(
                    Relocation(
                        offset=each["r_offset"],
                        symbol=each["r_info_sym"],
                        kind=each["r_info_type"],
                        addend=each["r_addend"] if each.is_RELA() else 0,
                    )
                )
            found[about.name] = tuple(entries)
        return found

    def _bounded(self, items: Iterable[Any]) -> Iterator[Any]:
        left = NAMES
        for item in items:
            left -= len(item.name)
            if left < 0:
                raise Broken(f"its names have more than {NAMES} bytes")
            self.in_time()
            yield item

    def in_time(self) -> None:
        """Raise Broken if what is asked of the file has taken too long in all."""
        if time.monotonic() > self._until:
            raise Broken(f"it takes more than {SECONDS:.0f} s to read")
