# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A night that is killed at any moment, and started again, ends as one that was not."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support import nights, packages, published, standin
from support.archive import Signer
from support.nights import Distro, Nights

from pipeline.host.cache import Cache, file_sha256
from pipeline.nightly import status
from pipeline.nightly.state import State
from pipeline.releases import releases

pytestmark = pytest.mark.needs("aptly")

SEED = 6
SCRIPT = Path(nights.__file__).with_name("killed.py")


class Stage:
    """A night that is played again and again, from the same beginning."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        signer = stack.enter_context(Signer("distro"))
        names = ("bookworm", "trixie")
        self.distros = [stack.enter_context(Distro(directory, signer, name)) for name in names]
        self.prepared = directory / "prepared"
        cache = Cache(directory / "cache")
        self.nights: Nights = nights.begin(
            directory,
            self.distros,
            cache,
            standin.runner(self.prepared),  # type: ignore[arg-type]
            releases=names,
        )
        # Before: a version that is offered, and a release that needs nothing.
        self._has(directory, ("6.1.0-1", True), ("6.5.0-1", False))
        assert self.nights.night(0).code == 0
        # After: the next version, and a source that is not understood.
        self._has(directory, ("6.1.0-2", True), ("6.5.0-2", None))
        self.now = int((self.nights.now + timedelta(days=1)).timestamp())
        self.directory = directory
        self.state = self.nights.world.directory
        shutil.copytree(self.state, directory / "beginning", symlinks=True)
        self.notifications = self.nights.notifications
        self.first_notifications = self.notifications.read_text()
        environment = {**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))}
        argv = [directory / "respin.toml", directory / "cache", self.prepared, self.now]
        self.player = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-W", "error", *map(str, (SCRIPT, *argv))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
        )

    def _has(self, directory: Path, *versions: tuple[str, bool | None]) -> None:
        for distro, (version, good) in zip(self.distros, versions, strict=True):
            dsc = packages.make_source(
                directory / "made" / f"{distro.name}-{version}", version=version
            )
            distro.now_has(dsc)
            if good is not None:
                release = releases.find(distro.name, config=self.nights.world.config)
                made = self.prepared / f"{distro.name}_{version}"
                standin.make(made, dsc, release, good=good)

    def again(self) -> None:
        """Go back to the beginning."""
        shutil.rmtree(self.state)
        shutil.copytree(self.directory / "beginning", self.state, symlinks=True)
        self.notifications.write_text(self.first_notifications)

    def play(self, fatal: int = 0) -> tuple[int, int]:
        """Play the night, to be killed at a moment; return its status and how many it saw."""
        assert self.player.stdin and self.player.stdout
        self.player.stdin.write(f"{fatal}\n")
        self.player.stdin.flush()
        code, counted = self.player.stdout.readline().split()
        return int(code), int(counted)

    def end(self) -> dict[str, Any]:
        """Return all that a night leaves behind, but for dates and ids."""
        with State(self.state) as state:
            rows = [
                dataclasses.replace(row, run=None, ours_run=None)
                for row in status.rows(state, 3, self.now)
            ]
            runs = [
                (r.target, r.version, r.ours, r.number, r.outcome, r.published, r.retry_at)
                for r in state.runs()
                if r.outcome != "interrupted"
            ]
            outbox, told = state.outbox(), state.told()
        public = self.state / "public"
        notifications = [json.loads(line) for line in self.notifications.read_text().splitlines()]
        return {
            "rows": rows,
            "runs": sorted(runs),
            "outbox": outbox,
            "told": told,
            "files": published.files(public, ("bookworm", "trixie")),
            # A kill after a letter was handed over and before that was noted sends it twice.
            "letters": {json.dumps(each) for each in notifications},
            "left": sorted(p.name for p in (*public.rglob(".part*"), *self._unfinished())),
        }

    def _unfinished(self) -> set[Path]:
        """Return what lies beside the runs' directories, but for the logs of failures."""
        with State(self.state) as state:
            runs = [run.folder for run in state.runs() if run.outcome != "interrupted"]
        ours = {path for run in runs for path in (run, run.with_name(f"{run.name}.logs"))}
        return set(self.state.glob("runs/*/*")) - ours

    def consistent(self) -> None:
        """Hold that what clients see now is an old state or a new one, whole."""
        for target in ("bookworm", "trixie"):
            top = self.state / "public" / target
            dists = top / "dists" / target
            release = (dists / "Release").read_text()
            assert (dists / "InRelease").read_text().partition("\n\n")[2].startswith(release)
            for line in release.partition("\nSHA256:")[2].splitlines():
                if line.startswith(" ") and len(line.split()[0]) == 64:
                    sha256, _, name = line.split()
                    by_hash = (dists / name).parent / "by-hash/SHA256" / sha256
                    assert file_sha256(by_hash) == sha256
            for line in (dists / "main/binary-amd64/Packages").read_text().splitlines():
                if line.startswith("Filename: "):
                    assert (top / line.split()[1]).is_file()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(tmp_path_factory.mktemp("killed"), stack)


@pytest.mark.parametrize("points", [15, pytest.param(50, marks=pytest.mark.slow)])
def test_kills(stage: Stage, points: int) -> None:
    stage.again()
    first = stage.end()
    code, counted = stage.play()
    assert (code, counted > 4 * points) == (11, True), counted
    wanted = stage.end()
    assert wanted != first and wanted["left"] == []
    assert {row.target: row.ours for row in wanted["rows"]} == {
        "bookworm": "6.1.0-2+bpf1",
        "trixie": None,
    }
    assert {json.loads(each)["event"] for each in wanted["letters"]} == {"new-package", "failure"}
    # What the cache remembers of the first one makes every other one shorter.
    stage.again()
    code, counted = stage.play()
    assert (code, counted > 4 * points) == (11, True), counted
    assert stage.end() == wanted
    for fatal in random.Random(SEED).sample(range(1, counted), points):
        stage.again()
        assert stage.play(fatal)[0] == -9, fatal
        stage.consistent()
        # A night that was killed when all was done has nothing left to do.
        assert stage.play()[0] in (0, 11), fatal
        assert stage.end() == wanted, fatal
