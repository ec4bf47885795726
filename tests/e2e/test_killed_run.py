# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A run that is killed goes on from its last finished stage; the real 6.1.0-3."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support import nights, real
from support.archive import Signer
from support.nights import Distro

from pipeline.build import build

pytestmark = pytest.mark.needs("aptly")

SCRIPT = Path(nights.__file__).with_name("killedrun.py")
OURS = f"{real.VERSION}+bpf1"


def test_after_the_build_it_is_not_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But if one byte of what was built is another, it is."""
    builds: list[str] = []
    whole = build.build_in

    def counted(inside: Any, root: Any, dsc: Path, version: str, *args: Any, **more: Any) -> Any:
        builds.append(version)
        return whole(inside, root, dsc, version, *args, **more)

    monkeypatch.setattr(build, "build_in", counted)
    with ExitStack() as stack:
        signer = stack.enter_context(Signer("distro"))
        distro = stack.enter_context(Distro(tmp_path, signer, "bookworm"))
        distro.now_has(real.dsc())
        played = nights.begin(
            tmp_path, [distro], real.cache(), nights.run_real, releases=["bookworm"]
        )
        state = played.world.folder
        argv = [tmp_path / "respin.toml", real.cache().root, str(int(played.now.timestamp()))]
        done = subprocess.run(
            [sys.executable, "-W", "error", SCRIPT, *argv],
            env={**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))},
        )
        assert done.returncode == -9
        (deb,) = state.glob("runs/bookworm/.000001.*/debs/iproute2_*.deb")
        kept = deb.stat().st_ino
        shutil.copytree(state, tmp_path / "copy", symlinks=True)

        def go_on() -> Path:
            """Play the next night; return the directory of its run."""
            night = played.night(0)
            assert night.code == 0, night.runs
            assert [(r.reason, r.outcome) for r in night.runs] == [("killed while it ran", "fixed")]
            assert [r.outcome for r in played.runs()] == ["interrupted", "fixed"]
            assert list(played.offered("bookworm")) == [OURS]
            folder = night.runs[0].folder
            # Nothing is left of the killed one, and the logs of all stages are there.
            assert [path.name for path in folder.parent.iterdir()] == [folder.name]
            assert not list(folder.glob(".*"))
            assert "dpkg-buildpackage" in (folder / "logs/build.log").read_text()
            return folder / "debs" / deb.name

        again = go_on()
        assert builds == [] and again.stat().st_ino == kept
        good = again.read_bytes()

        shutil.rmtree(state)
        (tmp_path / "copy").rename(state)
        (deb,) = state.glob("runs/bookworm/.000001.*/debs/iproute2_*.deb")
        deb.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        assert go_on().read_bytes() == good
        assert builds == [OURS]
