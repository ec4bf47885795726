# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A cross build for arm64, in the real root that iproute2's takes: one that can be, and one not."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import real

from pipeline.archives import host_apt
from pipeline.build import build
from pipeline.errors import BuildError
from pipeline.host.progress import QUIET
from pipeline.model import Built

NATIVE = host_apt.architecture()

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(NATIVE == "arm64", reason="arm64 is this machine's architecture"),
]


def tiny(directory: Path, makefile: str) -> Built:
    dsc = real.tiny(directory, Makefile=makefile)
    place = directory / "debs"
    return build.build(
        real.root("arm64"), dsc, "1.0", 1, place, cache=real.cache(), log_dir=directory, stage=QUIET
    )


def test_a_source_that_runs_what_it_has_built(tmp_path: Path) -> None:
    """It cannot be cross-built, and the error says so; what does not run it can."""
    make = (real.TINY / "Makefile").read_text()
    built = tiny(tmp_path / "good", make)
    assert {deb.path.name for deb in built.debs} >= {"tiny_1.0_arm64.deb"}
    assert built.changes.path.name == "tiny_1.0_arm64.changes"
    assert built.cross.startswith("aarch64-linux-gnu-gcc (") and built.omitted == ()
    runs = make.replace("-o $@ tiny.o", "-o $@ tiny.o\n\t./tiny")
    with pytest.raises(BuildError, match=r"the cross build of tiny 1\.0 for arm64 failed") as e:
        tiny(tmp_path / "bad", runs)
    assert "\n./tiny: " in e.value.details and e.value.exit_code == 13
    assert not (tmp_path / "bad/debs").exists()
