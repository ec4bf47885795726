# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Our programs that run in a guest or in namespaces: pipeline/vm/guest/*.c.

They are static, so that they run in a root of any release.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import SmokeImpossible
from pipeline.host import command, compilers
from pipeline.host.cache import Cache, digest
from pipeline.host.resources import package_data
from pipeline.vm.machine import Machine

COMPILE = ("-O2", "-s", "-static", "-Wall", "-Wextra", "-Werror")
_AGENT = ("agent.c", "say.c")
_PLAYER = ("play.c", "net.c", "traffic.c", "maps.c", "say.c")


def check(machine: Machine) -> str:
    """Return the compiler for a machine. Raises SmokeImpossible if it, or a library, is missing."""
    lacking = [
        package
        for package, shown_by in machine.needs.items()
        if package != machine.package
        and not (Path(shown_by).exists() if "/" in shown_by else command.which(shown_by))
    ]
    if lacking:
        raise SmokeImpossible(
            f"this machine cannot compile the smoke test's programs for {machine.architecture}, "
            f"because {' and '.join(lacking)} {'are' if len(lacking) > 1 else 'is'} missing",
            hint=f"install what it needs: apt install {' '.join(lacking)}",
        )
    return machine.compiler


def agent(cache: Cache, log: Path | None, compiler: str = "gcc") -> Path:
    """Return the guest's agent, which does what no program in the guest's root can.

    It is a cache entry, named after its inputs. Raises SmokeImpossible if it cannot be
    compiled.
    """
    return _program("agent", _AGENT, cache, log, compiler)


def player(cache: Cache, log: Path | None, compiler: str = "gcc") -> Path:
    """Return the player, which plays the rows of the smoke matrix; otherwise like ``agent``."""
    return _program("player", _PLAYER, cache, log, compiler)


def _program(
    name: str, sources: tuple[str, ...], cache: Cache, log: Path | None, compiler: str
) -> Path:
    directory = package_data(__package__, "guest")
    paths = [directory / source for source in sources]
    read = [*sorted(directory.glob("*.h")), *paths]
    parts = [part for path in read for part in (path.name, path.read_bytes())]
    key = digest(name, compilers.identity(compiler), compiler, *COMPILE, *parts)

    def make(part: Path) -> None:
        command.run(
            [compiler, *COMPILE, "-o", part, *paths],
            log=log,
            error=SmokeImpossible,
            brief=f"{compiler} could not compile the smoke test's {name}",
            hint="install what it needs: apt install gcc libc6-dev linux-libc-dev",
        )

    return cache.entry("programs", key, make)
