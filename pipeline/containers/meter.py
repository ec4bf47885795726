# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Check every second what a container uses, and end it before it uses too much.

This needs no control group, which an ordinary user seldom has. For what it is too slow, the kernel
limits each process (Allowance.of_each), or the engine does (oci.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from pipeline.errors import BuildError
from pipeline.host import command
from pipeline.isolation import namespaces, processes
from pipeline.isolation.allowance import Allowance, words

COUNT_SECONDS = 60.0
"""Seconds for counting files on the disk; a million files take 10."""

Count = Callable[[], tuple[int, int]]
"""Returns bytes and files."""


class Disk:
    """What a container added to the disk; counted only after the disk's usage grew as much."""

    def __init__(self, directory: Path, allowed: Allowance, count: Count) -> None:
        """``directory`` is on the disk; ``count`` returns the container's part of the usage."""
        self._directory, self._allowed, self._count = directory, allowed, count
        self._at = _filled(directory)
        self._left = allowed.disk, allowed.files

    def too_much(self) -> str:
        """Return why it is too much; empty if it is not."""
        allowed = self._allowed
        try:
            now = _filled(self._directory)
            grown = now[0] - self._at[0], now[1] - self._at[1]
            if grown[0] <= self._left[0] and grown[1] <= self._left[1]:
                return ""
            size, files = self._count()
        except BuildError:
            return "it wrote more to the disk than can be counted"
        except (OSError, KeyboardInterrupt):  # the directory was removed, or respin is stopping
            return ""
        if size > allowed.disk:
            return f"it wrote more than {words(allowed.disk)} to the disk"
        if files > allowed.files:
            return f"it made more than {allowed.files:,} files"
        # Wait for a part at least, so that not every byte causes another count.
        self._at = now
        self._left = (
            max(allowed.disk - size, allowed.disk // 16),
            max(allowed.files - files, allowed.files // 16),
        )
        return ""


def _filled(directory: Path) -> tuple[int, int]:
    """Return the bytes and the files that are on a disk."""
    found = os.statvfs(directory)
    return (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree


def counted(directory: Path) -> tuple[int, int]:
    """Return the bytes and the files that a directory takes on the disk.

    Raises BuildError if there are too many files to count in time.
    """
    begin = namespaces.unshare() if os.geteuid() != 0 else []
    found = []
    for what in ("--block-size=1", "--inodes"):
        done = command.run(
            ["du", "--summarize", "--one-file-system", what, "--", directory],
            begin=begin,
            env=namespaces.ENVIRONMENT,
            timeout=COUNT_SECONDS,
            check=False,
            error=BuildError,
        )
        first = done.text.split("\t")[0]
        if not first.isdigit():
            raise BuildError(
                "respin could not count the files of the container in time",
                details=command.tail(done.end),
            )
        found.append(int(first))
    return found[0], found[1]


class Meter:
    """The check of a command: see ``command.run``."""

    def __init__(
        self,
        allowed: Allowance,
        disk: Disk | None,
        *,
        mine: Callable[[int], Iterable[int]] = processes.below,
    ) -> None:
        """``mine`` returns the processes that count, given that of the command line."""
        self._allowed, self._disk, self._mine = allowed, disk, mine
        self._shared = processes.shared()

    def __call__(self, number: int) -> str:
        """Return why a command must be ended; empty if it need not."""
        allowed = self._allowed
        use = processes.of(self._mine(number))
        if use.processes >= allowed.processes * 3 // 4:
            return f"it ran {use.processes:,} processes at once"
        memory = use.memory
        if processes.scarce():
            # Files in memory belong to no process, and others may have made some, too. They count
            # only if little memory is left.
            memory += max(0, processes.shared() - self._shared)
        if memory > allowed.memory:
            return f"it used more than {words(allowed.memory)} of memory"
        return self._disk.too_much() if self._disk else ""
