# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects with very many sections and symbols, for the time that a loader takes.

They are made without a compiler, for little-endian machines: sections with a program of two
instructions each, whose symbols stand in a table with many more.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

_PROGBITS, _SYMTAB, _STRTAB = 1, 2, 3
_EXEC = 0x6  # SHF_ALLOC | SHF_EXECINSTR
_GLOBAL_FUNC, _LOCAL_NOTYPE, _GLOBAL_OBJECT = 0x12, 0x00, 0x11
_EXIT = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)
_PROG_ARRAY = struct.pack("<9I", 3, 4, 4, 1 << 16, 0, 1, 0, 0, 0)  # struct bpf_elf_map


def make(*, sections: int, symbols: int, maps: bool = False, hops: bool = False) -> bytes:
    """Return an object with ``sections`` programs, and ``symbols`` symbols that nothing needs.

    The first program is in the section ``classifier``. With ``maps``, there is a legacy map, whose
    symbol is the last; with ``hops``, all other programs go into it.
    """
    names = _Names()
    table = [_symbol(0, 0, 0, 0, 0)]
    found: list[tuple[int, int, int, bytes, int, int]] = []
    for n in range(sections):
        name = "classifier" if n == 0 else f"1/{n}" if hops else f"s{n}"
        found.append((names.add(name), _PROGBITS, _EXEC, _EXIT, 0, 0))
        table.append(_symbol(names.add(f"f{n}"), _GLOBAL_FUNC, n + 1, 0, len(_EXIT)))
    table += [_symbol(0, _LOCAL_NOTYPE, 1, 8, 0)] * symbols
    if maps:
        found.append((names.add("maps"), _PROGBITS, 3, _PROG_ARRAY, 0, 0))
        table.append(_symbol(names.add("hops"), _GLOBAL_OBJECT, len(found), 0, len(_PROG_ARRAY)))
    found.append((names.add("license"), _PROGBITS, 3, b"GPL\0", 0, 0))
    strings = len(found) + 2
    found.append((names.add(".symtab"), _SYMTAB, 0, b"".join(table), strings, 24))
    found.append((names.add(".strtab"), _STRTAB, 0, names.data(), 0, 0))
    return _file(found)


class _Names:
    """A string table."""

    def __init__(self) -> None:
        self._parts = [b"\0"]
        self._size = 1

    def add(self, name: str) -> int:
        at = self._size
        self._parts.append(name.encode() + b"\0")
        self._size += len(name) + 1
        return at

    def data(self) -> bytes:
        return b"".join(self._parts)


def _symbol(name: int, info: int, section: int, value: int, size: int) -> bytes:
    return struct.pack("<IBBHQQ", name, info, 0, section, value, size)


def _file(sections: Sequence[tuple[int, int, int, bytes, int, int]]) -> bytes:
    """Return the file: header, contents, section headers; the last section has all names."""
    at, contents, headers = 64, [], [bytes(64)]
    for name, kind, flags, data, link, entry in sections:
        headers.append(
            struct.pack("<IIQQQQIIQQ", name, kind, flags, 0, at, len(data), link, 0, 8, entry)
        )
        contents.append(data + bytes(-len(data) % 8))
        at += len(contents[-1])
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack(
        "<HHIQQQIHHHHHH", 1, 247, 1, 0, 0, at, 0, 64, 0, 0, 64, len(headers), len(headers) - 1
    )
    return ident + header + b"".join([*contents, *headers])
