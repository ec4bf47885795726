# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Broken objects, made at random from valid ones; the same seed gives the same objects.

No file that tc reads may crash it. These objects are truncated anywhere, changed where bytes matter
most (ELF header, section headers, symbols, relocations, map definitions), or are no BPF objects at
all.
"""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Iterator, Sequence

from elftools.elf.elffile import ELFFile

FORMAT = "1"
"""Increase it when the same seed gives other objects."""

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Values to write over numbers, at which arithmetic overflows or wraps."""

_TABLES = (".symtab", ".strtab", "maps", ".relclassifier", ".shstrtab", ".BTF", ".BTF.ext")


def broken(sound: Sequence[bytes], count: int, *, seed: str) -> Iterator[bytes]:
    """Yield ``count`` broken objects, made from ``sound`` ones."""
    chance = random.Random(seed)
    foreign = list(_foreign(sound[0]))[:count]
    yield from foreign
    for i in range(count - len(foreign)):
        data = chance.choice(sound)
        yield (_cut, _change, _change, _numbers, _numbers)[i % 5](data, chance)


def _foreign(data: bytes) -> Iterator[bytes]:
    """Yield files that are not BPF objects, or no objects at all."""
    yield b""
    yield b"\x7fELF"
    yield b"int main(void) { return 0; }\n"
    yield b"!<arch>\n"
    yield data[:64]
    yield bytes(len(data))
    yield data[:4] + b"\x01" + data[5:]  # 32-bit
    yield data[:5] + bytes([3 - data[5]]) + data[6:]  # the other byte order
    for machine in (0, 3, 62, 183, 0xFFFF):  # i386, x86-64, arm64, none
        yield data[:18] + struct.pack(f"{_order(data)}H", machine) + data[20:]
    for kind in (0, 2, 3, 4, 0xFFFF):  # a program, a library, a core
        yield data[:16] + struct.pack(f"{_order(data)}H", kind) + data[18:]
    yield data + bytes(4096)
    yield data + data


def _order(data: bytes) -> str:
    """Return the byte order of an object (EI_DATA of elf(5)), as struct writes it."""
    return ">" if data[5] == 2 else "<"


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def _places(data: bytes) -> list[range]:
    """Return where bytes matter most: the header, the section headers, the tables."""
    elf = ELFFile(io.BytesIO(data))
    places = [range(64), range(elf["e_shoff"], elf["e_shoff"] + elf["e_shnum"] * 64)]
    for section in elf.iter_sections():
        if section.name in _TABLES and section["sh_size"]:
            places.append(range(section["sh_offset"], section["sh_offset"] + section["sh_size"]))
    return [place for place in places if place]


def _change(data: bytes, chance: random.Random) -> bytes:
    """Change one to four bytes."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.choice(chance.choice(_places(data)))
        changed[at] = chance.randrange(256)
    return bytes(changed)


def _numbers(data: bytes, chance: random.Random) -> bytes:
    """Overwrite one or two aligned numbers."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 2)):
        at = chance.choice(chance.choice(_places(data))) & ~3
        changed[at : at + 4] = struct.pack(f"{_order(data)}I", chance.choice(_NUMBERS))
    return bytes(changed)
