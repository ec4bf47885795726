# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""This machine's clang compiles every smoke case. Another version refuses other things."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import real

from pipeline.archives import host_apt
from pipeline.smoke import cases, compile
from pipeline.vm.machine import machine_for

pytestmark = pytest.mark.needs("clang")


def test_every_case(tmp_path: Path) -> None:
    wanted = cases.all_cases()
    made = compile.compile_cases(
        wanted,
        size=36,
        machine=machine_for(host_apt.architecture()),
        cache=real.cache(),
        log=tmp_path / "objects.log",
    )
    assert made.keys() == {case.id for case in wanted} and len(made) > 50
    assert all(path.is_dir() or path.read_bytes()[:4] == b"\x7fELF" for path in made.values())
