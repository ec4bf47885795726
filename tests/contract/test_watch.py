# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The watch over signed archives: what it asks for, and what it does not believe."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support import cli, nights, packages, standin
from support.archive import Archive, Signer

from pipeline.archives.signedindex import SuiteIndex
from pipeline.errors import RespinError
from pipeline.host.cache import Cache
from pipeline.model import AptSource, Release
from pipeline.nightly import watch
from pipeline.nightly.targets import Target
from pipeline.nightly.watch import TargetView
from pipeline.releases import releases
from pipeline.text.address import Address

RELEASE = Release(distro="debian", codename="bookworm", version="12")
TARGET = Target(name="bookworm", release=RELEASE, pockets=releases.USUAL)
BACKPORTS = Target(name="bookworm-backports", release=RELEASE, pockets=(releases.Pocket.BACKPORTS,))
NOW = datetime.now(UTC)
"""When the tests were collected, which may be an hour and a half before they run."""


@dataclass(kw_only=True)
class Watcher:
    """One archive, and what is remembered of it."""

    archive: Archive
    signer: Signer
    made: Path
    suites: tuple[str, ...] = ("bookworm", "bookworm-security")
    frozen: bool = False
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.known: dict[watch.Key, SuiteIndex] = {}

    def sources(self, _: Target) -> Sequence[AptSource]:
        return (
            AptSource(
                uri=Address(self.archive.url),
                suites=self.suites,
                components=("main",),
                keyring=self.archive.keyring,
                frozen=self.frozen,
            ),
        )

    def has(self, version: str, suite: str = "bookworm", **options: datetime) -> Path:
        """Publish a version; return the directory of the suite."""
        path = self.made / version
        dsc = path / f"iproute2_{version}.dsc"
        if not path.exists():
            packages.make_source(path, version=version)
        self.archive.add_source(dsc, suite=suite)
        self.archive.publish(**options)  # type: ignore[arg-type]
        return self.archive.root / "dists" / suite

    def half(self, version: str, *how: str) -> None:
        """Publish a version with a list that is not what its InRelease says."""
        self.has(version)
        self.archive.corrupt("Sources.gz", *how)

    def look(self, target: Target = TARGET) -> TargetView:
        (view,) = watch.watch([target], self.sources, self.known, package="iproute2", now=self.now)
        self.known |= {(i.site, i.suite): i for i in view.indexes}
        return view

    def versions(self, target: Target = TARGET) -> list[str]:
        view = self.look(target)
        assert view.error is None, view.error
        return sorted(f"{s.version} {s.suite}" for s in view.sightings)

    def fails(self, words: str) -> RespinError:
        error = self.look().error
        assert error is not None and words in error.brief, error
        return error


@pytest.fixture
def watcher(tmp_path: Path) -> Iterator[Watcher]:
    with Signer("good") as signer, Archive(tmp_path, signer) as archive:
        yield Watcher(archive=archive, signer=signer, made=tmp_path / "made")


def test_only_what_has_changed_is_sent(watcher: Watcher) -> None:
    watcher.has("6.1.0-3")
    watcher.has("6.1.0-3+deb12u1", "bookworm-security")
    both = ["6.1.0-3 bookworm", "6.1.0-3+deb12u1 bookworm-security"]
    assert watcher.versions() == both
    watcher.archive.answers.clear()
    assert watcher.versions() == both
    assert [status for status, _ in watcher.archive.answers] == [304, 304]
    # Signed anew, and nothing else: InRelease is sent, and no list.
    watcher.archive.answers.clear()
    watcher.archive.publish()
    assert watcher.versions() == both
    assert {path.rpartition("/")[2] for _, path in watcher.archive.answers} == {"InRelease"}
    watcher.archive.answers.clear()
    watcher.has("6.1.0-3+deb12u2", "bookworm-security")
    assert "6.1.0-3+deb12u2 bookworm-security" in watcher.versions()
    lists = [path for _, path in watcher.archive.answers if "/source/" in path]
    assert lists == ["/dists/bookworm-security/main/source/Sources.gz"]


def test_a_pocket_that_never_was_may_be_missing_and_one_that_was_may_not(
    watcher: Watcher,
) -> None:
    watcher.has("6.1.0-3")
    assert watcher.versions() == ["6.1.0-3 bookworm"]
    watcher.has("6.1.0-3+deb12u1", "bookworm-security")
    assert len(watcher.versions()) == 2
    shutil.rmtree(watcher.archive.root / "dists/bookworm-security")
    watcher.fails("bookworm-security no longer exists")
    shutil.rmtree(watcher.archive.root / "dists/bookworm")
    watcher.known.clear()
    watcher.fails("has no suite bookworm")


def test_backports_are_watched_apart(watcher: Watcher) -> None:
    watcher.suites = ("bookworm", "bookworm-backports")
    watcher.has("6.1.0-3")
    watcher.has("6.9.0-1~bpo12+1", "bookworm-backports")
    assert watcher.versions() == ["6.1.0-3 bookworm"]
    assert watcher.versions(BACKPORTS) == ["6.9.0-1~bpo12+1 bookworm-backports"]


