# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""An object of the user's: which of its programs is loaded, with an attach type."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.smoke.bpf_object import Description, read
from pipeline.smoke.cases import AttachType, attach_types
from pipeline.smoke.expectation import NOTHING, Expectation

_SECTION = re.compile(r"[A-Za-z0-9_.?][A-Za-z0-9_.?/:@+,*=%^~-]{0,200}")
"""Names that cannot be an option of tc, and are safe in a line of `tc -batch`, in which # begins a
comment even inside quotes (lib/utils.c: getcmdline)."""

_KINDS = {
    "tc": ("classifier", "cls", "action", "act", "tc", "tcx", "ingress", "egress"),
    "xdp": ("xdp",),
    "lwt": ("lwt",),
    "": (
        *("socket", "kprobe", "kretprobe", "uprobe", "uretprobe", "ksyscall", "usdt"),
        *("tracepoint", "tp", "raw_tp", "raw_tracepoint", "tp_btf", "perf_event"),
        *("cgroup", "cgroup_skb", "sockops", "sk_skb", "sk_msg", "sk_reuseport", "sk_lookup"),
        *("flow_dissector", "lirc_mode2", "fentry", "fexit", "fmod_ret", "lsm", "iter"),
        *("struct_ops", "freplace", "syscall", "netfilter"),
    ),
}
"""How the names of sections begin, by what their programs are given; those of the last entry can be
loaded by neither tc nor ip (libbpf's table of sections, and the names that tc-bpf(8) uses)."""

_KIND_OF = {word: kind for kind, words in _KINDS.items() for word in words}
_WORD = re.compile(rf"({'|'.join(sorted(_KIND_OF, key=len, reverse=True))})(?![a-z])")


@dataclass(frozen=True, kw_only=True)
class UserObject:
    """An object of the user's, which is tested like a case."""

    path: Path
    section: str | None = None
    """None: the section with a program whose name fits the attach type."""
    way: str = "tc"
    expect: Expectation = NOTHING


def kind_of(section: str) -> str | None:
    """Return what the name of a section says that its program is given: ``tc``, ``xdp``, ``lwt``.

    An empty string stands for what neither tc nor ip loads, None for a name that says nothing.
    """
    found = _WORD.match(section)
    return _KIND_OF[found[1]] if found else None


def fitting(found: Description, way: AttachType) -> str | None:
    """Return the section of the program that fits an attach type best; None if there is none."""

    def misfit(section: str) -> int:
        if section == way.section:
            return 0
        kind = kind_of(section)
        if kind == way.kind:
            return 1 if section.startswith(way.section) else 2
        return 3 if kind is None else 4

    return min(found.programs, key=misfit, default=None)


def user_section(item: UserObject) -> str:
    """Return the section of a user's object to load: the given one, or the one that fits.

    Raises UsageError if the file is not a BPF object, or has no such section.
    """
    if item.way not in attach_types():
        raise UsageError(
            f"{item.way} is not an attach type",
            hint="the attach types are: " + ", ".join(attach_types()),
        )
    found = read(item.path)
    wanted = item.section or fitting(found, attach_types()[item.way])
    if wanted in found.programs and not _SECTION.fullmatch(wanted):
        raise UsageError(
            f"{item.path} has a program in section {wanted!r}, which tc's command line cannot name",
            hint="use only letters, digits and _.?/:@+,*=%^~- in the name of the section",
        )
    if wanted is None or wanted not in found.programs:
        raise UsageError(
            f"{item.path} has no program in section {wanted or 'of its own'}",
            hint="the sections with programs are: " + (", ".join(found.programs) or "none"),
        )
    return wanted
