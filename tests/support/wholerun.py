# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A whole run for Debian 12, made once for all processes of a test run."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest

from support import cli, real


def debian_12(factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return the directory and the report of ``respin run --release bookworm``, to be read only.

    The processes of pytest-xdist have directories of their own beside each other: the first one
    that asks makes the run, and the others wait for it.
    """
    top = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        top = top.parent
    out, printed = top / "whole-run", top / "whole-run.json"
    with (top / "whole-run.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not printed.exists():
            words = ("run", "--release", "bookworm", "--compare-build", "--json", "--out", out)
            said = cli.respin(*words, cache=real.cache().root)
            assert said.status == 0, said.err
            printed.write_text(said.out)
    return out, json.loads(printed.read_text())
