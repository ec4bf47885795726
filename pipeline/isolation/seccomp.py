# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The system calls that a command behind a wall may make: a filter for seccomp(2).

pipeline/isolation/calls.toml says what is refused, and why. Everything else that libseccomp knows
is allowed; a call that it does not know, such as one of a later kernel, fails with ENOSYS.

libseccomp is called through ctypes: apt itself depends on it, so it is wherever respin can be.
Its Python binding is a package in Debian but in no Python index; what an index has in its place
is a module such as this one, unmaintained.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import tomllib
from pathlib import Path
from typing import Any

from pipeline.errors import BuildError
from pipeline.host.resources import package_data

# seccomp.h
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_ACT_BADARCH, _CTL_OPTIMIZE = 2, 8
_MASKED_EQ = 7
_BINARY_TREE = 2
_DEFAULT = _ERRNO | errno.ENOSYS
_LAST = 1024
"""Above the highest number of a system call on any architecture."""

_OTHERS = {"x86_64": ("x86",), "aarch64": ("arm",), "s390x": ("s390",)}
"""By machine (uname -m): the other architectures whose programs its kernel runs."""


_free = ctypes.CDLL(None).free
_free.argtypes = [ctypes.c_void_p]


class _Compare(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


@functools.cache
def path(*, mounts: bool = False) -> Path:
    """Return where this user's programs can read the filter, for as long as this process lives.

    With ``mounts``, a program that makes a root may also mount and unmount. Raises BuildError.
    """
    number = os.memfd_create("respin-seccomp")
    os.write(number, compiled(os.uname().machine, mounts=mounts))
    # In a process namespace, /proc may be another's, in which this process has another id.
    return Path("/proc/self").resolve() / "fd" / str(number)


def compiled(machine: str, *, mounts: bool = False) -> bytes:
    """Return the filter as the kernel takes it: a sequence of struct sock_filter."""
    try:
        return _compiled(_library(), machine, _policy(mounts))
    except OSError as e:
        raise BuildError(
            f"respin could not make a system call filter: {e}",
            hint="install what it needs: apt-get install libseccomp2",
        ) from e


def _policy(mounts: bool) -> dict[str, Any]:
    policy = tomllib.loads(package_data(__package__, "calls.toml").read_text())
    refused = [each for each in policy["refused"] if not (mounts and each.get("mounts"))]
    return {**policy, "refused": refused}


@functools.cache
def _library() -> ctypes.CDLL:
    found = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    found.seccomp_init.restype = found.seccomp_syscall_resolve_num_arch.restype = ctypes.c_void_p
    found.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    return found


def _compiled(library: ctypes.CDLL, machine: str, policy: dict[str, Any]) -> bytes:
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_DEFAULT)))
    try:
        tokens = [library.seccomp_arch_native()]
        for name in _OTHERS.get(machine, ()):
            tokens.append(library.seccomp_arch_resolve_name(name.encode()))
            _check(library.seccomp_arch_add(context, ctypes.c_uint32(tokens[-1])), name)
        for attribute, value in ((_ACT_BADARCH, _DEFAULT), (_CTL_OPTIMIZE, _BINARY_TREE)):
            _check(library.seccomp_attr_set(context, attribute, ctypes.c_uint32(value)), "set")
        refused = {
            name: _ERRNO | getattr(errno, each["error"])
            for each in policy["refused"]
            for name in each["calls"]
        }
        native = frozenset(_names(library, tokens[0]))
        for name in sorted(native.union(*(_names(library, t) for t in tokens[1:]))):
            foreign = name in policy["foreign"] and name not in native
            action = refused.get(name, _ERRNO | errno.EPERM if foreign else _ALLOW)
            if action == _DEFAULT:  # libseccomp takes that for a mistake
                continue
            for compare in _compares(policy, name, machine) if action == _ALLOW else ((),):
                array = (_Compare * len(compare))(*compare)
                number = library.seccomp_syscall_resolve_name(name.encode())
                done = library.seccomp_rule_add_array(
                    context, ctypes.c_uint32(action), number, len(compare), array
                )
                _check(done, name)
        return _exported(library, context)
    finally:
        library.seccomp_release(context)


def _compares(policy: dict[str, Any], name: str, machine: str) -> list[tuple[_Compare, ...]]:
    """Return the arguments with which a call is allowed; an empty one allows all."""
    each = policy["arguments"].get(name)
    if each is None:
        return [()]
    place = each.get("place", {}).get(machine, each["argument"])
    return [(_Compare(place, _MASKED_EQ, each["mask"], value),) for value in each["values"]]


def _names(library: ctypes.CDLL, token: int) -> list[str]:
    """Return the system calls of an architecture."""
    found = []
    for number in range(_LAST):
        name = library.seccomp_syscall_resolve_num_arch(ctypes.c_uint32(token), number)
        if name:
            found.append(ctypes.string_at(name).decode())
            _free(name)
    return found


def _exported(library: ctypes.CDLL, context: ctypes.c_void_p) -> bytes:
    number = os.memfd_create("respin-seccomp")
    try:
        _check(library.seccomp_export_bpf(context, number), "export")
        return os.pread(number, os.fstat(number).st_size, 0)
    finally:
        os.close(number)


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(-result, f"libseccomp: {what}: {os.strerror(-result)}")
