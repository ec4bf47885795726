# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest tests a package as soon as the build has written it, and again if it changes."""

from __future__ import annotations

import os
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import packages
from support.filled import filled

from pipeline.archives import deb_file
from pipeline.build import build
from pipeline.errors import BuildError, SmokeFailed
from pipeline.host import command
from pipeline.host.progress import QUIET
from pipeline.model import Built, Patched, SmokeReport
from pipeline.runs import proving
from pipeline.runs.building import BuildEnvironment, Building

NAME = "iproute2_6.1.0-3+bpf1_all.deb"


@pytest.fixture
def deb(tmp_path: Path) -> Path:
    made = packages.make_deb(tmp_path, "iproute2", "6.1.0-3+bpf1", compress="xz")
    assert made.name == NAME
    return made


def test_nothing_less_than_all_of_it_is_whole(deb: Path) -> None:
    data = deb.read_bytes()
    assert [n for n in range(len(data) + 1) if deb_file.whole(data[:n])] == [len(data)]
    assert not deb_file.whole(data + b"\n")


@pytest.mark.parametrize("size", [b"", b"-1", b"9" * 10, b"1e3", b"0x10", b"\xb2"])
def test_a_member_without_a_size(deb: Path, size: bytes) -> None:
    data = bytearray(deb.read_bytes())
    data[8 + 48 : 8 + 58] = size.ljust(10)
    assert not deb_file.whole(bytes(data))


@pytest.mark.attack
def test_more_members_than_a_package_has(deb: Path) -> None:
    """To look at a million of them would take a second, ten times a second."""
    more = b"_more/          0           0     0     100644  0         `\n"
    data = deb.read_bytes()
    few, many = (data[:8] + more * (n - 3) + data[8:] for n in (deb_file.MEMBERS, 9))
    assert deb_file.whole(few) and not deb_file.whole(many)


@pytest.mark.attack
def test_what_is_no_file_is_not_read(tmp_path: Path, deb: Path) -> None:
    copy = tmp_path / "copy"
    link, fifo, huge = (tmp_path / name for name in ("link", "fifo", "huge"))
    link.symlink_to(deb)
    os.mkfifo(fifo)
    with huge.open("wb") as f:
        f.truncate(build.LARGEST + 1)
    for path in (link, fifo, huge, tmp_path, tmp_path / "missing"):
        with pytest.raises(OSError):
            build.written(path, copy)
    assert not copy.exists()
    assert build.written(deb, copy) and copy.read_bytes() == deb.read_bytes()


def building(directory: Path) -> tuple[Building, BuildEnvironment]:
    """Return the stage and its environment, whose build writes to ``directory``."""
    (directory / "scratch").mkdir()
    container: Any = SimpleNamespace(outside=lambda name: directory / name)
    root: Any = SimpleNamespace(architecture="all")
    context: Any = SimpleNamespace(scratch=directory / "scratch")
    nothing: Any = None
    return (
        Building(context, nothing, nothing),
        BuildEnvironment(root=root, container=container),
    )


PATCHED = filled(Patched, version="7:6.1.0-3+bpf1")


def test_it_is_copied_as_soon_as_it_is_whole(tmp_path: Path, deb: Path) -> None:
    data = deb.read_bytes()
    stage, environment = building(tmp_path)
    deb.write_bytes(b"")
    with command.threads(1) as pool, deb.open("ab", buffering=0) as file:
        found = pool.submit(stage.written, environment, PATCHED, Future())
        for piece in (data[:100], data[100:-1]):
            file.write(piece)
            time.sleep(0.3)
            assert not found.done()
        file.write(data[-1:])
        (copy,) = found.result(timeout=60)
    assert copy.read_bytes() == data and copy.parent == tmp_path / "scratch"


@pytest.mark.parametrize("there", [True, False])
def test_it_is_that_of_the_build_once_that_has_ended(tmp_path: Path, there: bool) -> None:
    """Where the container cannot be looked into, too."""
    stage, environment = building(tmp_path)
    if not there:
        environment.container.outside = lambda name: None  # type: ignore[method-assign]
    built: Future[Any] = Future()
    with command.threads(1) as pool:
        found = pool.submit(stage.written, environment, PATCHED, built)
        built.set_result(SimpleNamespace(files=lambda package: (Path(package),)))
        assert list(found.result(timeout=60)) == [Path("iproute2")]


def test_a_container_that_is_stopped_meanwhile(tmp_path: Path) -> None:
    """It is stopped as soon as the build has ended, which may be just before a look into it."""
    stage, environment = building(tmp_path)
    built: Future[Any] = Future()

    def stopped(name: str) -> Path:
        built.set_result(SimpleNamespace(files=lambda package: (Path(package),)))
        raise BuildError("the container was not started, or has been stopped")

    environment.container.outside = stopped  # type: ignore[method-assign]
    assert list(stage.written(environment, PATCHED, built)) == [Path("iproute2")]


def test_a_build_that_fails_before(tmp_path: Path) -> None:
    stage, environment = building(tmp_path)
    built: Future[Built] = Future()
    built.set_exception(BuildError("the build failed"))
    with pytest.raises(BuildError, match="the build failed"):
        stage.written(environment, PATCHED, built)


def done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future


def of(deb: Path) -> Future[Any]:
    """Return a build that has made one package."""
    return done(
        SimpleNamespace(debs=(build.artifact(deb),), files=lambda package: (deb,)),
    )


class Play:
    """A smoke test that notes what it was given, and fails as often as it should."""

    def __init__(self, fails: int = 0) -> None:
        self.given: list[Any] = []
        self._fails = fails

    def __call__(self, *, after: Any) -> SmokeReport:
        self.given.append(after)
        if len(self.given) <= self._fails:
            raise SmokeFailed("the smoke test failed")
        return filled(SmokeReport, seconds=float(len(self.given)))


def test_what_was_built_is_tested_once(tmp_path: Path, deb: Path) -> None:
    copy = tmp_path / "copy"
    copy.write_bytes(deb.read_bytes())
    play, written = Play(), done([copy])
    assert proving._of_built(play, of(deb), written, QUIET).seconds == 1.0
    assert play.given == [written]


@pytest.mark.attack
def test_what_was_changed_after_it_was_tested_is_tested_again(tmp_path: Path, deb: Path) -> None:
    """A build could have a good package tested, and leave another one."""
    copy = tmp_path / "copy"
    copy.write_bytes(deb.read_bytes())
    deb.write_bytes(deb.read_bytes()[:-1] + b"?")
    play, written = Play(), done([copy])
    assert proving._of_built(play, of(deb), written, QUIET).seconds == 2.0
    assert play.given == [written, (deb,)]


def test_the_build_s_failure_comes_before_the_test_s(deb: Path) -> None:
    failed: Future[Built] = Future()
    failed.set_exception(BuildError("the build failed"))
    with pytest.raises(BuildError):
        proving._of_built(Play(fails=1), failed, done([deb]), QUIET)
    with pytest.raises(SmokeFailed):
        proving._of_built(Play(fails=1), of(deb), done([deb]), QUIET)
