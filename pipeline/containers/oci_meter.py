# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a Docker or podman container uses, according to its engine: the checks of meter.py.

The engine's control groups are the hard limit; these checks explain it in words, and end what would
never end by itself.
"""

from __future__ import annotations

import re
import time

from pipeline.containers.oci_engine import SECONDS, OciEngine
from pipeline.isolation.allowance import Allowance, words

STATS_SECONDS, SIZE_SECONDS = 5.0, 20.0
"""Seconds between checks of processes and memory, and of the disk, for which the engine counts all
files."""


class OciMeter:
    """The check of a command in a container: see ``command.run``."""

    def __init__(self, engine: OciEngine, container: str, allowed: Allowance) -> None:
        """Check the container with this id."""
        self._engine, self._container, self._allowed = engine, container, allowed
        self._stats = self._size = time.monotonic()

    def __call__(self, _number: int) -> str:
        """Return why its command must be ended; empty if it need not or nobody answers."""
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
