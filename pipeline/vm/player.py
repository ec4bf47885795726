"""The player: the program that plays the rows of the smoke matrix (templates/guest/play.c)."""

from __future__ import annotations

from pathlib import Path

from pipeline import command
from pipeline.cache import Cache, digest
from pipeline.data import data_path
from pipeline.errors import SmokeImpossible

_SOURCES = ("play.c", "net.c", "traffic.c", "maps.c")


def player(cache: Cache, log: Path | None) -> Path:
    """Return the player, compiled for this machine: static, so that it runs in any root.

    Raises SmokeImpossible if it cannot be compiled.
    """
    folder = data_path("templates", "guest")
    sources = [folder / name for name in _SOURCES]
    key = digest((folder / "play.h").read_bytes(), *(s.read_bytes() for s in sources))

    def make(part: Path) -> None:
        command.run(
            ["gcc", "-O2", "-s", "-static", "-Wall", "-Wextra", "-Werror", "-o", part, *sources],
            log=log,
            error=SmokeImpossible,
            brief="the program that plays the smoke test could not be compiled",
            hint="apt install gcc libc6-dev linux-libc-dev",
        )

    return cache.entry("players", key, make)
