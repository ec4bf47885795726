# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Why a loader refuses an object: the limits that it exceeds, and what its author can do.

What counts is what the loaded section refers to, not which sections exist. The limits are those of
iproute2's lib/bpf_legacy.c and of libbpf (docs/facts.md); each has what tc says of it, so that of
several limits the one that tc ran into is named. Pure.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

from debian.debian_support import Version

from pipeline.smoke.bpf_object import TEXT, Description, Function
from pipeline.smoke.cases import map_struct_size
from pipeline.smoke.user_object import kind_of

MAPS_MAX = 64
"""ELF_MAX_MAPS of iproute2's loader (include/bpf_elf.h)."""

EARLIER_FIX = "libbpf-1-own"
"""The fix until November 2026: it handed objects with legacy maps to iproute2's own loader."""

_ARRAY_OF_MAPS, _HASH_OF_MAPS = 12, 13  # enum bpf_map_type of linux/bpf.h
_PIN_OBJECT = 1
_OWN = ("own-notype", "own")
_KIND = {"tc": "tc's classifiers and actions", "xdp": "XDP", "lwt": "routes (lightweight tunnels)"}
_AS_BTF = "define the maps in .maps (respin object --as-btf prints them so)"
_SOLE = r"\A\s*Error fetching program/map!"
"""All that tc's own loader says when it takes a missing relocation section for an error."""


@dataclass(frozen=True, kw_only=True)
class LoaderLimit:
    """A limit of a loader that an object exceeds, and what its author can do."""

    what: str
    remedy: str
    says: str
    """A pattern of what tc says of it."""
    certain: bool = True
    """Whether every such object is refused; if not, only what tc says shows it."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What an object is loaded by, and as what."""

    loader: str
    """One of pipeline/smoke/cases.toml, or EARLIER_FIX."""
    version: str
    """Of the iproute2 package."""
    section: str
    kind: str
    """``tc``, ``xdp`` or ``lwt``: what the attach type gives to the program."""


def limits(found: Description, to: Target) -> tuple[LoaderLimit, ...]:
    """Return the limits that an object exceeds."""
    if found.stripped:
        return (_STRIPPED,)
    own = to.loader in _OWN or (to.loader == EARLIER_FIX and found.has("maps") > 0)
    checks = [_file(found), _map_section(found, to)]
    checks += [_own(found, to)] if own else [_libbpf(found, to)]
    return tuple(limit for check in (*checks, _program(found, to)) for limit in check)


def causes(found: Description, to: Target, output: str) -> tuple[LoaderLimit, ...]:
    """Return why a loader refused an object, of which tc said ``output``.

    These are the limits that tc names; if it names none, all that the object certainly exceeds.
    """
    loaders = [to.loader]
    if to.loader == "libbpf-1-fixed":
        loaders.append(EARLIER_FIX)
    certain: tuple[LoaderLimit, ...] = ()
    for loader in loaders:
        exceeded = (*limits(found, replace(to, loader=loader)), *_pins(found))
        named = tuple(limit for limit in exceeded if re.search(limit.says, output))
        if named:
            return named if loader == to.loader else tuple(map(_of_earlier_fix, named))
        certain = certain or tuple(limit for limit in exceeded if limit.certain)
    return certain


_STRIPPED = LoaderLimit(
    what="its symbol table was stripped, so no map and no program has a name",
    remedy="do not run strip on it; llvm-strip -g removes only debug information",
    says="",
)


def _of_earlier_fix(limit: LoaderLimit) -> LoaderLimit:
    remedy = "build the package with a newer respin, whose fix does not have this limit; or "
    return replace(limit, remedy=remedy + limit.remedy)


def _file(found: Description) -> Iterator[LoaderLimit]:
    if found.little != (sys.byteorder == "little"):
        order = "little" if found.little else "big"
        yield LoaderLimit(
            what=f"it is for {order}-endian machines",
            remedy="compile it with clang -target bpf on such a machine, or with -target bpfel "
            "(little) or bpfeb (big)",
            says="(?i)endian",
            certain=False,
        )


# -- the section with legacy maps, which iproute2 reads whatever the loader ----------------------


def _map_section(found: Description, to: Target) -> Iterator[LoaderLimit]:
    number = found.has("maps")
    if not number:
        return
    if number > 1:
        yield LoaderLimit(
            what=f"it has {number} sections named maps, and tc reads one; some versions of clang "
            "write one for const maps and one for the others, or one for each with -fdata-sections",
            remedy="define all maps alike (all const or none), compile without -fdata-sections, "
            f"or {_AS_BTF}",
            # The fix makes libbpf skip one of them, so libbpf speaks of another.
            says=r"non-\{map,call\}|map section|struct bpf_elf_map|multiple of struct"
            + ("" if to.loader == "libbpf-1" else "|legacy map definitions"),
        )
        return
    yield from _symbols(found, to)
    yield from _definitions(found)


def _symbols(found: Description, to: Target) -> Iterator[LoaderLimit]:
    legacy, size = found.legacy, map_struct_size(to.version)
    least = 16 if _upstream(to) >= Version("4.10~") else size
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
            remedy=f"use fewer maps, or {_AS_BTF}",
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


def _upstream(to: Target) -> Version:
    return Version(Version(to.version).upstream_version)


def _pins(found: Description) -> Iterator[LoaderLimit]:
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


# -- the loaders --------------------------------------------------------------------------------


