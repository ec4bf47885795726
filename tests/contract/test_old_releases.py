# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Releases past their end, and pockets: against archives on loopback, one of them frozen."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from support.archive import Archive, Signer
from support.packages import make_source

from pipeline.archives.apt import AptArchive
from pipeline.config.config import Archives, Config
from pipeline.errors import FetchError
from pipeline.host.cache import Cache
from pipeline.model import AptSource
from pipeline.releases import releases
from pipeline.releases.releases import Pocket
from pipeline.source import fetch
from pipeline.text.address import Address

BUSTER, BOOKWORM = releases.find("buster"), releases.find("bookworm")
ENDED = date(2031, 1, 1)
THEN = datetime(2020, 6, 1, tzinfo=UTC)
OLD, SECURITY = "4.20.0-2", "4.20.0-2+deb10u1"


@pytest.fixture(scope="module")
def keys() -> Iterator[dict[str, Signer]]:
    """A key of today, and one that expired in 2021."""
    with Signer("today") as today, Signer("old", expired=True) as old, Signer("evil") as evil:
        yield {"today": today, "old": old, "evil": evil}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("old-sources")
    return {v: make_source(directory / v, version=v) for v in (OLD, SECURITY)}


@pytest.fixture
def mirror(tmp_path: Path, keys: dict[str, Signer]) -> Iterator[Archive]:
    """The machine's mirror, which knows only trixie."""
    with Archive(tmp_path / "mirror", keys["today"], suite="trixie") as serving:
        serving.publish()
        yield serving


@pytest.fixture
def frozen(tmp_path: Path, keys: dict[str, Signer], made: dict[str, Path]) -> Iterator[Archive]:
    """The archive of old releases: signed in 2020 by a key that has expired."""
    with Archive(tmp_path / "frozen", keys["old"], suite="buster") as serving:
        serving.add_source(made[OLD])
        serving.publish(date=THEN)
        yield serving


def sources(
    mirror: Archive, frozen: Archive, keyring: Path, etc: Path, *, on: date = ENDED
) -> tuple[AptSource, ...]:
    (etc / "sources.list.d").mkdir(parents=True, exist_ok=True)
    lines = f"deb {mirror.url}/debian trixie main\ndeb {mirror.url}/debian buster/updates main\n"
    (etc / "sources.list.d/a.list").write_text(lines)
    (mirror.root / "debian").symlink_to(".")
    config = Config(
        archives=Archives(debian_old=Address(frozen.url), debian_security_old=Address(frozen.url))
    )
    return releases.sources(
        BUSTER, keyring=keyring, config=config, on=on, etc=etc, lists=etc / "lists"
    )


def opened(given: Sequence[AptSource], tmp_path: Path) -> AptArchive:
    return AptArchive(BUSTER, given, Cache(tmp_path / "cache"), log=tmp_path / "apt.log")


def test_frozen_archive_with_an_expired_key(
    mirror: Archive, frozen: Archive, keys: dict[str, Signer], tmp_path: Path
) -> None:
    given = sources(mirror, frozen, keys["old"].keyring, tmp_path / "etc")
    archive = opened(given, tmp_path)
    source = fetch.fetch(archive, None, tmp_path / "out")
    assert source.version == OLD and source.origin == f"buster at {frozen.url}"
    verified = source.files[0].verified
    assert "the archive is frozen, so respin ignored that the key" in verified
    assert f"{keys['old'].fingerprint} has expired since" in verified
    assert "that it was only valid until 2020-06-08" in verified
    # What other apts are given reads the same, no more and no less.
    assert [(s.uri, s.suites, s.frozen) for s in archive.sources] == [
        (frozen.url, ("buster",), True)
    ]
    assert "Check-Valid-Until: no" in archive.sources[0].stanza()
    assert archive.sources[0].gpgv is not None


