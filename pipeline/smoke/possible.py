# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether this machine's programs can do the smoke test: known before anything is downloaded."""

from __future__ import annotations

from pipeline.errors import SmokeImpossible
from pipeline.isolation import namespaces
from pipeline.smoke import compile as compiling
from pipeline.vm import guest_programs, qemu
from pipeline.vm.machine import machine_for


def check(architecture: str) -> None:
    """Raise SmokeImpossible if packages of an architecture cannot be tested in a guest here."""
    machine = machine_for(architecture)
    trouble = None if machine.native else namespaces.trouble()
    if trouble is not None:
        raise SmokeImpossible(
            f"the guest's root for {architecture} can be made only in a user namespace, and "
            f"{trouble.brief}",
            details=trouble.details,
            hint=trouble.hint,
        )
    qemu.check(machine)
    compiling.check(machine)
    guest_programs.check(machine)
