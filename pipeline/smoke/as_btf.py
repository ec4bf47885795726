# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The legacy maps of an object as definitions in .maps, in C: the way off legacy maps.

libbpf's forms (bpf_helpers.h): a map of maps has a definition of its inner maps and points to those
that it holds; a program array points to its programs. tc loads only the program that it attaches,
so it cannot fill such an array (iproute2 v6.1, lib/bpf_libbpf.c: load_bpf_object); `tc exec bpf
graft` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pipeline.errors import UsageError
from pipeline.smoke.bpf_object import Description, MapSymbol
from pipeline.smoke.map_types import (
    OF_MAPS,
    PIN_GLOBAL,
    PIN_NONE,
    PROG_ARRAY,
    pinning_name,
    type_constant,
)
from pipeline.smoke.user_object import kind_of

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_HOP = re.compile(r"(\d{1,9})/(\d{1,9})")
_NOT_HELD = 0xFFFFFFFF
"""inner_idx -1: the map of maps does not hold this one."""


_XDP = """\
/* Put no program that calls these into the section xdp, but for example into xdp_main: libbpf
 * expects an attach type of the section xdp that no hop has, and the kernel then takes no hop. */
"""


def _for_xdp(found: Description) -> bool:
    kinds = {kind_of(section) for section in found.programs}
    return "xdp" in kinds and "tc" not in kinds


def source(found: Description, name: str) -> str:
    """Return C source that defines the maps; ``name`` is that of the object's file.

    Raises UsageError if the object has no legacy map, or one whose name is no name in C.
    """
    if not found.legacy:
        raise UsageError(
            f"{name} has no legacy map",
            hint='only maps in the section maps (SEC("maps")) are printed as .maps',
        )
    for each in found.legacy:
        _check(each.name, "map")
    hops = _hops(found)
    parts = [
        f"/* The legacy maps of {_comment(name)}, defined by BTF. Compile with clang -g. */\n"
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
    ]
    if hops:
        context = "xdp_md" if _for_xdp(found) else "__sk_buff"
        if _for_xdp(found):
            parts.append(_XDP)
        parts.append("".join(f"int {f}(struct {context} *);\n" for _, _, f in hops))
    # What a map points to is defined before it.
    ordered = sorted(found.legacy, key=lambda m: m.value("type") in OF_MAPS)
    parts += ["".join(f"{line}\n" for line in _map(each, found, hops)) for each in ordered]
    return "\n".join(parts)


def _comment(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_. +-]", "_", text)[:200]


def _check(name: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(f"the {what} {name[:200]!r} has a name that C does not know")


def _hops(found: Description) -> list[tuple[int, int, str]]:
    """Return the programs of tail calls: the map's id, the key, and the function."""
    hops = []
    for function in found.functions:
        if section := _HOP.fullmatch(function.section):
            _check(function.name, "program")
            hops.append((int(section[1]), int(section[2]), function.name))
    return hops


def _map(
    each: MapSymbol, found: Description, hops: Sequence[tuple[int, int, str]]
) -> Iterator[str]:
    kind, number = each.value("type"), each.value("id")
    values = ""
    yield "struct {"
    yield from _sizes(each)
    yield from _pinning(each)
    if kind in OF_MAPS:
        inner = [m for m in found.legacy if m.value("id") == each.value("inner_id")]
        if not inner or not each.value("inner_id"):
            raise UsageError(
                f"the map of maps {each.name} names no inner map, so its definition is not whole",
                hint="give a map of the inner kind an id, and name it in inner_id",
            )
        yield "\t__array(values, struct {"
        yield from (f"\t{line}" for line in _sizes(inner[0]))
        yield "\t});"
        held = [m for m in inner if m.value("inner_idx") != _NOT_HELD]
        values = ", ".join(f"[{m.value('inner_idx')}] = (void *)&{m.name}" for m in held)
    mine = [(key, function) for id_, key, function in hops if kind == PROG_ARRAY and id_ == number]
    if mine:
        yield "#ifdef LOADS_ALL_PROGRAMS /* bpftool prog loadall does; tc does not */"
        yield "\t__array(values, void (void));"
        yield "#endif"
    end = f'}} {each.name} SEC(".maps")'
    yield f"{end} = {{ .values = {{ {values} }} }};" if values else end + (";" if not mine else "")
    if mine:
        yield "#ifdef LOADS_ALL_PROGRAMS"
        slots = ", ".join(f"[{key}] = (void *)&{function}" for key, function in mine)
        yield f"\t= {{ .values = {{ {slots} }} }}"
        yield "#endif"
        yield ";"
        given = "type xdp " if _for_xdp(found) else ""
        for key, _ in mine:
            yield (
                f"/* tc exec bpf graft m:globals/{each.name} key {key} object-file FILE {given}"
                f"section {number}/{key} */"
            )


def _sizes(each: MapSymbol) -> Iterator[str]:
    yield f"\t__uint(type, {type_constant(each.value('type'))});"
    yield f"\t__uint(key_size, {each.value('size_key')});"
    yield f"\t__uint(value_size, {each.value('size_value')});"
    yield f"\t__uint(max_entries, {each.value('max_elem')});"
    if flags := each.value("flags"):
        yield f"\t__uint(map_flags, {flags:#x});"


def _pinning(each: MapSymbol) -> Iterator[str]:
    pinning = each.value("pinning")
    if pinning == PIN_NONE:
        return
    if pinning != PIN_GLOBAL:
        yield f"\t/* was pinned otherwise ({pinning_name(pinning)}); libbpf pins by name only */"
    yield "\t__uint(pinning, LIBBPF_PIN_BY_NAME);"
