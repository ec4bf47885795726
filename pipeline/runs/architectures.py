# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The architectures that a user asks for, held against dpkg and the release."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

from pipeline.archives import host_apt
from pipeline.errors import UsageError
from pipeline.host import command
from pipeline.model import AptSource
from pipeline.runs.inputs import archive_of
from pipeline.runs.request import Request
from pipeline.vm.machine import machines

ALL = "all"


def choose(request: Request, names: Sequence[str]) -> tuple[str, ...]:
    """Return the architectures that ``names`` stand for, each once, this machine's first.

    ``all`` stands for those that the release has and that can be emulated. Nothing is asked of the
    archive if no name is given. Raises UsageError for a name that dpkg does not know, and for one
    that the release does not have.
    """
    if not names:
        return ()
    _check_known([name for name in names if name != ALL])
    archive = archive_of(request)
    sources, there = archive.sources, archive.architectures
    wanted = [*names]
    if ALL in names:
        wanted += [n for n in machines() if n in there or _elsewhere(request, n, sources)]
    wanted = [name for name in dict.fromkeys(wanted) if name != ALL]
    for name in wanted:
        if name not in there:  # another archive of the distro may have it
            archive_of(replace(request, architecture=name)).check_architecture()
    return tuple(sorted(wanted, key=lambda name: name != host_apt.architecture()))


def _elsewhere(request: Request, name: str, sources: Sequence[AptSource]) -> bool:
    """Tell whether the distro has an architecture in another archive, as Ubuntu has its ports."""
    other = archive_of(replace(request, architecture=name))
    return other.sources != sources and name in other.architectures


def _check_known(names: Sequence[str]) -> None:
    known = command.run(["dpkg-architecture", "-L"], timeout=60, error=UsageError).text.split()
    for name in names:
        if name not in known:
            shown = name[:60]
            near = difflib.get_close_matches(shown, [*machines(), *known], n=2, cutoff=0.5)
            raise UsageError(
                f"dpkg knows no architecture {shown!r}",
                hint=f"did you mean {' or '.join(dict.fromkeys(near))}?"
                if near
                else f"choose one of {', '.join(machines())}, or all",
            )
