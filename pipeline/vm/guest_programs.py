# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Our programs that run in a guest or in namespaces: pipeline/vm/guest/*.c.

They are compiled for this machine, and static, so that they run in a root of any release.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import SmokeImpossible
from pipeline.host import command, compilers
from pipeline.host.cache import Cache, digest
from pipeline.host.resources import package_data

COMPILE = ("gcc", "-O2", "-s", "-static", "-Wall", "-Wextra", "-Werror")
_AGENT = ("agent.c", "say.c")
_PLAYER = ("play.c", "net.c", "traffic.c", "maps.c", "say.c")


def agent(cache: Cache, log: Path | None) -> Path:
    """Return the guest's agent, which does what no program in the guest's root can.

    It is a cache entry, named after its inputs. Raises SmokeImpossible if it cannot be
    compiled.
    """
    return _program("agent", _AGENT, cache, log)


def player(cache: Cache, log: Path | None) -> Path:
    """Return the player, which plays the rows of the smoke matrix; otherwise like ``agent``."""
    return _program("player", _PLAYER, cache, log)


def _program(name: str, sources: tuple[str, ...], cache: Cache, log: Path | None) -> Path:
    directory = package_data(__package__, "guest")
    paths = [directory / source for source in sources]
    read = [*sorted(directory.glob("*.h")), *paths]
    parts = [part for path in read for part in (path.name, path.read_bytes())]
    key = digest(name, compilers.identity("gcc"), *COMPILE, *parts)

    def make(part: Path) -> None:
        command.run(
            [*COMPILE, "-o", part, *paths],
            log=log,
            error=SmokeImpossible,
            brief=f"gcc could not compile the smoke test's {name}",
            hint="install what it needs: apt install gcc libc6-dev linux-libc-dev",
        )

    return cache.entry("programs", key, make)
