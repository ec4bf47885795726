# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The attacker stands between respin and the archive, or is the mirror.

They cannot sign, but have everything that the archive has ever signed. The aim is that respin
accepts an old index, or one of another suite, and then rebuilds, proves and publishes a source
with holes that were closed long ago. The tests try both a night's watch and a run with apt.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from support import history, inprocess, onerelease
from support.archive import Archive, Signer
from support.nights import Distro
from support.packages import make_source
from support.services import Service, snapshot

from pipeline.archives import belief
from pipeline.archives.apt import AptArchive
from pipeline.archives.memory import Memory
from pipeline.archives.release import SignedRelease
from pipeline.archives.signedindex import SuiteIndex
from pipeline.archives.snapshot import Snapshot
from pipeline.errors import FetchError
from pipeline.host.cache import Cache
from pipeline.model import AptSource, Release
from pipeline.nightly import watch
from pipeline.nightly.targets import Target
from pipeline.releases import releases
from pipeline.releases.releases import Pocket
from pipeline.source import fetch

pytestmark = pytest.mark.attack

BOOKWORM = releases.find("bookworm")
TODAY = date(2026, 1, 1)
"""While bookworm is supported."""
NOW = datetime.now(UTC)
OLD, NEW, SECURE = "6.1.0-2", "6.1.0-3", "6.1.0-3+deb12u1"
ROADS = ("watch", "apt")
NEVER = {"Valid-Until": ""}
"""As Debian's stable releases and all of Ubuntu's: such an index does not expire."""


@pytest.fixture(scope="module")
def signer() -> Iterator[Signer]:
    with Signer("distro") as made:
        yield made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("sources")
    return {v: make_source(directory / v, version=v) for v in (OLD, NEW, SECURE)}


@dataclass(kw_only=True)
class Here:
    """An archive, and who reads it, by either road."""

    directory: Path
    archive: Archive
    made: dict[str, Path]
    pockets: tuple[Pocket, ...] = (Pocket.RELEASE, Pocket.SECURITY)
    release: Release = BOOKWORM
    given: Sequence[AptSource] = ()
    known: dict[watch.Key, SuiteIndex] = field(default_factory=dict)

    def has(
        self,
        version: str,
        suite: str = "bookworm",
        *,
        age: timedelta = timedelta(hours=1),
        **says: str,
    ) -> None:
        """Let a suite hold this version alone, signed so long ago; its index never expires."""
        pool = self.archive._pool(suite)
        for path in pool.iterdir():
            path.unlink()
        self.archive.add_source(self.made[version], suite=suite)
        self.archive.says[suite] = {**NEVER, **says}
        self.archive.publish(date=datetime.now(UTC) - age, only=suite)

    def serve(self, suite: str, *, as_: str) -> None:
        """Serve what one suite has as another."""
        dists = self.archive.root / "dists"
        shutil.rmtree(dists / as_, ignore_errors=True)
        (dists / as_).parent.mkdir(exist_ok=True)
        shutil.copytree(dists / suite, dists / as_)
        for path in (dists / as_).rglob("*"):
            path.touch()  # the server tells it from what it served before

    def sources(self) -> Sequence[AptSource]:
        return self.given or releases.sources(
            self.release,
            mirror=self.archive.url,
            keyring=self.archive.keyring,
            pockets=self.pockets,
            on=TODAY,
        )

    def by_watch(self) -> str:
        """Return the newest version that a night sees. Raises FetchError."""
        target = Target(name="it", release=self.release, pockets=tuple(Pocket))
        memory = Memory(Cache(self.directory / "cache"))
        (view,) = watch.watch(
            [target],
            lambda _: self.sources(),
            self.known,
            package="iproute2",
            now=datetime.now(UTC),
            memory=memory,
        )
        if view.error:
            raise view.error
        self.known |= {(i.site, i.suite): i for i in view.indexes}
        return max(s.version for s in view.sightings)

    def by_apt(self, *, anew: bool = False) -> str:
        """Return what a run takes; ``anew``: with lists of its own. Raises FetchError."""
        if anew:
            shutil.rmtree(self.directory / "cache/apt", ignore_errors=True)
        cache = Cache(self.directory / "cache")
        archive = AptArchive(self.release, self.sources(), cache, log=self.directory / "log")
        return fetch.fetch(archive, None, self.directory / "out").version

    def by(self, road: str) -> str:
        return self.by_watch() if road == "watch" else self.by_apt(anew=True)

    def refused(self, road: str, words: str) -> FetchError:
        with pytest.raises(FetchError, match=words) as caught:
            self.by(road)
        assert caught.value.exit_code == 10 and caught.value.hint
        return caught.value


