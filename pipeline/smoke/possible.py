# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether this machine's programs can do the smoke test: known before anything is downloaded."""

from __future__ import annotations

from pipeline.smoke import compile as compiling
from pipeline.vm import guest_programs, qemu
from pipeline.vm.machine import machine_for


def check(architecture: str) -> None:
    """Raise SmokeImpossible if packages of an architecture cannot be tested in a guest here."""
    machine = machine_for(architecture)
    qemu.check(machine)
    compiling.check(machine)
    guest_programs.check(machine)
