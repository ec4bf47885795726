# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""How much a command behind a wall may use: the values, in one place.

Each is far above what a build of iproute2 takes (in brackets: of 6.1.0-3, with two jobs), and
far below what would make the machine unusable. docs/docker.md lists them for users.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

MIB, GIB = 1 << 20, 1 << 30


def _memory() -> int:
    """Return two GiB plus one for each processor, but at most three quarters of all memory."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min((2 + len(os.sched_getaffinity(0))) * GIB, total // 4 * 3)


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """What is allowed."""

    processes: int = 4096
    """Of all that a container runs at the same time, threads counted (about 30)."""
    memory: int = field(default_factory=_memory)
    """Bytes of all its processes together, and of what they keep in memory as files (300 MiB)."""
    disk: int = 16 * GIB
    """Bytes that it may add to the disk (70 MiB)."""
    files: int = 1_000_000
    """How many it may add (2,600)."""
    file: int = 4 * GIB
    """Bytes of any file (12 MiB)."""
    seconds: float = 900.0
    """For a command to which no other time is given (2 s)."""
    taken: int = 512 * MIB
    """Bytes of all that is taken out (4 MiB)."""
    taken_files: int = 500
    """How many files are taken out (5)."""

    @property
    def of_each(self) -> Mapping[str, int]:
        """The limits of the kernel for each process, as setrlimit(2) names them: the hard stop.

        The memory is twice what all together may have, so that the sum is seen first. CORE is 1:
        with 0, a program that takes core files (core(5)) would be started for it, out here.
        """
        return {"NPROC": self.processes, "AS": 2 * self.memory, "FSIZE": self.file, "CORE": 1}

    @property
    def shm(self) -> int:
        """Bytes of its /dev/shm."""
        return min(256 * MIB, self.memory // 4)


def words(number: int) -> str:
    """Return a number of bytes as it is read: ``4 GiB``."""
    for unit, size in (("GiB", GIB), ("MiB", MIB), ("KiB", 1024)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number} bytes"
