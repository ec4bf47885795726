# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a loader and the kernel refuse in a program and in what it refers to. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from debian.debian_support import Version

from pipeline.smoke.bpf_object import TEXT, Description, Function
from pipeline.smoke.loader_limit import AS_BTF, LoaderLimit, Target
from pipeline.smoke.user_object import kind_of

_KIND = {"tc": "tc's classifiers and actions", "xdp": "XDP", "lwt": "routes (lightweight tunnels)"}
_SOLE = r"\A\s*Error fetching program/map!"
"""All that tc's own loader says when it takes a missing relocation section for an error."""


def of_own_loader(found: Description, to: Target) -> Iterator[LoaderLimit]:
    """Yield what iproute2's own loader cannot do."""
    old = to.upstream < Version("4.19~")
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
            remedy=f"declare the called function `static __always_inline`, or {AS_BTF}",
            says=r"relo data|Error fetching program",
        )
    text = found.has(TEXT) and to.section != TEXT and not old
    if text and not any(r.section == TEXT for r in found.references):
        yield LoaderLimit(
            what="it has functions in .text that use no map; tc's own loader takes the missing "
            "relocations of .text for an error, and does not say so",
            remedy="declare these functions `static __always_inline`, and remove those that "
            f"nobody calls, or {AS_BTF}",
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
            remedy=f"keep such values in a map or on the stack{flag}, or {AS_BTF}",
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


def of_libbpf(found: Description, to: Target) -> Iterator[LoaderLimit]:
    """Yield what libbpf does not take; in the last case, with legacy maps linked beforehand."""
    if to.loader == "libbpf-1" and found.has("maps"):
        yield LoaderLimit(
            what="it has legacy maps (section maps), which libbpf 1.0 and later refuses",
            remedy=f"use an iproute2 that respin run has fixed, or {AS_BTF}",
            says="legacy map definitions",
        )
    if static := _static(found, to.loader):
        yield LoaderLimit(
            what=f"its program {static.name} is static, and libbpf 1.0 and later refuses that",
            remedy="remove `static` from the program's definition",
            says="is static and not supported",
        )
    if to.section in found.called_inside:
        yield LoaderLimit(
            what="it calls a function in its own section, and libbpf looks for functions in .text "
            "only",
            remedy="leave out SEC() of the function that is called, or use an iproute2 that respin "
            "run has fixed",
            says=r"no \.text section found",
        )
    if found.has(".maps") and not found.btf:
        yield LoaderLimit(
            what="it has maps in .maps, but no BTF to describe them",
            remedy="compile it with -g, and do not strip it",
            says="BTF is required",
        )
    yield from _elsewhere(found, to)


def _static(found: Description, loader: str) -> Function | None:
    """Return a static program that libbpf refuses, which the fix makes global in its copy."""
    if loader in ("libbpf-0", "libbpf-1-fixed"):
        return None
    return next((f for f in found.functions if f.section in found.programs and f.local), None)


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


def of_kernel(found: Description, to: Target) -> Iterator[LoaderLimit]:
    """Yield what the kernel refuses."""
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
