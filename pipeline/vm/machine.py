# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Architectures: what Debian, QEMU, the compilers and the kernel packages call each of them.

machines.toml has the data; docs/architectures.md says what was proven on each.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache as memoize
from types import MappingProxyType

from pipeline.archives import host_apt
from pipeline.errors import SmokeImpossible
from pipeline.host.resources import package_data


@dataclass(frozen=True, kw_only=True)
class Machine:
    """How to emulate one architecture, and how to compile for it."""

    architecture: str
    """dpkg's name for it."""
    kernel: str
    """Its name in the flavours of the kernel packages."""
    qemu: str
    """The name of QEMU's program."""
    package: str
    """The Debian package that has the program; of names with | between them, the first that a
    release has: Debian 13 divided qemu-system-misc."""
    type: str
    """QEMU's -machine."""
    cpu: str
    """QEMU's -cpu in emulation."""
    console: str
    bpf_target: str
    """clang's -target, for the byte order."""
    multiarch: str
    """The directory of the C library's headers under /usr/include, on such a machine."""
    triplet: str = ""
    """What the names of its cross compilers begin with, if not as ``multiarch`` says."""
    serial: str = "virtio-serial-pci"
    """QEMU's device that virtio ports are on."""
    modules: tuple[str, ...] = ("virtio_pci",)
    """The kernel modules that this device needs."""

    @property
    def title(self) -> str:
        """Return QEMU's program and its type of machine, for reports."""
        return f"{self.qemu} {self.type.partition(',')[0]}"

    @property
    def little(self) -> bool:
        """Whether its numbers are little-endian."""
        return self.bpf_target == "bpfel"

    @property
    def native(self) -> bool:
        """Whether this machine is one."""
        return self.architecture == host_apt.architecture()

    @property
    def compiler(self) -> str:
        """Return the C compiler for it."""
        return "gcc" if self.native else f"{self.triplet or self.multiarch}-gcc"

    @property
    def objdump(self) -> str:
        """Return the program that disassembles for it; it comes with the compiler."""
        return f"{self.compiler.removesuffix('gcc')}objdump"

    @property
    def headers(self) -> str:
        """Return the directory of its C library's and Linux's headers."""
        if self.native:
            return f"/usr/include/{self.multiarch}"
        return f"/usr/{self.triplet or self.multiarch}/include"

    @property
    def needs(self) -> Mapping[str, str]:
        """Return the Debian packages that the proof needs beside packages.txt.

        Each has the program or the file that shows that it is installed, as in packages.txt; a name
        with | means the first that a release has.
        """
        emulator = {self.package: self.qemu}
        if self.native:
            return MappingProxyType(emulator)
        compiler = f"gcc-{(self.triplet or self.multiarch).replace('_', '-')}"
        library = f"libc6-dev-{self.architecture}-cross"
        cross = {compiler: self.compiler, library: f"{self.headers}/stdlib.h"}
        return MappingProxyType({**emulator, **cross})


@memoize
def machines() -> Mapping[str, Machine]:
    """Return every machine by its architecture."""
    data = tomllib.loads(package_data(__package__, "machines.toml").read_text("utf-8"))
    found = {}
    for name, fields in data.items():
        fields["modules"] = tuple(fields.get("modules", Machine.modules))
        found[name] = Machine(architecture=name, **fields)
    return MappingProxyType(found)


def machine_for(architecture: str) -> Machine:
    """Return the machine of a Debian architecture. Raises SmokeImpossible if none is known."""
    found = machines().get(architecture)
    if found is None:
        raise SmokeImpossible(
            f"respin cannot emulate {architecture}",
            hint=f"the smoke test can emulate {', '.join(machines())}; test this package on a "
            "machine of its own architecture",
        )
    return found


def install(package: str) -> str:
    """Return the command that installs a package, which may have another name elsewhere."""
    first, _, other = package.partition("|")
    elsewhere = f" (where there is none: apt install {other})" if other else ""
    return f"apt install {first}{elsewhere}"
