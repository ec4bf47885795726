# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages of a lock: taken where they are, from the archive as it was, or named as gone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.archive import Archive, Signer
from support.packages import make_deb
from support.services import Fault, Service

from pipeline.archives.apt import AptArchive
from pipeline.config.config import Archives, Config
from pipeline.errors import FetchError
from pipeline.host.cache import Cache
from pipeline.model import AptSource, Package
from pipeline.releases import releases
from pipeline.runs import lockfile
from pipeline.source import superseded
from pipeline.text.address import Address

BOOKWORM = releases.find("bookworm")
TIME = "20230103T000000Z"
LONG_AGO = datetime(2023, 1, 2, tzinfo=UTC)


def lock_of(*packages: Package) -> lockfile.Lock:
    return lockfile.Lock(
        distro="debian",
        codename="bookworm",
        name="iproute2",
        version="6.1.0-3",
        kind="archive",
        origin="",
        files=(),
        fixes=(),
        number=1,
        time=TIME,
        root=packages,
        path=Path("/runs/respin.lock"),
    )


def package(deb: Path, name: str, version: str) -> Package:
    sha256 = hashlib.sha256(deb.read_bytes()).hexdigest()
    return Package(name=name, version=version, architecture="all", sha256=sha256)


class World:
    """An archive, and snapshot, which knows what was in it."""

    def __init__(self, directory: Path, now: Archive, snapshot: Service, signer: Signer) -> None:
        self.directory, self.now, self.snapshot = directory, now, snapshot
        self.debs = {
            "kept": make_deb(directory, "kept"),
            "gone": make_deb(directory, "gone", "1.0-1"),
        }
        now.add_deb(self.debs["kept"])
        now.add_deb(make_deb(directory, "gone", "2.0-1"))
        now.publish()
        with Archive(directory / "then", signer) as then:
            for deb in self.debs.values():
                then.add_deb(deb)
            then.publish(date=LONG_AGO)
            for path in sorted(p for p in then.root.rglob("*") if p.is_file()):
                where = f"/archive/debian/{TIME}/{path.relative_to(then.root)}"
                snapshot.put(where, path.read_bytes())
        self.kept = package(self.debs["kept"], "kept", "1.0-1")
        self.gone = package(self.debs["gone"], "gone", "1.0-1")

    def _given(self) -> tuple[AptSource, ...]:
        return releases.sources(BOOKWORM, mirror=self.now.url, keyring=self.now.keyring)

    def holding(self, *packages: Package, config: Config | None = None) -> AptArchive:
        """Return the archive that has these packages of a lock."""
        cache = Cache(self.directory / "cache")
        archive = AptArchive(BOOKWORM, self._given(), cache)
        known = config or Config(archives=Archives(snapshot=Address(self.snapshot.url)))

        def past() -> AptArchive | None:
            return superseded.then(
                TIME,
                archive,
                cache,
                known,
                pockets=releases.USUAL,
                keyring=self.now.keyring,
            )

        return lockfile.holding(lock_of(*packages), packages, archive, past)


@pytest.fixture(scope="module")
def signer() -> Iterator[Signer]:
    with Signer("archive") as made:
        yield made


@pytest.fixture
def world(tmp_path: Path, signer: Signer) -> Iterator[World]:
    with Archive(tmp_path / "now", signer) as now, Service() as snapshot:
        yield World(tmp_path, now, snapshot, signer)


def test_what_is_there_is_taken_there(world: World) -> None:
    assert world.holding(world.kept).lacking([world.kept]) == ()
    assert world.snapshot.log == []


def test_what_is_gone_comes_from_the_archive_as_it_was(world: World, tmp_path: Path) -> None:
    """Its Valid-Until has passed long ago; that of no other archive may have."""
    archive = world.holding(world.kept, world.gone)
    files = archive.download([world.kept, world.gone], tmp_path / "debs")
    assert [f.sha256 for f in files] == [world.kept.sha256, world.gone.sha256]
    assert f"/archive/debian/{TIME}" in files[1].verified
    assert "it was only valid until 2023-01-09" in files[1].verified
    assert files[1].path.read_bytes() == world.debs["gone"].read_bytes()


@pytest.mark.parametrize("change", ["version", "sha256"])
def test_what_nobody_has_is_named(world: World, change: str) -> None:
    other = replace(world.gone, **{change: {"version": "0.9-1", "sha256": "0" * 64}[change]})
    with pytest.raises(FetchError) as caught:
        world.holding(world.kept, other)
    assert caught.value.brief.startswith("1 of 2 packages in /runs/respin.lock no longer exist in")
    assert f"/archive/debian/{TIME}" in caught.value.brief
    assert f"gone {other.version} (all) {other.sha256}" in caught.value.details
    assert "kept" not in caught.value.details


def test_without_snapshot_it_is_named(world: World) -> None:
    with pytest.raises(FetchError, match=r"1 of 1 packages in .* no longer exist in bookworm$"):
        world.holding(world.gone, config=Config(archives=Archives(snapshot=Address(""))))


def test_a_past_that_was_changed_is_refused(world: World) -> None:
    world.snapshot.fail("InRelease", Fault(spoil=True, times=9))
    with pytest.raises(FetchError, match=r"signed|signature"):
        world.holding(world.gone)


def test_a_past_that_snapshot_does_not_have(world: World) -> None:
    world.snapshot.answers.clear()
    with pytest.raises(FetchError, match="no longer exist in"):
        world.holding(world.gone)