@pytest.fixture
def here(tmp_path: Path, signer: Signer, made: dict[str, Path]) -> Iterator[Here]:
    with Archive(tmp_path, signer) as archive:
        yield Here(directory=tmp_path, archive=archive, made=made)


@pytest.mark.parametrize("road", ROADS)
class TestFirstContact:
    """Nothing was seen of the archive before."""

    @pytest.mark.parametrize(
        ("served", "as_"),
        [
            ("jessie", "bookworm"),
            ("trixie", "bookworm"),
            ("bookworm-security", "bookworm"),
            ("bookworm-updates", "bookworm"),
            ("bookworm-proposed-updates", "bookworm"),
            ("bookworm", "bookworm-security"),
            ("bullseye-security", "bookworm-security"),
        ],
    )
    def test_the_index_of_another_suite(self, here: Here, road: str, served: str, as_: str) -> None:
        """Years old in one case, of today in the others, and all without an end."""
        age = timedelta(days=2000) if served == "jessie" else timedelta(hours=1)
        here.has(NEW)
        here.has(OLD, served, age=age)
        here.serve(served, as_=as_)
        error = here.refused(road, "belongs to another release")
        assert f"respin asked for {as_}" in error.details

    def test_one_of_before_the_release_came_out(self, here: Here, road: str) -> None:
        """When bookworm was testing; its names are right."""
        here.has(OLD, age=NOW - datetime(2022, 6, 1, tzinfo=UTC))
        error = here.refused(road, "is older than the release itself")
        assert "2023-06-10" in error.details

    def test_a_pocket_of_before_the_release_came_out(self, here: Here, road: str) -> None:
        here.has(NEW)
        here.has(OLD, "bookworm-security", age=NOW - datetime(2022, 6, 1, tzinfo=UTC))
        here.refused(road, "bookworm-security at .* is older than the release itself")

    def test_a_pocket_of_long_before_the_last_point_release(self, here: Here, road: str) -> None:
        """What it lists is in the release by now, with holes that were closed since."""
        here.has(NEW)
        here.has(SECURE, "bookworm-security", age=timedelta(days=200))
        here.refused(road, "bookworm-security at .* is older than that of bookworm")

    def test_control_a_pocket_that_was_signed_some_days_before(self, here: Here, road: str) -> None:
        here.has(NEW)
        here.has(SECURE, "bookworm-security", age=timedelta(days=5))
        assert here.by(road) == SECURE

    def test_control_an_archive_that_is_frozen(self, here: Here, road: str) -> None:
        """Old is what it has to be; it is still held to its name."""
        here.has(OLD, age=NOW - datetime(2022, 6, 1, tzinfo=UTC))
        (living,) = releases.sources(
            BOOKWORM, mirror=here.archive.url, keyring=here.archive.keyring, on=TODAY
        )
        here.given = [replace(living, frozen=True)]
        assert here.by(road) == OLD
        here.has(NEW, "trixie", age=timedelta(days=3))
        here.serve("trixie", as_="bookworm")
        here.refused(road, "belongs to another release")

    def test_an_index_without_a_date(self, here: Here, road: str) -> None:
        here.has(NEW, Date="")
        here.refused(road, "has no Date")

    def test_an_index_of_the_future(self, here: Here, road: str) -> None:
        """It would keep all that come after it from being believed."""
        here.has(NEW, age=timedelta(days=-3))
        here.refused(road, "dated in the future")

    def test_an_index_that_has_no_name(self, here: Here, road: str) -> None:
        here.has(NEW, Suite="", Codename="")
        assert "not given" in here.refused(road, "belongs to another release").details


