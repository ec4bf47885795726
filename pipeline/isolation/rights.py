# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a command may do: its ids, its capabilities, its limits and its system calls.

``enter.py`` imports it, and runs without site-packages.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal

from pipeline.isolation import calls
from pipeline.isolation.calls import call, prctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    Ranges = Mapping[str, Sequence[Sequence[int]]]

SECCOMP_MODE_FILTER = 2


class _Filter(ctypes.Structure):
    """``struct sock_fprog``.

    It is defined here since Python 3.14 imports a module for that, and nothing can be imported any
    more when it is used.
    """

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def enter_user_namespace(ids: Ranges, flags: int = 0) -> None:
    """Enter a user namespace, and others as ``flags`` say; its ids are written from outside.

    Root writes them itself; for an ordinary user, the programs that enforce /etc/subuid do.
    Raises OSError.
    """
    # The maps of this very process, whichever process namespace /proc belongs to.
    mine = os.open("/proc/self", os.O_RDONLY | os.O_DIRECTORY | calls.CLOEXEC)
    number, direct = os.getpid(), os.geteuid() == 0
    begin, ready = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.close(ready)
        os.read(begin, 1)
        os._exit(0 if _write_ids(ids, mine, number, direct=direct) else 1)
    os.close(begin)
    call("unshare", flags | calls.NEWUSER)
    os.close(ready)
    if os.waitpid(helper, 0)[1] != 0:
        raise OSError(0, "the ids of the user namespace could not be set")
    os.close(mine)


def same(ids: Ranges) -> Ranges:
    """Return the ids for a namespace that has those of the one around it."""
    return {kind: [[first, first, count] for first, _, count in ids[kind]] for kind in ids}


def _write_ids(ids: Ranges, directory: int, number: int, *, direct: bool) -> bool:
    for kind in ("gid", "uid"):
        ranges = [[str(n) for n in each] for each in ids[kind]]
        if direct:
            file = os.open(f"{kind}_map", os.O_WRONLY, dir_fd=directory)
            os.write(file, "\n".join(" ".join(each) for each in ranges).encode())
        else:
            words = [f"new{kind}map", str(number), *(n for each in ranges for n in each)]
            if os.spawnvp(os.P_WAIT, words[0], words) != 0:
                return False
    return True


def become(number: int, *, keep_groups: bool = False) -> None:
    """Become the user of that number, in the group of the same number and in no other."""
    if not keep_groups:
        os.setgroups([])
    os.setresgid(number, number, number)
    os.setresuid(number, number, number)


def end_with(parent: int | None = None) -> None:
    """Let the kernel end this process with its parent, which must still be ``parent``.

    Call it after each change of the ids, which cancels it (prctl(2)).
    """
    prctl(calls.PDEATHSIG, int(signal.SIGKILL))
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def drop_capabilities(kept: Collection[int]) -> None:
    """Give up all capabilities but these, also for any program that is executed."""
    with open("/proc/sys/kernel/cap_last_cap") as f:
        last = int(f.read())
    for number in range(last + 1):
        if number not in kept:
            prctl(calls.CAPBSET_DROP, number)


def refuse_calls(program: bytes) -> None:
    """Let the kernel refuse system calls by a filter, here and in all children, for good."""
    prctl(calls.NO_NEW_PRIVS, 1)
    found = _Filter(len(program) // 8, program)  # struct sock_filter has eight bytes
    prctl(calls.SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(found))


def limit(values: Mapping[str, int]) -> None:
    """Lower limits of setrlimit(2): ``{"NPROC": 4096}``. None is raised."""
    for name, value in values.items():
        which = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(which)[1]
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (lowest, lowest))
