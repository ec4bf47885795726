# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Why a loader refuses an object: the limits that it exceeds, and what its author can do.

What counts is what the loaded section refers to, not which sections exist. The limits are those of
iproute2's lib/bpf_legacy.c and of libbpf (docs/facts.md); each has what tc says of it, so that of
several limits the one that tc ran into is named. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from pipeline.smoke import map_limits, program_limits
from pipeline.smoke.bpf_object import TEXT, Description
from pipeline.smoke.loader_limit import EARLIER_FIX, LoaderLimit, Target

_OWN = ("own-notype", "own")


def limits(found: Description, to: Target) -> tuple[LoaderLimit, ...]:
    """Return the limits that an object exceeds."""
    if found.stripped:
        return (_STRIPPED,)
    checks = (
        _file(found, to),
        map_limits.of_section(found, to),
        program_limits.of_own_loader(found, to)
        if _by_own_loader(found, to)
        else program_limits.of_libbpf(found, to),
        program_limits.of_kernel(found, to),
    )
    return tuple(limit for check in checks for limit in check)


def _by_own_loader(found: Description, to: Target) -> bool:
    """Return whether iproute2's own loader gets the program.

    The fix gives it what it alone takes: a section with calls of its own functions, and .text
    beside other functions.
    """
    if to.loader == "libbpf-1-fixed":
        text = to.section == TEXT and len(found.functions) > 1
        return text or to.section in found.called_inside
    return to.loader in _OWN or (to.loader == EARLIER_FIX and found.has("maps") > 0)


def causes(found: Description, to: Target, output: str) -> tuple[LoaderLimit, ...]:
    """Return why a loader refused an object, of which tc said ``output``.

    These are the limits that tc names; if it names none, all that the object certainly exceeds.
    """
    loaders = [to.loader]
    if to.loader == "libbpf-1-fixed":
        loaders.append(EARLIER_FIX)
    certain: tuple[LoaderLimit, ...] = ()
    for loader in loaders:
        exceeded = (*limits(found, replace(to, loader=loader)), *map_limits.of_pins(found))
        named = tuple(limit for limit in exceeded if re.search(limit.says, output))
        if named:
            return named if loader == to.loader else tuple(map(_of_earlier_fix, named))
        certain = certain or tuple(limit for limit in exceeded if limit.certain)
    return certain


_STRIPPED = LoaderLimit(
    what="its symbol table was stripped, so no map and no program has a name",
    remedy="do not run strip on it; llvm-strip -g removes only debug information",
    says="",
)


def _of_earlier_fix(limit: LoaderLimit) -> LoaderLimit:
    remedy = "build the package with a newer respin, whose fix does not have this limit; or "
    return replace(limit, remedy=remedy + limit.remedy)


def _file(found: Description, to: Target) -> Iterator[LoaderLimit]:
    if found.little != to.little:
        order = "little" if found.little else "big"
        yield LoaderLimit(
            what=f"it is for {order}-endian machines",
            remedy="compile it with clang -target bpf on such a machine, or with -target bpfel "
            "(little) or bpfeb (big)",
            says="(?i)endian",
            certain=False,
        )
