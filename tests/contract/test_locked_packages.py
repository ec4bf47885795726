# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages of another time: those of a lock, and those that an archive had at a given time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support import cli
from support.archive import Archive, Signer
from support.packages import make_deb
from support.services import Fault, Service

from pipeline.archives.apt import AptArchive
from pipeline.config.config import Archives, Config
from pipeline.errors import FetchError, UsageError
from pipeline.host.cache import Cache
from pipeline.model import AptSource, Package
from pipeline.releases import releases
from pipeline.runs import inputs, lockfile
from pipeline.runs.request import Request
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


def test_a_run_at_a_time_sees_what_was_there_then_and_nothing_later(world: World) -> None:
    known = Config(archives=Archives(snapshot=Address(world.snapshot.url)))
    request = Request(
        release=BOOKWORM,
        fixes=(),
        cache=Cache(world.directory / "cache"),
        config=known,
        keyring=world.now.keyring,
        mirror=world.now.url,
    )
    now = inputs.archive_of(request).candidate("gone")
    assert now and now.version == "2.0-1"
    archive = inputs.archive_of(replace(request, at=TIME))
    then = archive.candidate("gone")
    assert then and then.version == "1.0-1"
    assert all(f"/archive/debian/{TIME}" in line for line in archive.trust())


@pytest.mark.parametrize(("release", "url"), [("noble", None), ("bookworm", "")])
def test_no_archive_of_a_time_is_known(world: World, release: str, url: str | None) -> None:
    place = Address(world.snapshot.url if url is None else url)
    with pytest.raises(UsageError, match=f"has {release} as it was at {TIME}"):
        superseded.sources_at(
            TIME,
            releases.find(release),
            Config(archives=Archives(snapshot=place)),
            pockets=releases.USUAL,
            keyring=world.now.keyring,
        )


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--at", "yesterday"), "give it in UTC, as in 20230610T000000Z"),
        (("--at", "20231310T000000Z"), "give it in UTC, as in 20230610T000000Z"),
        (("--at", "29990101T000000Z"), "it is in the future"),
        (("--at", TIME, "--mirror", "http://127.0.0.1:9/"), "--at and --mirror are mutually"),
        (("--offline",), "--offline needs a lock"),
    ],
)
def test_what_cannot_be_asked_for(more: tuple[str, ...], words: str, tmp_path: Path) -> None:
    argv: list[str | Path] = ["run", "--release", "bookworm", *more, "--out", tmp_path / "out"]
    said = cli.respin(*argv, cache=tmp_path / "cache")
    assert said.status == 2
    assert words in " ".join(said.err.split())
    assert not (tmp_path / "out").exists()
