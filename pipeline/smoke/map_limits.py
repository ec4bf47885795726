# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What iproute2 refuses in a section of legacy maps, whatever the loader behind it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from debian.debian_support import Version

from pipeline.smoke.bpf_object import Description
from pipeline.smoke.cases import map_struct_size
from pipeline.smoke.loader_limit import AS_BTF, LoaderLimit, Target

MAPS_MAX = 64
"""ELF_MAX_MAPS of iproute2's loader (include/bpf_elf.h)."""

_ARRAY_OF_MAPS, _HASH_OF_MAPS = 12, 13  # enum bpf_map_type of linux/bpf.h
_PIN_OBJECT = 1


def of_section(found: Description, to: Target) -> Iterator[LoaderLimit]:
    """Yield what is wrong with the section, its symbols and its definitions."""
    number = found.has("maps")
    if not number:
        return
    if number > 1:
        yield LoaderLimit(
            what=f"it has {number} sections named maps, and tc reads one; some versions of clang "
            "write one for const maps and one for the others, or one for each with -fdata-sections",
            remedy="define all maps alike (all const or none), compile without -fdata-sections, "
            f"or {AS_BTF}",
            # The fix makes libbpf skip one of them, so libbpf speaks of another.
            says=r"non-\{map,call\}|map section|struct bpf_elf_map|multiple of struct"
            + ("" if to.loader == "libbpf-1" else "|legacy map definitions"),
        )
        return
    yield from _symbols(found, to)
    yield from _definitions(found)


def _symbols(found: Description, to: Target) -> Iterator[LoaderLimit]:
    legacy, size = found.legacy, map_struct_size(to.version)
    least = 16 if to.upstream >= Version("4.10~") else size
    if static := [m.name for m in legacy if m.local]:
        yield LoaderLimit(
            what=f"the legacy map {', '.join(static)} is static, and tc finds maps by their "
            "global symbols",
            remedy="remove `static` from the map's definition",
            says="maps not supported in current|struct bpf_elf_map|multiple of struct",
        )
    elif not legacy:
        yield LoaderLimit(
            what="no symbol names a map in its section maps",
            remedy="do not remove symbols from the object (llvm-strip -g keeps them)",
            says="maps not supported in current",
        )
    elif len(legacy) > MAPS_MAX:
        yield LoaderLimit(
            what=f"it has {len(legacy)} legacy maps, and tc supports at most {MAPS_MAX}",
            remedy=f"use fewer maps, or {AS_BTF}",
            says="Too many BPF maps|maps not supported in current",
        )
    elif found.struct is not None and not least <= found.struct <= size:
        yield LoaderLimit(
            what=f"a map definition has {found.struct} bytes, and this iproute2 accepts "
            + (f"{least} to {size}" if least < size else f"{size}"),
            remedy="use struct bpf_elf_map from iproute2's include/bpf_elf.h, and name each map",
            says="struct bpf_elf_map|multiple of struct|Too many BPF maps",
        )
    elif found.struct and not _each_named(found):
        yield LoaderLimit(
            what="a map in its section maps has no symbol, or the definitions differ in size",
            remedy="give each map a name and the same struct bpf_elf_map, without arrays of maps",
            says="Different struct bpf_elf_map|multiple of struct",
        )


def _each_named(found: Description) -> bool:
    total = next(size for name, size in found.sections if name == "maps")
    one = found.struct or 1
    return {m.offset for m in found.legacy} >= set(range(0, total, one)) and total % one == 0


def _definitions(found: Description) -> Iterator[LoaderLimit]:
    ids = {m.value("id") for m in found.legacy}
    for each in found.legacy:
        inner = each.value("inner_id")
        outer = each.value("type") in (_ARRAY_OF_MAPS, _HASH_OF_MAPS)
        if outer and (not inner or inner not in ids):
            yield LoaderLimit(
                what=f"the map of maps {each.name} has "
                + (f"inner_id {inner}, which is the id of no map" if inner else "no inner_id"),
                remedy="give a map of the inner kind an id, and name it in inner_id",
                says="no inner map ID|Inner map with ID",
            )
    if any(m.value("pinning") == _PIN_OBJECT for m in found.legacy):
        yield LoaderLimit(
            what="a map is pinned in the object's namespace (PIN_OBJECT_NS), for which iproute2 "
            "before v7.0 needs AF_ALG in the kernel",
            remedy="use a kernel with CONFIG_CRYPTO_USER_API_HASH, an iproute2 that a newer "
            "respin has fixed, or PIN_GLOBAL_NS",
            says="AF_ALG",
            certain=False,
        )


def of_pins(found: Description) -> Iterator[LoaderLimit]:
    """Yield the pins that an earlier object may have made otherwise."""
    pinned = [m.name for m in found.maps if m.section == ".maps" or m.value("pinning")]
    if pinned:
        yield LoaderLimit(
            what=f"a map of these is pinned already, and differs from the object's: "
            f"{', '.join(pinned)}",
            remedy="define it alike in all objects that share it, name it otherwise, or remove the "
            "pin",
            says="self-check failed|differs from pinned|parameter mismatch",
            certain=False,
        )