def _own(found: Description, to: Target) -> Iterator[LoaderLimit]:
    """Yield what iproute2's own loader cannot do."""
    old = _upstream(to) < Version("4.19~")
    if to.loader == "own-notype" and any(m.typed for m in found.legacy):
        yield LoaderLimit(
            what="its map symbols have the type STT_OBJECT, as LLVM 8 and later make them, and "
            "this iproute2 skips such symbols",
            remedy="use an iproute2 that respin run has fixed",
            says="maps not supported in current|Error loading maps",
        )
    if old and found.in_text(to.section):
        yield LoaderLimit(
            what="one function calls another, and iproute2 before v4.19 does not link them",
            remedy=f"declare the called function `static __always_inline`, or {_AS_BTF}",
            says=r"relo data|Error fetching program",
        )
    text = found.has(TEXT) and to.section != TEXT and not old
    if text and not any(r.section == TEXT for r in found.references):
        yield LoaderLimit(
            what="it has functions in .text that use no map; tc's own loader takes the missing "
            "relocations of .text for an error, and does not say so",
            remedy="declare these functions `static __always_inline`, and remove those that "
            f"nobody calls, or {_AS_BTF}",
            says=_SOLE,
        )
    yield from _own_references(found, to, with_text=bool(text))
    if found.btf:
        yield LoaderLimit(
            what="it has BTF (clang -g), which iproute2's own loader may not understand: from "
            "v5.14 on it prints messages, and before that it may fail",
            remedy="compile the object without -g, or run llvm-strip -g on it",
            says="BTF",
            certain=False,
        )


def _own_references(found: Description, to: Target, *, with_text: bool) -> Iterator[LoaderLimit]:
    references = found.references_of(to.section, with_text=with_text)
    data = [r for r in references if r.target.startswith((".rodata", ".data", ".bss"))]
    if data:
        printk = any(r.target in found.formats for r in data)
        flag = " (bpf_printk of libbpf: compile with -DBPF_NO_GLOBAL_DATA)" if printk else ""
        names = ", ".join(dict.fromkeys(r.target for r in data))
        yield LoaderLimit(
            what=f"the program uses constants or variables in {names}, and iproute2's own loader "
            "does not support them",
            remedy=f"keep such values in a map or on the stack{flag}, or {_AS_BTF}",
            says=r"non-\{map,call\}|non ld64|rejected",
        )
    if any(r.target == ".maps" for r in references):
        yield LoaderLimit(
            what="it has maps in .maps, which only libbpf loads",
            remedy="use an iproute2 that is built with libbpf, or define the maps as "
            "struct bpf_elf_map in the section maps",
            says=r"non-\{map,call\}|non ld64|rejected|relo data",
        )
    yield from _elsewhere(found, to)


def _libbpf(found: Description, to: Target) -> Iterator[LoaderLimit]:
    """Yield what libbpf does not take; in the last case, with legacy maps linked beforehand."""
    if to.loader == "libbpf-1" and found.has("maps"):
        yield LoaderLimit(
            what="it has legacy maps (section maps), which libbpf 1.0 and later refuses",
            remedy=f"use an iproute2 that respin run has fixed, or {_AS_BTF}",
            says="legacy map definitions",
        )
    if static := _static(found, to.loader):
        yield LoaderLimit(
            what=f"its program {static.name} is static, and libbpf 1.0 and later refuses that",
            remedy="remove `static` from the program's definition",
            says="is static and not supported",
        )
    if found.has(".maps") and not found.btf:
        yield LoaderLimit(
            what="it has maps in .maps, but no BTF to describe them",
            remedy="compile it with -g, and do not strip it",
            says="BTF is required",
        )
    yield from _elsewhere(found, to)


def _static(found: Description, loader: str) -> Function | None:
    """Return a static program that libbpf refuses.

    The fix makes one global in its copy, but only if it is the section's only function: of several,
    the wrong one would be attached.
    """
    if loader == "libbpf-0":
        return None
    programs = [f for f in found.functions if f.section in found.programs]
    number = {s: sum(f.section == s for f in programs) for s in found.programs}
    alone = loader == "libbpf-1-fixed"
    return next((f for f in programs if f.local and not (alone and number[f.section] == 1)), None)


def _elsewhere(found: Description, to: Target) -> Iterator[LoaderLimit]:
    """Yield the sections that the program takes for sections of maps, and no loader does."""
    known = (TEXT, "", "maps", ".maps", to.section)
    with_text = found.in_text(to.section)
    for section in dict.fromkeys(
        r.target for r in found.references_of(to.section, with_text=with_text)
    ):
        if section in known or section.startswith((".rodata", ".data", ".bss")):
            continue
        near = "map" in section.lower()
        yield LoaderLimit(
            what=f"the program refers to the section {section}"
            + (", which no loader takes for one with maps" if near else ", which no loader knows"),
            remedy='name the section maps (SEC("maps")), or .maps for maps defined by BTF',
            says=r"bad map relo|non-\{map,call\}|unrecognized|rejected|invalid",
        )


# -- the program --------------------------------------------------------------------------------


def _program(found: Description, to: Target) -> Iterator[LoaderLimit]:
    if not found.btf and found.in_text(to.section) and TEXT in found.packet_loads:
        yield LoaderLimit(
            what="a function that it calls reads the packet with LD_ABS or LD_IND (load_byte, "
            "load_half, load_word), which the kernel allows in subprograms with BTF only",
            remedy="compile it with -g, declare the function `static __always_inline`, or use "
            "bpf_skb_load_bytes",
            says=r"LD_\[?ABS|LD_ABS|Verifier analysis|rejected|BPF program load failed",
        )
    kind = kind_of(to.section)
    if kind is not None and kind != to.kind:
        belongs = f"for {_KIND[kind]}" if kind else "for neither tc nor ip"
        yield LoaderLimit(
            what=f"its section {to.section} says that the program is {belongs}, and the attach "
            f"type loads it for {_KIND[to.kind]}",
            remedy="choose the attach type with --way, or the section with FILE:SECTION",
            says=r"rejected|invalid|load failed|Verifier analysis|expected_attach_type",
        )
