# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls that Python has no function for.

``enter.py`` imports it, and runs without site-packages: only the standard library is used.
"""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)

# sys/mount.h and sched.h.
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 0x1, 0x2, 0x4, 0x8, 0x20
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 0x1000, 0x2000, 0x4000, 0x40000
MNT_DETACH = 2
NEWNS, NEWUTS, NEWIPC, NEWUSER = 0x20000, 0x4000000, 0x8000000, 0x10000000
NEWPID, NEWNET = 0x20000000, 0x40000000

# sys/prctl.h.
PDEATHSIG, DUMPABLE, SECCOMP, CAPBSET_DROP, NO_NEW_PRIVS = 1, 4, 22, 24, 38

# linux/mount.h. These calls have the same numbers on every architecture that Debian has; a libc
# may be older than its kernel and lack functions for them.
OPEN_TREE, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT = 428, 429, 430, 431, 432
OPEN_TREE_CLONE, AT_RECURSIVE, AT_FDCWD = 1, 0x8000, -100
FROM_DESCRIPTOR, CREATE = 4, 6
CLOEXEC = os.O_CLOEXEC


def call(name: str, *args: Any) -> int:
    """Call a function of the C library that returns -1 if it fails. Raises OSError."""
    return _done(getattr(LIBC, name)(*args), name, args)


def prctl(option: int, *args: int | object) -> None:
    """prctl(2). Raises OSError."""
    wide = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in args]
    call("prctl", option, *wide, *[ctypes.c_ulong(0)] * (4 - len(wide)))


def syscall(number: int, *args: Any) -> int:
    """Make a system call by its number. Raises OSError."""
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    return _done(LIBC.syscall(ctypes.c_long(number), *wide), f"system call {number}", args)


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """mount(2). Raises OSError."""
    names = [os.fsencode(n) if n is not None else None for n in (source, target, kind)]
    call("mount", *names, ctypes.c_ulong(flags), os.fsencode(options) or None)


def _done(result: int, name: str, args: Sequence[Any]) -> int:
    if result == -1:
        number = ctypes.get_errno()
        said = " ".join([name, *(os.fsdecode(a) for a in args if isinstance(a, bytes) and a)])
        raise OSError(number, f"{said}: {os.strerror(number)}")
    return result
