# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the processes behind a wall use together, as the kernel tells everybody (proc(5))."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

_MEMORY = ("RssAnon", "RssShmem", "VmSwap")
"""Fields of status: a process's own memory. Memory that it has shared with its parent since a
fork, and not changed, counts for both."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """What some processes use."""

    processes: int
    """Threads counted, as RLIMIT_NPROC does."""
    memory: int
    """Bytes."""


def of(found: Iterable[int], proc: Path = PROC) -> Use:
    """Return what these processes use; those that have ended meanwhile use nothing."""
    processes = memory = 0
    for number in found:
        fields = _status(proc / str(number))
        processes += int(fields.get("Threads", "0"))
        memory += sum(int(fields[name].split()[0]) << 10 for name in _MEMORY if name in fields)
    return Use(processes=processes, memory=memory)


def below(parent: int, proc: Path = PROC) -> list[int]:
    """Return the descendants of a process."""
    children: dict[int, list[int]] = {}
    for number, its in _parents(proc):
        children.setdefault(its, []).append(number)
    found, left = [], [parent]
    while left:
        mine = children.pop(left.pop(), [])
        found += mine
        left += mine
    return found


def of_user(uid: int, proc: Path = PROC) -> list[int]:
    """Return the processes of a user."""
    found = []
    for number in _numbers(proc):
        with contextlib.suppress(OSError):
            if (proc / str(number)).stat().st_uid == uid:
                found.append(number)
    return found


def shared(proc: Path = PROC) -> int:
    """Return the bytes of this machine's memory that are files or shared, by any process."""
    return _meminfo("Shmem", proc)


def scarce(proc: Path = PROC) -> bool:
    """Whether less than a tenth of this machine's memory is left."""
    return _meminfo("MemAvailable", proc) < _meminfo("MemTotal", proc) // 10


def _meminfo(name: str, proc: Path) -> int:
    for line in (proc / "meminfo").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    return 0


def _numbers(proc: Path) -> Iterator[int]:
    with os.scandir(proc) as entries:
        yield from (int(entry.name) for entry in entries if entry.name.isdigit())


def _parents(proc: Path) -> Iterator[tuple[int, int]]:
    for number in _numbers(proc):
        with contextlib.suppress(OSError):
            # The name of a program, in brackets, may have anything in it.
            rest = (proc / str(number) / "stat").read_bytes().rpartition(b")")[2].split()
            yield number, int(rest[1])


def _status(directory: Path) -> dict[str, str]:
    try:
        text = (directory / "status").read_text(errors="replace")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in lines}
