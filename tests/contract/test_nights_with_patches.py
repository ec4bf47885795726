# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A night with a user's own patch builds again when the patch changes, and not otherwise."""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support import fixpage, nights, ownpatches, packages, standin
from support.archive import Signer
from support.nights import Distro, Nights

from pipeline.config import config
from pipeline.errors import UsageError
from pipeline.host.cache import Cache
from pipeline.nightly import admin, plan
from pipeline.runs import report_reader, sealed
from pipeline.runs.directory import open_run
from pipeline.runs.report import Report
from pipeline.runs.request import Request

VERSION = "6.1.0-3"


@dataclass(kw_only=True)
class Here:
    """A release with the patch mine.patch in respin.toml; the runs are made up."""

    directory: Path
    played: Nights
    dsc: Path

    def patch(self, request: Request, out: Path) -> Report:
        """Leave a patched source with the patches of the request."""
        standin.make(out, self.dsc, request.release, number=request.number)
        self._add(request, out)
        return report_reader.read(out)

    def run(self, request: Request, out: Path) -> None:
        """Leave a run whose only change are the patches of the request."""
        with open_run(out, request.cache, logs=request.logs) as part:
            part.seal = functools.partial(
                sealed.seal, fixes=(), signer=request.signer, begun=datetime.now(UTC)
            )
            shutil.rmtree(part.path)
            standin.make(part.path, self.dsc, request.release, number=request.number)
            self._add(request, part.path)
            shutil.rmtree(part.path / "logs")
            path = part.path / "report.json"
            path.write_text(path.read_text().replace('"fixed",', '"unharmed",', 1))

    def _add(self, request: Request, directory: Path) -> None:
        for each in request.patches:
            (directory / "patched/patches" / each.name).write_bytes(each.content)
        for fix in request.fixes:
            if fix.own:  # a made-up patch that depends on all of it
                text = plan.inputs_of([fix])[f"fix {fix.name}"]
                (directory / f"patched/patches/respin-{fix.name}.patch").write_text(text)

    def configure(self, text: str) -> None:
        """Begin respin.toml with this text."""
        path = self.directory / "respin.toml"
        rest = path.read_text().partition("[archives]")[2]
        path.write_text(f"{text}\n[archives]{rest}")
        self.played.world = replace(self.played.world, config=config.load(path))

    def write(self, text: str) -> None:
        """Write the patch."""
        ownpatches.write(self.directory, text)

    def night(self) -> list[tuple[str, str, str | None]]:
        """Play a night; return reason, outcome and version of what was run."""
        done = self.played.night()
        assert done.code == 0, [run.details for run in done.runs]
        return [(run.reason, run.outcome, run.ours) for run in done.runs]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    dsc = packages.make_source(tmp_path / "made", version=VERSION)
    with Signer("distro") as signer, Distro(tmp_path, signer, "bookworm") as distro:
        distro.now_has(dsc)
        played = nights.begin(
            tmp_path,
            [distro],
            Cache(tmp_path / "cache"),
            standin.runner(tmp_path),  # type: ignore[arg-type]
            releases=["bookworm"],
        )
        made = Here(directory=tmp_path, played=played, dsc=dsc)
        played.world = replace(played.world, run=made.run, patch=made.patch)  # type: ignore[arg-type]
        made.write(ownpatches.GOOD)
        made.configure('patches = ["mine.patch,optional"]')
        yield made


def test_the_nights(here: Here) -> None:
    assert here.night() == [("new version", "unharmed", "6.1.0-3+bpf1")]
    assert list(here.played.offered("bookworm")) == ["6.1.0-3+bpf1"]
    assert here.night() == []
    os.utime(here.directory / "mine.patch", (0, 0))  # its content is what counts
    assert here.night() == []

    here.write(ownpatches.OTHER)
    assert here.night() == [("changed: patch mine.patch", "unharmed", "6.1.0-3+bpf2")]
    assert "6.1.0-3+bpf2" in here.played.offered("bookworm")
    assert here.night() == []

    here.configure("")
    assert here.night() == [("changed: patch mine.patch", "unharmed", "6.1.0-3+bpf3")]
    assert here.night() == []
    assert [run.ours for run in here.played.runs()] == [f"6.1.0-3+bpf{n}" for n in (1, 2, 3)]
    assert "with your patches" in here.played.page()


def test_what_is_said_of_a_patch_and_their_order(here: Here) -> None:
    """That it must apply changes no package where it applies; the order of two may."""
    ownpatches.write(here.directory, ownpatches.OTHER, "then.patch")
    here.configure('patches = ["mine.patch,optional", "then.patch"]')
    here.night()
    here.configure('patches = ["mine.patch", "then.patch"]')
    assert [outcome for _, outcome, _ in here.night()] == ["same"]
    assert here.night() == []
    here.configure('patches = ["then.patch", "mine.patch"]')
    (both,) = [reason for reason, _, _ in here.night()]
    assert both == "changed: patch then.patch, patch mine.patch"
    assert here.night() == []
    assert list(here.played.offered("bookworm")) == ["6.1.0-3+bpf1"]


def test_a_patch_of_another_release(here: Here) -> None:
    """It has nothing to do with bookworm's packages; bookworm's own has."""
    here.configure("")
    here.night()
    here.configure('[release.trixie]\npatches = ["mine.patch"]')
    assert here.night() == []
    text = (here.directory / "respin.toml").read_text().replace("[release.trixie]\npatches = ", "#")
    here.configure("")
    path = here.directory / "respin.toml"
    path.write_text(
        text.replace("[release.bookworm]", '[release.bookworm]\npatches = ["mine.patch"]')
    )
    here.played.world = replace(here.played.world, config=config.load(path))
    assert here.night() == [("changed: patch mine.patch", "unharmed", "6.1.0-3+bpf2")]


def test_one_that_cannot_be_read_ends_the_night_before_it_begins(here: Here) -> None:
    here.night()
    (here.directory / "mine.patch").unlink()
    with pytest.raises(UsageError, match=r"mine\.patch cannot be read"):
        here.played.night()
    assert len(here.played.runs()) == 1
    here.write(ownpatches.GOOD)
    assert here.night() == []


def test_a_fix_of_the_users_own(here: Here) -> None:
    """The night builds again when it comes, changes or goes; a broken one ends it at its start."""
    fix = fixpage.write(here.directory)
    here.configure("")
    here.night()
    here.configure('fixes = ["./section-or-name"]')
    assert here.night() == [("changed: fix section-or-name", "unharmed", "6.1.0-3+bpf2")]
    assert here.night() == []
    broken = (fix / "fix.toml").read_text()
    (fix / "fix.toml").write_text("title = 1\n")
    with pytest.raises(UsageError, match="the fix section-or-name"):
        here.played.night()
    admin.withdraw(here.played.world, "bookworm", "6.1.0-3+bpf2", "it is bad")  # without reading it
    (fix / "fix.toml").write_text(broken.replace("a program cannot", "No program can"))
    assert [reason for reason, _, _ in here.night()] == ["changed: fix section-or-name"]


def test_a_change_that_does_not_reach_the_source(here: Here) -> None:
    """An optional patch that still drops out: the source is patched as before."""
    here.night()

    def drops(request: Request, out: Path) -> Report:
        return here.patch(replace(request, patches=()), out)

    here.configure("")
    here.night()
    here.configure('patches = ["mine.patch,optional"]')
    here.played.world = replace(here.played.world, patch=drops)
    assert [outcome for _, outcome, _ in here.night()] == ["same"]
    assert here.night() == []
    assert json.loads((here.played.world.public / "status.json").read_text())