@pytest.mark.parametrize("road", ROADS)
class TestLater:
    """Something was seen before."""

    def test_one_that_is_older_than_the_one_before(self, here: Here, road: str) -> None:
        here.has(NEW)
        assert here.by(road) == NEW
        here.has(OLD, age=timedelta(days=30))
        error = here.refused(road, "went back in time")
        assert "/seen/" in error.hint

    def test_a_little_older_and_with_a_lower_version(self, here: Here, road: str) -> None:
        """The watch keeps what it has, as apt does; a run without lists says so."""
        here.has(NEW)
        here.by(road)
        here.has(OLD, age=timedelta(hours=20))
        if road == "watch":
            assert here.by(road) == NEW
            here.known.clear()
        here.refused(road, f"is out of date: it has iproute2 {OLD}, but it had {NEW} before")

    def test_control_a_mirror_that_is_a_little_behind(self, here: Here, road: str) -> None:
        """Round-robin: now one answers, now the other."""
        here.has(NEW)
        assert here.by(road) == NEW
        here.has(NEW, age=timedelta(hours=20))
        here.known.clear()
        assert here.by(road) == NEW
        # And that did not make what was seen any older.
        here.has(NEW, age=timedelta(days=2, hours=10))
        here.known.clear()
        here.refused(road, "went back in time")

    def test_control_a_version_that_the_distro_withdraws(self, here: Here, road: str) -> None:
        here.has(NEW)
        assert here.by(road) == NEW
        here.has(OLD, age=timedelta(0))
        assert here.by(road) == OLD

    def test_a_pocket_that_is_not_served_any_more(self, here: Here, road: str) -> None:
        """Then the release's own version would be the newest, with its holes."""
        here.has(NEW)
        here.has(SECURE, "bookworm-security")
        assert here.by(road) == SECURE
        shutil.rmtree(here.archive.root / "dists/bookworm-security")
        error = here.refused(road, "bookworm-security no longer exists at")
        assert "--pocket" in error.hint
        here.known.clear()
        here.refused(road, "bookworm-security no longer exists at")
        here.pockets = (Pocket.RELEASE,)
        assert here.by(road) == NEW

    def test_the_name_changes(self, here: Here, road: str) -> None:
        """An alias that leads elsewhere now: its own Codename, right or wrong, was another."""
        here.given = [
            AptSource(
                uri=here.archive.url,  # type: ignore[arg-type]
                suites=("stable",),
                components=("main",),
                keyring=here.archive.keyring,
            )
        ]
        here.has(NEW, "stable", age=timedelta(hours=9), Codename="bookworm")
        assert here.by(road) == NEW
        here.has(OLD, "stable", Codename="trixie")
        here.refused(road, "belongs to another release")

    @pytest.mark.parametrize(
        "damage", ["", "{}", "[]", '{"codename": "bookworm", "date": "never", "versions": {}}']
    )
    def test_what_was_seen_is_damaged(self, here: Here, road: str, damage: str) -> None:
        """It is not passed over."""
        here.has(NEW)
        here.by(road)
        (path,) = (here.directory / "cache/seen").glob("*.json")
        path.write_text(damage)
        error = here.refused(road, "could not read its record of bookworm at")
        assert str(path) in error.hint

    def test_what_was_seen_is_a_link(self, here: Here, road: str) -> None:
        here.has(NEW)
        here.by(road)
        (path,) = (here.directory / "cache/seen").glob("*.json")
        other = here.directory / "other.json"
        path.rename(other)
        path.symlink_to(other)
        here.refused(road, "could not read its record of bookworm at")


@pytest.mark.parametrize(("first", "then"), [ROADS, ROADS[::-1]])
def test_what_one_road_saw_is_held_against_the_other(here: Here, first: str, then: str) -> None:
    here.has(NEW)
    assert here.by(first) == NEW
    here.has(OLD, age=timedelta(days=30))
    here.refused(then, "went back in time")


def test_other_pockets_are_no_first_contact(here: Here) -> None:
    """apt's lists are others then; what was seen is the same."""
    here.has(NEW)
    here.has(SECURE, "bookworm-security")
    assert here.by_apt() == SECURE
    here.has(OLD, age=timedelta(days=30))
    here.pockets = (Pocket.RELEASE,)
    with pytest.raises(FetchError, match="went back in time"):
        here.by_apt()


