# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What identifies the compilers of this machine, for the keys of what they made."""

from __future__ import annotations

from functools import cache

from pipeline.errors import SmokeImpossible
from pipeline.host import command
from pipeline.host.cache import digest

PACKAGES = (
    *("gcc*", "cpp*", "clang*", "llvm*", "lld*", "binutils*"),
    *("libc6-dev*", "libbpf-dev*", "linux-libc-dev*"),
)
"""Patterns of the packages that decide what a source becomes: compilers, assemblers, headers."""


@cache
def identity(program: str) -> str:
    """Return a digest of a compiler: what it says of itself, and the packages that it depends on.

    Raises SmokeImpossible if it is missing.
    """
    form = "${Package} ${Version} ${Architecture}\n"
    # A pattern without a match is a failure for dpkg-query, but not here.
    there = command.run(["dpkg-query", "-W", "-f", form, *PACKAGES], check=False).text
    return digest(_words(program), *sorted(there.splitlines()))


def versions(*programs: str) -> tuple[str, ...]:
    """Return the name and version of each compiler, in its own words; raise SmokeImpossible."""
    return tuple(_words(program).partition("\n")[0] for program in programs)


@cache
def _words(program: str) -> str:
    if command.which(program) is None:
        raise SmokeImpossible(
            f"the program {program} is missing", hint=f"install it: apt install {program}"
        )
    return command.run([program, "--version"], error=SmokeImpossible).text
