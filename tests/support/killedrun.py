# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Play a night that is killed when its build has ended: killedrun.py CONFIG CACHE SECONDS.

It is killed by SIGKILL in place of the smoke test, at SECONDS since 1970.
"""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.config import config
from pipeline.host.cache import Cache
from pipeline.nightly.context import World
from pipeline.nightly.night import nightly
from pipeline.smoke import smoke
from support.nights import run_real


def killed(*_: object, after: Future[object], **more: Any) -> None:
    """Wait for the packages, and die."""
    after.result()
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Play it."""
    path, cache, seconds = sys.argv[1:]
    smoke.smoke = killed  # type: ignore[assignment]
    now = datetime.fromtimestamp(int(seconds), UTC)
    found = config.load(Path(path))
    nightly(World(config=found, cache=Cache(Path(cache)), clock=lambda: now, run=run_real))


main()