def test_control_apt_keeps_the_newer_of_its_lists(here: Here) -> None:
    here.has(NEW)
    assert here.by_apt() == NEW
    here.has(OLD, age=timedelta(days=30))
    here.archive.add_source(here.made[NEW])  # its files are still there
    assert here.by_apt() == NEW


def test_what_an_older_respin_took_is_looked_at_again(here: Here) -> None:
    """It held no names against anything; "not modified" would keep it for ever."""
    here.has(NEW)
    here.by_watch()
    here.known = {key: replace(known, keys="0" * 64) for key, known in here.known.items()}
    here.has(OLD, "trixie")
    here.serve("trixie", as_="bookworm")
    here.refused("watch", "belongs to another release")


def test_an_index_of_long_ago_that_is_of_another_suite(
    tmp_path: Path, signer: Signer, made: dict[str, Path]
) -> None:
    """snapshot serves it as sid's: it vouches for nothing."""
    dsc = make_source(tmp_path / "made", version=history.VERSION)
    with Archive(tmp_path / "then", signer, suite="rc-buggy") as then, Service() as service:
        then.add_source(dsc)
        then.publish(date=history.LONG_AGO)
        shutil.copytree(then.root / "dists/rc-buggy", then.root / "dists/sid")
        snapshot(service, dsc, history.VERSION, archive=then)
        asked = history.service_of(service, history.Time(), tmp_path / "cache", signer.keyring)
        history.refused(Snapshot(BOOKWORM, asked), tmp_path, "nothing vouches for", history.VERSION)


# -- what is called what ----------------------------------------------------------------

RIGHT = [
    # As the archives said it in November 2026.
    ("bookworm", "oldstable", "bookworm", "Debian", "Debian"),
    ("oldstable", "oldstable", "bookworm", "Debian", "Debian"),
    ("stable", "stable", "trixie", "Debian", "Debian"),
    ("bookworm-updates", "oldstable-updates", "bookworm-updates", "Debian", "Debian"),
    ("oldstable-updates", "oldstable-updates", "bookworm-updates", "Debian", "Debian"),
    ("bookworm-security", "oldstable-security", "bookworm-security", "Debian", "Debian-Security"),
    ("stable-security", "stable-security", "trixie-security", "Debian", "Debian-Security"),
    *(
        (suite, f"oldstable-{pocket}", f"bookworm-{pocket}", "Debian Backports", "Debian Backports")
        for pocket in ("backports",)
        for suite in ("bookworm-backports", "oldstable-backports")
    ),
    ("sid", "unstable", "sid", "Debian", "Debian"),
    ("unstable", "unstable", "sid", "Debian", "Debian"),
    ("forky", "testing", "forky", "Debian", "Debian"),
    # Debian 10 and older, also at archive.debian.org.
    ("buster/updates", "oldoldstable", "buster", "Debian", "Debian-Security"),
    ("wheezy-updates", "stable-updates", "wheezy-updates", "Debian", "Debian"),
    ("squeeze-lts", "squeeze-lts", "squeeze-lts", "Debian", "Debian"),
    ("noble", "noble", "noble", "Ubuntu", "Ubuntu"),
    ("noble-updates", "noble-updates", "noble", "Ubuntu", "Ubuntu"),
    ("noble-security", "noble-security", "noble", "Ubuntu", "Ubuntu"),
    ("xenial-infra-security", "xenial-infra-security", "xenial", "UbuntuESM", "UbuntuESM"),
    # Derivatives, and archives of one's own.
    ("acme-12", "acme-12", "", "Acme", ""),
    ("acme-12", "", "acme-12", "Acme", ""),
    ("acme-12-security", "acme-12-security", "acme-12-security", "Acme", ""),
    ("acme/updates", "acme", "acme", "Acme", "Acme"),
    ("kali-rolling", "kali-rolling", "kali-rolling", "Kali", "Kali"),
]