def swap(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


FAULTS: dict[str, tuple[Callable[[Watcher], object], str]] = {
    "another key": (
        lambda w: w.archive.publish(signer=w.signer_two),  # type: ignore[attr-defined]
        "is not signed by a key",
    ),
    "changed after signing": (
        lambda w: swap(
            w.archive.root / "dists/bookworm/InRelease", b"Label: Debian", b"Label: Debiaa"
        ),
        "is not signed by a key",
    ),
    "expired": (
        lambda w: w.archive.publish(valid_until=NOW - timedelta(minutes=1)),
        "has expired",
    ),
    "older than before": (
        lambda w: w.archive.publish(date=NOW - timedelta(days=3)),
        "went back in time",
    ),
    "that of another release": (
        lambda w: shutil.copytree(
            w.has("6.1.0-4", "trixie"), w.archive.root / "dists/bookworm", dirs_exist_ok=True
        ),
        "belongs to another release",
    ),
    "half of an update": (
        lambda w: w.half("6.1.0-4"),
        "does not match its InRelease",
    ),
    "lists missing": (
        lambda w: w.half("6.1.0-4", "remove"),
        "is missing, although its InRelease lists it",
    ),
    "lists cut off": (
        lambda w: w.half("6.1.0-4", "cut"),
        "",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_believed(watcher: Watcher, fault: str) -> None:
    """And what was known stays known; put right, it is believed."""
    watcher.has("6.1.0-3")
    watcher.versions()
    before = dict(watcher.known)
    spoil, words = FAULTS[fault]
    with Signer("other") as other:
        watcher.signer_two = other  # type: ignore[attr-defined]
        spoil(watcher)
    watcher.fails(words)
    assert watcher.known == before
    watcher.archive.cut.clear()
    watcher.has("6.1.0-5", date=datetime.now(UTC))
    assert "6.1.0-5 bookworm" in watcher.versions()


def test_text_around_the_signature_counts_for_nothing(watcher: Watcher) -> None:
    """A list named before the signed text begins is not looked at."""
    watcher.has("6.1.0-3")
    evil = b"Package: iproute2\nVersion: 9-9\n"
    path = watcher.archive.root / "dists/bookworm/InRelease"
    path.write_bytes(b"SHA256:\n" + b" 0" * 9 + b"\n" + evil + path.read_bytes())
    view = watcher.look()
    assert view.error is not None or [s.version for s in view.sightings] == ["6.1.0-3"]


def test_what_was_not_modified_may_still_have_expired(watcher: Watcher) -> None:
    watcher.has("6.1.0-3", valid_until=NOW + timedelta(days=2))
    watcher.versions()
    watcher.now = NOW + timedelta(days=3)
    watcher.fails("has expired")
    watcher.frozen = True
    assert watcher.versions() == ["6.1.0-3 bookworm"]


def test_a_key_that_is_taken_away_counts_no_more(watcher: Watcher) -> None:
    """Though the index has not been modified."""
    watcher.has("6.1.0-3")
    watcher.versions()
    with Signer("other") as other:
        watcher.archive.keyring = other.keyring
        watcher.fails("is not signed by a key")


def test_an_archive_on_the_disk(watcher: Watcher) -> None:
    watcher.has("6.1.0-3")
    source = watcher.sources(TARGET)[0]
    on_disk = AptSource(
        uri=Address(f"file:{watcher.archive.root}"),
        suites=("bookworm",),
        components=("main",),
        keyring=source.keyring,
    )
    (view,) = watch.watch(
        [TARGET], lambda _: [on_disk], {}, package="iproute2", now=datetime.now(UTC)
    )
    assert [s.version for s in view.sightings] == ["6.1.0-3"]


NAMES = [f"release{n}" for n in range(12)]


@pytest.mark.needs("aptly")
def test_twelve_releases_with_nothing_new(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """As a user calls it: at most 2 s, 36 requests, and nothing but "not modified"."""
    with Signer("good") as signer, Archive(tmp_path, signer) as archive:
        dsc = packages.make_source(tmp_path / "made")
        archive.add_source(dsc)
        now = datetime.now(UTC)
        archive.publish(date=now, valid_until=now + timedelta(days=9))
        text = "".join(
            f'[release.{name}]\nbase = "bookworm"\nuris = ["{archive.url}"]\n'
            f'keyring = "{archive.keyring}"\n'
            for name in NAMES
        )
        archive.copy_suite(
            "bookworm", *(f"{n}{pocket}" for n in NAMES for pocket in nights.POCKETS)
        )
        cache = Cache(tmp_path / "cache")
        prepared = tmp_path / "prepared"
        for name in NAMES:
            release = Release(distro="debian", codename=name, version="12")
            standin.make(prepared / f"{name}_6.1.0-3", dsc, release, good=False)
        played = nights.begin(
            tmp_path,
            [],
            cache,
            standin.runner(prepared),  # type: ignore[arg-type]
            releases=NAMES,
            more=text,
        )
        done = played.night(0)
        assert done.code == 0 and len(done.runs) == 12
        archive.answers.clear()
        config, _ = tmp_path / "respin.toml", cli.installed()
        began, before = datetime.now(UTC), resource.getrusage(resource.RUSAGE_CHILDREN)
        said = cli.respin("nightly", "--json", cache=cache.root, config=config)
        took = (datetime.now(UTC) - began).total_seconds()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        record_property(
            "figure",
            f"nightly: nothing new in 12 releases took {took:.1f} s, {cpu:.1f} s of them computing",
        )
        assert said.status == 0, said.err
        assert [status for status, _ in archive.answers] == [304] * 36
        quiet = cli.respin("nightly", "--quiet", cache=cache.root, config=config)
        assert (quiet.status, quiet.out, quiet.err) == (0, "", "")
