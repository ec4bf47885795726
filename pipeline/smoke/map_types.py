# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The names of numbers in map definitions: types (linux/bpf.h), pinning (bpf_elf.h of iproute2)."""

from __future__ import annotations

_NAMES = (
    *("UNSPEC", "HASH", "ARRAY", "PROG_ARRAY", "PERF_EVENT_ARRAY", "PERCPU_HASH", "PERCPU_ARRAY"),
    *("STACK_TRACE", "CGROUP_ARRAY", "LRU_HASH", "LRU_PERCPU_HASH", "LPM_TRIE", "ARRAY_OF_MAPS"),
    *("HASH_OF_MAPS", "DEVMAP", "SOCKMAP", "CPUMAP", "XSKMAP", "SOCKHASH", "CGROUP_STORAGE"),
    *("REUSEPORT_SOCKARRAY", "PERCPU_CGROUP_STORAGE", "QUEUE", "STACK", "SK_STORAGE"),
    *("DEVMAP_HASH", "STRUCT_OPS", "RINGBUF", "INODE_STORAGE", "TASK_STORAGE", "BLOOM_FILTER"),
)
"""As in Linux 5.16's enum bpf_map_type."""

PROG_ARRAY, OF_MAPS = 3, (12, 13)
PIN_NONE, PIN_OBJECT, PIN_GLOBAL = 0, 1, 2
_PINNING = {PIN_NONE: "none", PIN_OBJECT: "object", PIN_GLOBAL: "global"}


def type_name(number: int) -> str:
    """Return the name of a map type without BPF_MAP_TYPE_; the number if it is not known."""
    return _NAMES[number] if number < len(_NAMES) else str(number)


def type_constant(number: int) -> str:
    """Return a map type as C says it."""
    return f"BPF_MAP_TYPE_{type_name(number)}" if number < len(_NAMES) else str(number)


def pinning_name(number: int) -> str:
    """Return how a legacy map is pinned."""
    return _PINNING.get(number, f"namespace {number}")
