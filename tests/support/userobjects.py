# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Small objects in the shape of users' reports, compiled from tests/support/objects/."""

from __future__ import annotations

import io
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from elftools.elf.elffile import ELFFile

from pipeline.vm.machine import machine_for

SOURCES = Path(__file__).with_name("objects")

VARIANTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "plain": ("plain.c",),
        "function-with-map": ("function-with-map.c",),
        "global-function-with-map": ("function-with-map.c", "-DSCOPE="),
        "function-without-map": ("function-without-map.c",),
        "function-uncalled": ("function-without-map.c", "-DUNCALLED"),
        "printk": ("printk.c",),
        "printk-without-data": ("printk.c", "-DBPF_NO_GLOBAL_DATA"),
        "static-program": ("static-program.c",),
        "static-map": ("plain.c", "-DLINKAGE=static"),
        "near-miss": ("plain.c", '-DMAPS=".map"'),
        "object-pin": ("plain.c", "-DPINNING=1"),
        "wide-key": ("plain.c", "-DKEY=8"),
        "big-endian": ("plain.c", "-target", "bpfeb"),
        "outer": ("outer.c",),
        "btf-map": ("btf-map.c", "-g"),
        "large-btf-map": ("btf-map.c", "-g", "-DENTRIES=65536"),
        "btf-map-without-btf": ("btf-map.c",),
        "packet-load": ("packet-load.c",),
        "two-programs": ("two-programs.c",),
        "stripped": ("plain.c",),
        "value-unchecked": ("plain.c", "-DUNCHECKED"),
        "value-unchecked-object-pin": ("plain.c", "-DUNCHECKED", "-DPINNING=1"),
        "value-unchecked-global-pin": ("plain.c", "-DUNCHECKED", "-DPINNING=2"),
        "global-pin": ("plain.c", "-DPINNING=2"),
        "no-pin": ("plain.c", "-DPINNING=0"),
        "several-sections": ("several-sections.c",),
    }
)


def make(name: str, directory: Path) -> Path:
    """Compile an object into a directory."""
    source, *options = VARIANTS[name]
    path = directory / f"{name}.o"
    clang = ("clang", "-target", "bpf", "-Wall", "-Werror")
    argv = [*clang, "-O2", *options, "-Wno-unused-function", "-I", f"/usr/include/{_multiarch()}"]
    if name == "several-sections":
        assembly = subprocess.run(
            [*argv, "-S", "-o", "-", SOURCES / source], check=True, capture_output=True, text=True
        ).stdout
        # clang 19 refuses what it does not use: for assembly, an option of the optimizer.
        to_object = (*clang, "-x", "assembler", "-c", "-o", path, "-")
        subprocess.run(to_object, input=_apart(assembly), text=True, check=True)
        return path
    subprocess.run([*argv, "-c", "-o", path, SOURCES / source], check=True)
    if name == "stripped":
        path.write_bytes(_stripped(path.read_bytes()))
    return path


def _multiarch() -> str:
    argv = ["dpkg", "--print-architecture"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return machine_for(done.stdout.strip()).multiarch


def _stripped(data: bytes) -> bytes:
    """Turn the sections of symbols and relocations off, which strip removes."""
    elf, changed = ELFFile(io.BytesIO(data)), bytearray(data)
    for n, section in enumerate(elf.iter_sections()):
        if section["sh_type"] in ("SHT_SYMTAB", "SHT_REL"):
            at = elf["e_shoff"] + n * elf["e_shentsize"] + 4
            changed[at : at + 4] = bytes(4)
    return bytes(changed)


def _apart(assembly: str) -> str:
    """Put each map into a section of its own, as some versions of clang do."""
    numbers = iter(range(1, 9))
    without = re.sub(r"(?m)^\s*\.section\s+maps,.*\n", "", assembly)
    return re.sub(
        r"(?m)^(first|second|third):",
        lambda m: f'\t.section maps,"aw",@progbits,unique,{next(numbers)}\n{m[0]}',
        without,
    )