def test_the_same_key_is_not_taken_for_an_archive_that_lives(
    frozen: Archive, keys: dict[str, Signer], tmp_path: Path
) -> None:
    given = releases.sources(BUSTER, mirror=frozen.url, keyring=keys["old"].keyring)
    with pytest.raises(FetchError, match="not signed by a key of the keyring"):
        fetch.fetch(opened(given, tmp_path), None, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_expired_index_is_not_taken_for_an_archive_that_lives(
    frozen: Archive, keys: dict[str, Signer], tmp_path: Path
) -> None:
    frozen.publish(signer=keys["today"], date=THEN)
    given = releases.sources(BUSTER, mirror=frozen.url, keyring=keys["today"].keyring)
    with pytest.raises(FetchError, match="has expired"):
        fetch.fetch(opened(given, tmp_path), None, tmp_path / "out")
    (kept,) = (dataclasses.replace(s, frozen=True) for s in given)
    source = fetch.fetch(opened((kept,), tmp_path), None, tmp_path / "out")
    assert "that it was only valid until 2020-06-08" in source.files[0].verified
    assert "the key" not in source.files[0].verified


def test_frozen_archive_signed_by_a_stranger(
    mirror: Archive, frozen: Archive, keys: dict[str, Signer], tmp_path: Path
) -> None:
    frozen.publish(signer=keys["evil"], date=THEN)
    given = sources(mirror, frozen, keys["old"].keyring, tmp_path / "etc")
    with pytest.raises(FetchError, match="not signed by a key of the keyring"):
        fetch.fetch(opened(given, tmp_path), None, tmp_path / "out")


def test_frozen_archive_that_was_changed(
    mirror: Archive, frozen: Archive, keys: dict[str, Signer], tmp_path: Path
) -> None:
    path = frozen.root / "dists/buster/InRelease"
    path.write_bytes(path.read_bytes().replace(b"Origin: Debian", b"Origin: Evilly"))
    given = sources(mirror, frozen, keys["old"].keyring, tmp_path / "etc")
    with pytest.raises(FetchError, match="not signed by a key of the keyring"):
        fetch.fetch(opened(given, tmp_path), None, tmp_path / "out")


def test_only_the_security_pocket_is_left(
    mirror: Archive,
    frozen: Archive,
    keys: dict[str, Signer],
    made: dict[str, Path],
    tmp_path: Path,
) -> None:
    """The gap: the release has gone to the old archive, its security pocket has not yet."""
    mirror.add_source(made[SECURITY], suite="buster/updates")
    mirror.publish()
    both = tmp_path / "both.gpg"
    both.write_bytes(keys["old"].keyring.read_bytes() + keys["today"].keyring.read_bytes())
    given = sources(mirror, frozen, both, tmp_path / "etc")
    archive = opened(given, tmp_path)
    source = fetch.fetch(archive, None, tmp_path / "out")
    assert source.version == SECURITY
    assert "frozen" not in source.files[0].verified
    older = fetch.fetch(archive, OLD, tmp_path / "older")
    assert "frozen" in older.files[0].verified
    # An expired key stays worthless where it signs for the archive that lives.
    mirror.publish(signer=keys["old"])
    # The update itself refuses: other apts (mmdebstrap's) are given what it read.
    with pytest.raises(FetchError, match="not signed by a key"):
        opened(given, tmp_path).update()


def test_the_mirror_comes_first(
    mirror: Archive,
    frozen: Archive,
    keys: dict[str, Signer],
    made: dict[str, Path],
    tmp_path: Path,
) -> None:
    mirror.add_source(made[OLD], suite="buster")
    mirror.publish()
    given = sources(mirror, frozen, keys["today"].keyring, tmp_path / "etc")
    assert fetch.fetch(opened(given, tmp_path), None, tmp_path / "out").origin == (
        f"buster at {mirror.url}/debian"
    )


def test_an_expired_index_at_the_mirror(
    mirror: Archive,
    frozen: Archive,
    keys: dict[str, Signer],
    made: dict[str, Path],
    tmp_path: Path,
) -> None:
    mirror.add_source(made[OLD], suite="buster")
    mirror.publish(date=THEN)
    frozen.publish(signer=keys["today"], date=THEN)
    given = sources(mirror, frozen, keys["today"].keyring, tmp_path / "etc")
    source = fetch.fetch(opened(given, tmp_path), None, tmp_path / "out")
    assert source.origin == f"buster at {frozen.url}"


def test_nobody_has_it(
    mirror: Archive, frozen: Archive, keys: dict[str, Signer], tmp_path: Path
) -> None:
    frozen.corrupt("InRelease", "remove")
    given = sources(mirror, frozen, keys["today"].keyring, tmp_path / "etc")
    with pytest.raises(FetchError, match="does not have this release"):
        fetch.fetch(opened(given, tmp_path), None, tmp_path / "out")


def test_living_releases_have_no_old_archive(
    mirror: Archive, frozen: Archive, keys: dict[str, Signer], tmp_path: Path
) -> None:
    keyring = keys["today"].keyring
    given = sources(mirror, frozen, keyring, tmp_path / "etc", on=date(2021, 1, 1))
    assert not any(s.frozen or s.fallback for s in given)


# -- pockets ----------------------------------------------------------------------------

RELEASE, BACKPORTS = "6.1.0-3", "6.3.0-1~bpo12+1"


@pytest.fixture
def pockets(tmp_path: Path, keys: dict[str, Signer]) -> Iterator[Archive]:
    with Archive(tmp_path / "pockets", keys["today"]) as serving:
        for version, suite in ((RELEASE, "bookworm"), (BACKPORTS, "bookworm-backports")):
            serving.add_source(make_source(tmp_path / version, version=version), suite=suite)
        serving.publish()
        yield serving


def version_in(archive: Archive, tmp_path: Path, *chosen: Pocket) -> str:
    given = releases.sources(
        BOOKWORM, mirror=archive.url, keyring=archive.keyring, pockets=chosen or releases.USUAL
    )
    named = [releases.suite(BOOKWORM, p) for p in chosen]
    apt = AptArchive(BOOKWORM, given, Cache(tmp_path / "cache"), required=named)
    return apt.versions("iproute2")[0].version


def test_pockets(pockets: Archive, tmp_path: Path) -> None:
    assert version_in(pockets, tmp_path) == RELEASE
    assert version_in(pockets, tmp_path, Pocket.BACKPORTS) == BACKPORTS
    assert version_in(pockets, tmp_path, Pocket.RELEASE, Pocket.BACKPORTS) == BACKPORTS


def test_a_pocket_that_is_named_has_to_be_there(pockets: Archive, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="does not have"):
        version_in(pockets, tmp_path, Pocket.SECURITY)
