# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a container of Docker or podman uses, as its engine says: the same looks as meter.py's.

The engine's control groups are the hard stop; these looks say in words what came of it, and end
what would go on without an end.
"""

from __future__ import annotations

import re
import time

from pipeline.containers.oci_engine import SECONDS, OciEngine
from pipeline.isolation.allowance import Allowance, words

STATS_SECONDS, SIZE_SECONDS = 5.0, 20.0
"""How often processes and memory are asked for, and how often the disk, for which the engine
counts all files."""


class OciMeter:
    """What a command in a container is looked at with: see ``command.run``."""

    def __init__(self, engine: OciEngine, container: str, allowed: Allowance) -> None:
        """Look at the container of that id."""
        self._engine, self._container, self._allowed = engine, container, allowed
        self._stats = self._size = time.monotonic()

    def __call__(self, _number: int) -> str:
        """Say why its command is to be ended; empty if it is not, or if the engine is silent."""
        now = time.monotonic()
        if now - self._size >= SIZE_SECONDS:
            self._size = now
            form = ("--size", "--format", "{{.SizeRw}}")
            size = _numbers(self._ask("inspect", *form, self._container))
            if size and size[0] > self._allowed.disk:
                return f"it wrote more than {words(self._allowed.disk)} to the disk"
        if now - self._stats >= STATS_SECONDS:
            self._stats = now
            form = ("--no-stream", "--format", "{{.PIDs}} {{.MemPerc}}")
            stats = _numbers(self._ask("stats", *form, self._container))
            if stats and stats[0] >= self._allowed.processes * 3 // 4:
                return f"it ran {stats[0]:,.0f} processes at once"
            if len(stats) == 2 and stats[1] >= 95:
                return f"it used {words(self._allowed.memory)} of memory"
        return ""

    def _ask(self, what: str, *argv: str) -> str:
        done = self._engine.call(
            "container", what, *argv, check=False, timeout=SECONDS, cleanup=True
        )
        return done.text if done.status == 0 else ""


def _numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"\d+(?:\.\d+)?", text)]
