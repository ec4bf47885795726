# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Architectures: what Debian, QEMU, clang and the kernel packages call each of them."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import SmokeImpossible


@dataclass(frozen=True, kw_only=True)
class Machine:
    """How to emulate one architecture."""

    architecture: str
    """dpkg's name for it."""
    kernel: str
    """Its name in the flavours of the kernel packages."""
    qemu: str
    """The name of QEMU's program."""
    package: str
    """The Debian package that has the program."""
    type: str
    """QEMU's -machine."""
    cpu: str
    """QEMU's -cpu in emulation. With rdrand, the kernel can seed its random numbers at once;
    without it the first program that asks for some waits a second (measured)."""
    console: str
    bpf_target: str
    """clang's -target, for the byte order."""
    multiarch: str
    """The directory of the C library's headers under /usr/include."""


_MACHINES = (
    Machine(
        architecture="amd64",
        kernel="amd64",
        qemu="qemu-system-x86_64",
        package="qemu-system-x86",
        type="pc",
        cpu="qemu64,+rdrand",
        console="ttyS0",
        bpf_target="bpfel",
        multiarch="x86_64-linux-gnu",
    ),
    Machine(
        architecture="arm64",
        kernel="arm64",
        qemu="qemu-system-aarch64",
        package="qemu-system-arm",
        type="virt",
        cpu="cortex-a57",
        console="ttyAMA0",
        bpf_target="bpfel",
        multiarch="aarch64-linux-gnu",
    ),
)


def machine_for(architecture: str) -> Machine:
    """Return the machine of a Debian architecture. Raises SmokeImpossible if none is known."""
    for machine in _MACHINES:
        if machine.architecture == architecture:
            return machine
    known = ", ".join(m.architecture for m in _MACHINES)
    raise SmokeImpossible(
        f"respin cannot emulate {architecture}",
        hint=f"the smoke test can emulate {known}; test this package on a machine of its own "
        "architecture",
    )
