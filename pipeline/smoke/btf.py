# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The definitions of maps in .maps, from an object's BTF (kernel: Documentation/bpf/btf.rst).

A map is a variable in the data section .maps; the members of its type are the fields: a number N is
the type ``int (*)[N]``, a type is a pointer to it (bpf_helpers.h: __uint, __type, __array).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.files.elf import Broken

TYPES_MAX = 1 << 18
"""A kernel has 150,000; an object of tc some hundreds."""
MAPS_MAX, FIELDS_MAX = 4096, 64
_DEPTH = 32

_MAGIC = 0xEB9F
_INT, _PTR, _ARRAY, _STRUCT, _UNION, _ENUM, _TYPEDEF = 1, 2, 3, 4, 5, 6, 8
_VOLATILE, _CONST, _RESTRICT, _PROTO, _VAR, _DATASEC, _FLOAT = 9, 10, 11, 13, 14, 15, 16
_DECL_TAG, _TYPE_TAG, _ENUM64 = 17, 18, 19
_LAST = 19
_FIXED = {_INT: 4, _ARRAY: 12, _VAR: 4, _DECL_TAG: 4}
"""Bytes after the three numbers that each type has."""
_EACH = {_STRUCT: 12, _UNION: 12, _ENUM: 8, _PROTO: 8, _DATASEC: 12, _ENUM64: 12}
"""Bytes of each of its members."""
_SAME = (_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _TYPE_TAG)


@dataclass(frozen=True)
class _Type:
    name: int
    kind: int
    members: int
    size: int
    """Or the number of another type."""
    data: bytes


class _Btf:
    def __init__(self, data: bytes, *, little: bool) -> None:
        self._order = "<" if little else ">"
        magic, _, _, length, types, type_size, strings, string_size = self._unpack(
            "HBBIIIII", data, 0
        )
        if magic != _MAGIC:
            raise Broken("its BTF does not begin as BTF does")
        if length + max(types + type_size, strings + string_size) > len(data):
            raise Broken("its BTF is cut off")
        self._strings = data[length + strings : length + strings + string_size]
        self.types = self._read(data[length + types : length + types + type_size])

    def _unpack(self, form: str, data: bytes, at: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from(self._order + form, data, at)
        except struct.error as e:
            raise Broken("its BTF is cut off") from e

    def _read(self, data: bytes) -> list[_Type]:
        found, at = [_Type(0, 0, 0, 0, b"")], 0
        while at < len(data):
            name, info, size = self._unpack("III", data, at)
            kind, members = info >> 24 & 31, info & 0xFFFF
            if kind > _LAST or not kind or len(found) > TYPES_MAX:
                raise Broken("its BTF has types that respin does not know, or too many")
            more = _FIXED.get(kind, 0) + members * _EACH.get(kind, 0)
            at += 12
            found.append(_Type(name, kind, members, size, data[at : at + more]))
            at += more
        return found

    def type(self, number: int) -> _Type:
        if number >= len(self.types):
            raise Broken("its BTF names a type that does not exist")
        return self.types[number]

    def real(self, number: int) -> _Type:
        """Return what a type is without typedefs and qualifiers."""
        for _ in range(_DEPTH):
            found = self.type(number)
            if found.kind not in _SAME:
                return found
            number = found.size
        raise Broken("a type of its BTF is named too often")

    def name(self, offset: int) -> str:
        end = self._strings.find(b"\0", offset)
        return self._strings[offset : max(end, 0)][:200].decode("utf-8", "replace")

    def members(self, found: _Type) -> list[tuple[str, int]]:
        """Return name and type of each member of a struct."""
        each = [self._unpack("III", found.data, 12 * n) for n in range(found.members)]
        return [(self.name(name), number) for name, number, _ in each]

    def variables(self, section: str) -> list[_Type]:
        """Return the variables in a data section."""
        found = []
        for each in self.types:
            if each.kind == _DATASEC and self.name(each.name) == section:
                for n in range(each.members):
                    found.append(self.type(self._unpack("III", each.data, 12 * n)[0]))
        return [variable for variable in found if variable.kind == _VAR]

    def pointed(self, number: int) -> int | None:
        """Return the type that a pointer points to; None if it is none."""
        found = self.real(number)
        return found.size if found.kind == _PTR else None

    def array(self, number: int) -> tuple[int, int] | None:
        """Return the type of an array's elements, and their number; None if it is none."""
        found = self.real(number)
        if found.kind != _ARRAY:
            return None
        element, _, length = self._unpack("III", found.data, 0)
        return element, length

    def size(self, number: int) -> int:
        """Return the size of a value in bytes."""
        times = 1
        for _ in range(_DEPTH):
            found = self.real(number)
            if found.kind == _ARRAY:
                number, length = self.array(number) or (0, 0)
                times *= length
            elif found.kind == _PTR:
                return times * 8
            elif found.kind in (_INT, _STRUCT, _UNION, _ENUM, _ENUM64, _FLOAT):
                return times * found.size
            else:
                return 0
        raise Broken("a type of its BTF is nested too deep")


def maps(data: bytes, *, little: bool) -> Mapping[str, Mapping[str, int]]:
    """Return the fields of each map in .maps, by its name, from the content of .BTF.

    ``key`` and ``value`` become ``key_size`` and ``value_size``, in bytes; ``values`` is 1 if the
    map has values of its own: maps or programs. Raises Broken for BTF that makes no sense.
    """
    btf = _Btf(data, little=little)
    found = {}
    variables = btf.variables(".maps")
    if len(variables) > MAPS_MAX:
        raise Broken(f"its BTF describes {len(variables)} maps")
    for variable in variables:
        definition = btf.real(variable.size)
        if definition.members > FIELDS_MAX:
            raise Broken(f"a map in its BTF has {definition.members} fields")
        if definition.kind == _STRUCT:
            found[btf.name(variable.name)] = _fields(btf, definition)
    return found


def _fields(btf: _Btf, definition: _Type) -> dict[str, int]:
    fields = {}
    for name, number in btf.members(definition):
        target = btf.pointed(number)
        if name == "values":
            fields["values"] = 1
        elif target is not None and name in ("key", "value"):
            fields[f"{name}_size"] = btf.size(target)
        elif target is not None and (array := btf.array(target)):
            fields[name] = array[1]
    return fields