WRONG = [
    ("bookworm", "oldstable-security", "bookworm-security", "Debian", "Debian-Security"),
    ("stable", "oldstable", "bookworm", "Debian", "Debian"),
    ("buster/updates", "oldoldstable", "buster", "Debian", "Debian"),
    ("buster/updates", "oldoldstable", "stretch", "Debian", "Debian-Security"),
    ("buster", "oldoldstable", "stretch", "Debian", "Debian-Security"),
    # Ubuntu's pockets have the release's own Codename.
    ("noble", "noble-proposed", "noble", "Ubuntu", "Ubuntu"),
    ("noble", "noble-security", "noble", "Ubuntu", "Ubuntu"),
    ("noble-security", "noble", "noble", "Ubuntu", "Ubuntu"),
    ("noble-security", "noble-updates", "noble", "Ubuntu", "Ubuntu"),
    ("noble-security", "jammy-security", "jammy", "Ubuntu", "Ubuntu"),
    ("acme-12", "acme-11", "acme-11", "Acme", ""),
    ("acme-12", "", "", "Acme", ""),
]


def release_of(
    signer: Signer, asked: str, suite: str, codename: str, origin: str, label: str
) -> SignedRelease:
    fields = {"Origin": origin, "Label": label, "Suite": suite, "Codename": codename}
    lines = [f"{name}: {value}" for name, value in fields.items() if value]
    text = "\n".join((*lines, "Date: Sat, 11 Jul 2026 10:16:37 UTC", "SHA256:", ""))
    return SignedRelease(
        signer.clearsign(text), suite=asked, site="http://here", keyrings=(signer.keyring,)
    )


@pytest.mark.parametrize(("asked", "suite", "codename", "origin", "label"), RIGHT)
def test_control_names_that_are_right(
    signer: Signer, asked: str, suite: str, codename: str, origin: str, label: str
) -> None:
    belief.check_name(release_of(signer, asked, suite, codename, origin, label))


@pytest.mark.parametrize(("asked", "suite", "codename", "origin", "label"), WRONG)
def test_names_that_are_wrong(
    signer: Signer, asked: str, suite: str, codename: str, origin: str, label: str
) -> None:
    with pytest.raises(FetchError, match="belongs to another release"):
        belief.check_name(release_of(signer, asked, suite, codename, origin, label))


# -- as it is called --------------------------------------------------------------------


def test_respin_fetch(here: Here) -> None:
    """The finding as it was: an old index of another suite, at first contact."""
    here.has(NEW)
    here.has(OLD, "jessie", age=timedelta(days=2000))
    here.serve("jessie", as_="bookworm")
    said = inprocess.respin(
        *("fetch", "--release", "bookworm", "--mirror", here.archive.url),
        *("--keyring", here.archive.keyring, "--out", here.directory / "out"),
        env={"RESPIN_CACHE": str(here.directory / "cache")},
    )
    assert said.status == 10
    assert f"the index of bookworm at {here.archive.url} belongs to another release" in " ".join(
        said.err.split()
    )
    assert not (here.directory / "out").exists()


@pytest.mark.needs("aptly")
def test_respin_nightly(tmp_path: Path) -> None:
    """A night builds and publishes nothing of it; what was published stays."""
    with onerelease.begin(tmp_path) as made:
        made.has("6.1.0-3")
        done = made.nights.night(0)
        assert done.code == 0 and made.nights.offered("bookworm")
        before = made.nights.offered("bookworm")
        made.has("6.1.0-4")
        made.distro.publish(date=datetime.now(UTC) - timedelta(days=400), only="bookworm")
        _never_expires(made.distro)
        done = made.nights.night()
        assert done.code == 10 and not done.runs
        assert made.nights.rows()["bookworm"].outcome == "problem"
        assert "went back in time" in made.nights.page()
        assert made.nights.offered("bookworm") == before
        # A cache that is empty does not make it a first contact: the state remembers, too.
        shutil.rmtree(tmp_path / "cache")
        world = replace(made.nights.world, cache=Cache(tmp_path / "cache"))
        made.nights.world = world
        assert made.nights.night().code == 10


def _never_expires(distro: Distro) -> None:
    distro.says["bookworm"] = NEVER
    distro.publish(date=datetime.now(UTC) - timedelta(days=400), only="bookworm")
