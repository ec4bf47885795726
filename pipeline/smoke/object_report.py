# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``respin object`` says of an object: programs, maps, sections, and the limits by loader.

pipeline/smoke/object.schema.json defines the JSON. No package and no kernel is asked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.errors import UsageError
from pipeline.files.elf import Broken
from pipeline.smoke import btf, limits
from pipeline.smoke.bpf_object import Description, MapSymbol, load, opened, parse
from pipeline.smoke.cases import loaders
from pipeline.smoke.loader_limit import EARLIER_FIX, LoaderLimit, Target
from pipeline.smoke.map_types import pinning_name, type_name
from pipeline.smoke.user_object import kind_of

SCHEMA = 1

_VERSION = {"own-notype": "4.15.0"}
"""A version with each loader, where it is not a recent one."""
_RECENT = "6.1.0"

_PIN_BY_NAME = 1  # LIBBPF_PIN_BY_NAME


def examine(path: Path) -> dict[str, Any]:
    """Return the report on an object as JSON values. Raises UsageError if it is not one."""
    data = load(path)
    found = parse(data, str(path))
    return {
        "schema": SCHEMA,
        "tool": "iproute2-respin",
        "tool_version": __version__,
        "file": str(path),
        "byte_order": "little" if found.little else "big",
        "btf": found.btf,
        "programs": [_program(found, section) for section in found.programs],
        "maps": list(_maps(found, _btf_maps(data, str(path), found))),
        "sections": [{"name": name, "size": size} for name, size in found.sections],
        "limits": _limits(found),
    }


def titles() -> dict[str, str]:
    """Return every loader with its title."""
    found = {loader.name: loader.title for loader in loaders()}
    found[EARLIER_FIX] = "the fix until November 2026: iproute2's own loader for legacy maps"
    return found


def _program(found: Description, section: str) -> dict[str, Any]:
    functions = [f for f in found.functions if f.section == section]
    return {
        "section": section,
        "functions": [f.name for f in functions],
        "static": any(f.local for f in functions),
        "kind": {None: "any", "": "other"}.get(kind := kind_of(section), kind),
        "maps": sorted(
            {r.symbol for r in found.references_of(section, with_text=found.in_text(section))}
            & {m.name for m in found.maps}
        ),
    }


def _btf_maps(data: bytes, where: str, found: Description) -> Mapping[str, Mapping[str, int]]:
    if not found.btf or not found.has(".maps"):
        return {}
    try:
        elf = opened(data, where)
        section = elf.section(".BTF")
        return btf.maps(elf.content(section), little=elf.little) if section else {}
    except Broken as e:
        raise UsageError(
            f"the BTF of {where} makes no sense", details=str(e), hint="compile it again with -g"
        ) from e


def _maps(found: Description, defined: Mapping[str, Mapping[str, int]]) -> Iterator[dict[str, Any]]:
    for each in found.maps:
        yield _legacy(each) if each.section == "maps" else _defined(each, defined.get(each.name))


def _legacy(each: MapSymbol) -> dict[str, Any]:
    return _map(
        each,
        type=each.value("type"),
        key_size=each.value("size_key"),
        value_size=each.value("size_value"),
        max_entries=each.value("max_elem"),
        flags=each.value("flags"),
        id=each.value("id"),
        pinning=pinning_name(each.value("pinning")),
        inner_id=each.value("inner_id"),
        inner_idx=each.value("inner_idx"),
    )


def _defined(each: MapSymbol, fields: Mapping[str, int] | None) -> dict[str, Any]:
    """Return a map of .maps; what no BTF says is null."""
    if fields is None:
        return _map(each)
    return _map(
        each,
        type=fields.get("type", 0),
        key_size=fields.get("key_size", 0),
        value_size=fields.get("value_size", 0),
        max_entries=fields.get("max_entries", 0),
        flags=fields.get("map_flags", 0),
        pinning="name" if fields.get("pinning") == _PIN_BY_NAME else "none",
    )


_FIELDS = (
    *("type", "key_size", "value_size", "max_entries", "flags", "id", "pinning"),
    *("inner_id", "inner_idx"),
)


def _map(each: MapSymbol, **fields: Any) -> dict[str, Any]:
    kind = fields.get("type")
    return {
        "name": each.name,
        "section": each.section,
        "type_name": None if kind is None else type_name(kind),
        **{name: fields.get(name) for name in _FIELDS},
        "static": each.local,
        "symbol_type": "object" if each.typed else "none",
    }


def _limits(found: Description) -> list[dict[str, Any]]:
    """Return each limit once, with the loaders and the programs that it concerns."""
    merged: dict[LoaderLimit, tuple[list[str], list[str]]] = {}
    for loader in titles():
        for section in found.programs:
            to = Target(
                loader=loader,
                version=_VERSION.get(loader, _RECENT),
                section=section,
                kind=kind_of(section) or "tc",
                little=sys.byteorder == "little",
            )
            for limit in limits.limits(found, to):
                by, programs = merged.setdefault(limit, ([], []))
                by.extend([loader] if loader not in by else [])
                programs.extend([section] if section not in programs else [])
    return [
        {
            "what": limit.what,
            "remedy": limit.remedy,
            "certain": limit.certain,
            "loaders": by,
            "programs": programs,
        }
        for limit, (by, programs) in merged.items()
    ]
