# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs that run in a guest: which of them a changed source makes anew."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.host.cache import Cache
from pipeline.host.resources import package_data
from pipeline.vm import guest_programs

pytestmark = pytest.mark.needs("gcc")


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("say.c", {"agent", "player"}),
        ("say.h", {"agent", "player"}),
        ("agent.c", {"agent"}),
        ("maps.c", {"player"}),
    ],
)
def test_a_changed_source(
    source: str, changed: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, directory = Cache(tmp_path / "cache"), tmp_path / "guest"
    shutil.copytree(package_data("pipeline.vm", "guest"), directory)
    monkeypatch.setattr(guest_programs, "package_data", lambda *parts: directory)
    both = {"agent": guest_programs.agent, "player": guest_programs.player}
    before = {name: program(cache, None) for name, program in both.items()}
    with (directory / source).open("a") as out:
        out.write("/* changed */\n")
    after = {name: program(cache, None) for name, program in both.items()}
    assert {name for name in both if before[name] != after[name]} == changed
    assert all(path.stat().st_mode & 0o100 for path in after.values())
