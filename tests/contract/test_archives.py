# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What every archive must do, and how it must refuse: against a signed archive on loopback."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.archive import Archive, Signer
from support.packages import make_deb, make_source

from pipeline.archives.apt import AptArchive
from pipeline.errors import BuildError, FetchError
from pipeline.host.cache import Cache
from pipeline.model import Package, Source
from pipeline.releases import releases
from pipeline.source import fetch

BOOKWORM = releases.find("bookworm")
OLD, NEW, SECURITY = "6.1.0-2", "6.1.0-3", "6.1.0-3+deb12u1"


@pytest.fixture(scope="module")
def signer() -> Iterator[Signer]:
    with Signer("archive") as made:
        yield made


@pytest.fixture(scope="module")
def stranger() -> Iterator[Signer]:
    with Signer("stranger") as made:
        yield made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The packages that the archives of these tests hold, made once."""
    directory = tmp_path_factory.mktemp("packages")
    sources = {v: make_source(directory / v, version=v) for v in (OLD, NEW, SECURITY)}
    debs = {
        "base": make_deb(directory, "base", fields={"Essential": "yes", "Depends": "libbase"}),
        "libbase": make_deb(directory, "libbase", "1:2.0+x-1"),
        "login": make_deb(directory, "login", fields={"Priority": "required"}),
        "tool": make_deb(
            directory, "tool", fields={"Depends": "libbase (>= 1:2)", "Recommends": "extra"}
        ),
        "extra": make_deb(directory, "extra"),
        "broken": make_deb(directory, "broken", fields={"Depends": "nowhere (>= 3)"}),
        "build-essential": make_deb(directory, "build-essential"),
        "debhelper": make_deb(
            directory, "debhelper", fields={"Provides": "debhelper-compat (= 13)"}
        ),
    }
    return {**sources, **debs}


@pytest.fixture
def archive(tmp_path: Path, signer: Signer, made: dict[str, Path]) -> Iterator[Archive]:
    """An archive with two pockets, published."""
    with Archive(tmp_path, signer) as serving:
        for version in (OLD, NEW):
            serving.add_source(made[version])
        serving.add_source(made[SECURITY], suite="bookworm-security")
        for name in made.keys() - {OLD, NEW, SECURITY}:
            serving.add_deb(made[name])
        serving.publish()
        yield serving


def opened(archive: Archive, cache: Path, keyring: Path | None = None) -> AptArchive:
    sources = releases.sources(BOOKWORM, mirror=archive.url, keyring=keyring or archive.keyring)
    return AptArchive(BOOKWORM, sources, Cache(cache), log=cache.parent / "apt.log")


@pytest.fixture
def apt(archive: Archive, tmp_path: Path) -> AptArchive:
    return opened(archive, tmp_path / "cache")


def names(directory: Path) -> set[str]:
    """Everything below a directory, hidden files too; nothing if it is not there."""
    return (
        {str(p.relative_to(directory)) for p in directory.rglob("*")}
        if directory.exists()
        else set()
    )


def check(source: Source, version: str, dest: Path) -> None:
    """A source is whole, and each file is what its record says."""
    assert (source.name, source.version) == ("iproute2", version)
    assert source.dsc == dest / f"iproute2_{version}.dsc"
    assert names(dest) == {f.path.name for f in source.files}
    assert len(source.files) == 3
    for file in source.files:
        data = file.path.read_bytes()
        assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())


class TestSources:
    def test_versions_of_all_pockets_newest_first(self, apt: AptArchive) -> None:
        found = [(v.version, v.suite) for v in apt.versions("iproute2")]
        assert found == [(SECURITY, "bookworm-security"), (NEW, "bookworm"), (OLD, "bookworm")]

    def test_a_package_that_is_not_there_has_no_versions(self, apt: AptArchive) -> None:
        assert apt.versions("iproute3") == ()

    def test_newest(self, apt: AptArchive, signer: Signer, tmp_path: Path) -> None:
        source = fetch.fetch(apt, None, tmp_path / "out")
        check(source, SECURITY, tmp_path / "out")
        for file in source.files:
            assert "bookworm-security" in file.verified
            assert signer.fingerprint in file.verified

    def test_exact_version(self, apt: AptArchive, tmp_path: Path) -> None:
        check(fetch.fetch(apt, OLD, tmp_path / "out"), OLD, tmp_path / "out")

    def test_into_a_directory_that_has_files(self, apt: AptArchive, tmp_path: Path) -> None:
        out = tmp_path / "out"
        out.mkdir()
        (out / "mine").write_text("kept")
        source = fetch.fetch(apt, NEW, out)
        assert names(out) == {"mine", *(f.path.name for f in source.files)}

    def test_unpack(self, apt: AptArchive, tmp_path: Path) -> None:
        source = fetch.fetch(apt, NEW, tmp_path / "out")
        assert source.indexed
        tree = fetch.unpack(source, tmp_path / "tree")
        assert (tree / "README").read_text() == "iproute2 6.1.0\n"
        assert (tree / "debian/changelog").exists()
        assert names(tmp_path / "out") == {f.path.name for f in source.files}

    def test_version_that_is_not_there(self, apt: AptArchive, tmp_path: Path) -> None:
        with pytest.raises(FetchError, match=r"6\.1\.0-9 is not in debian bookworm") as caught:
            fetch.fetch(apt, "6.1.0-9", tmp_path / "out")
        assert all(v in caught.value.details for v in (OLD, NEW, SECURITY))
        assert names(tmp_path / "out") == set()

    def test_package_that_is_not_there(self, apt: AptArchive, tmp_path: Path) -> None:
        with pytest.raises(FetchError, match="has no package iproute3"):
            fetch.fetch(apt, None, tmp_path / "out", name="iproute3")


class TestRefusals:
    """Nothing that cannot be verified is used, and nothing of it is left."""

    def refused(self, apt: AptArchive, directory: Path, words: str) -> FetchError:
        out = directory / "work" / "out"
        with pytest.raises(FetchError, match=words) as caught:
            fetch.fetch(apt, NEW, out)
        assert caught.value.hint
        assert names(directory / "work") <= {"out"}
        return caught.value

    def test_wrong_key(
        self, archive: Archive, apt: AptArchive, stranger: Signer, tmp_path: Path
    ) -> None:
        archive.publish(signer=stranger)
        self.refused(apt, tmp_path, "not signed by a key of the keyring")

    def test_wrong_key_after_a_good_one(
        self, archive: Archive, apt: AptArchive, stranger: Signer, tmp_path: Path
    ) -> None:
        """apt would go on with the lists that it has; that must not pass for an update."""
        apt.update()
        archive.publish(signer=stranger)
        self.refused(
            opened(archive, tmp_path / "cache"), tmp_path, "not signed by a key of the keyring"
        )

    def test_changed_index(self, archive: Archive, apt: AptArchive, tmp_path: Path) -> None:
        inrelease = archive.root / "dists/bookworm/InRelease"
        inrelease.write_text(inrelease.read_text().replace("Origin: Debian", "Origin: debian"))
        self.refused(apt, tmp_path, "not signed by a key of the keyring")

    def test_unsigned(self, archive: Archive, apt: AptArchive, tmp_path: Path) -> None:
        inrelease = archive.root / "dists/bookworm/InRelease"
        signed = inrelease.read_text()
        (inrelease.parent / "Release").write_text(
            signed.split("\n\n", 1)[1].split("-----BEGIN PGP SIGNATURE")[0]
        )
        inrelease.unlink()
        self.refused(apt, tmp_path, "is not signed at all")

    def test_expired(self, archive: Archive, apt: AptArchive, tmp_path: Path) -> None:
        now = datetime.now(UTC)
        archive.publish(date=now - timedelta(days=30), valid_until=now - timedelta(days=1))
        self.refused(apt, tmp_path, "expired")

    def test_index_is_not_the_signed_one(
        self, archive: Archive, apt: AptArchive, tmp_path: Path
    ) -> None:
        archive.corrupt("Sources.gz")
        archive.corrupt("Sources")
        self.refused(apt, tmp_path, "not the one that the signed index lists")

    @pytest.mark.parametrize(
        ("how", "words"),
        [
            ("bytes", "not the one that the signed index lists"),
            ("truncate", "not the one that the signed index lists"),
            ("remove", "lacks a file that its signed index lists"),
            ("cut", "ended before the file was whole"),
        ],
    )
    def test_spoilt_file(
        self, archive: Archive, apt: AptArchive, tmp_path: Path, how: str, words: str
    ) -> None:
        archive.corrupt("iproute2_6.1.0.orig.tar.gz", how)
        self.refused(apt, tmp_path, words)

    def test_connection_refused(self, archive: Archive, signer: Signer, tmp_path: Path) -> None:
        sources = releases.sources(BOOKWORM, mirror=archive.url, keyring=signer.keyring)
        gone = AptArchive(BOOKWORM, sources, Cache(tmp_path / "cache"))
        archive.__exit__()
        try:
            self.refused(gone, tmp_path, "cannot be reached")
        finally:
            archive.__enter__()

    def test_release_that_is_not_there(self, archive: Archive, tmp_path: Path) -> None:
        trixie = releases.find("trixie")
        sources = releases.sources(trixie, mirror=archive.url, keyring=archive.keyring)
        self.refused(
            AptArchive(trixie, sources, Cache(tmp_path / "cache")),
            tmp_path,
            "not have this release",
        )

    def test_lists_changed_in_the_cache(
        self, archive: Archive, apt: AptArchive, tmp_path: Path
    ) -> None:
        """Whoever can write the cache cannot pass off another source as the distro's."""
        apt.update()
        for path in (tmp_path / "cache").rglob("*bookworm_main_source_Sources"):
            path.write_bytes(path.read_bytes().replace(b"tester@", b"Tester@"))
        for path in (tmp_path / "cache").rglob("pkgcache.bin"):
            path.unlink()
        apt._lists = apt._root._indexes()
        with pytest.raises(FetchError, match="does not match its signed InRelease"):
            apt.fetch_source("iproute2", NEW, tmp_path / "out")


class TestUpdate:
    def test_what_has_not_changed_is_not_fetched_again(
        self, archive: Archive, tmp_path: Path
    ) -> None:
        opened(archive, tmp_path / "cache").update()
        archive.requests.clear()
        opened(archive, tmp_path / "cache").update()
        assert [r for r in archive.requests if "InRelease" not in r] == []

    def test_a_new_upload_is_seen(self, archive: Archive, apt: AptArchive, tmp_path: Path) -> None:
        apt.update()
        assert apt.versions("iproute2")[0].version == SECURITY
        archive.add_source(make_source(tmp_path / "new", version="6.1.0-4"))
        archive.publish(date=datetime.now(UTC) - timedelta(minutes=1))
        apt.update()
        assert apt.versions("iproute2")[0].version == "6.1.0-4"

    def test_a_missing_pocket_does_no_harm(
        self, tmp_path: Path, signer: Signer, made: dict[str, Path]
    ) -> None:
        with Archive(tmp_path, signer) as archive:
            archive.add_source(made[NEW])
            archive.publish()
            apt = opened(archive, tmp_path / "cache")
            assert [v.suite for v in apt.versions("iproute2")] == ["bookworm"]

    def test_two_runs_at_once(self, archive: Archive, tmp_path: Path) -> None:
        failures: list[BaseException] = []

        def one(number: int) -> None:
            try:
                apt = opened(archive, tmp_path / "cache")
                check(
                    fetch.fetch(apt, NEW, tmp_path / f"out{number}"), NEW, tmp_path / f"out{number}"
                )
            except BaseException as e:
                failures.append(e)

        threads = [threading.Thread(target=one, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []

    def test_armoured_keyring(self, archive: Archive, signer: Signer, tmp_path: Path) -> None:
        keyring = tmp_path / "key.asc"
        keyring.write_bytes(signer.armored())
        source = fetch.fetch(opened(archive, tmp_path / "cache", keyring), NEW, tmp_path / "out")
        assert signer.fingerprint in source.files[0].verified


class TestBinaries:
    def test_candidate(self, apt: AptArchive) -> None:
        assert apt.candidate("libbase") == Package(
            name="libbase", version="1:2.0+x-1", architecture="all"
        )
        assert apt.candidate("nowhere") is None

    def test_versions(self, apt: AptArchive) -> None:
        assert apt.binary_versions("libbase") == ("1:2.0+x-1",)
        assert apt.binary_versions("nowhere") == ()

    def test_essential(self, apt: AptArchive) -> None:
        assert apt.essential() == ("base", "login")
        assert apt.essential(()) == ("base",)

    def test_closure(self, apt: AptArchive) -> None:
        assert [p.name for p in apt.closure(["tool"])] == ["libbase", "tool"]
        assert apt.closure(["libbase"])[0].version == "1:2.0+x-1"
        assert [p.name for p in apt.closure(["base", "tool=1.0-1"])] == ["base", "libbase", "tool"]

    def test_a_closure_says_which_files_it_means(
        self, apt: AptArchive, archive: Archive, tmp_path: Path
    ) -> None:
        closure = apt.closure(["tool"])
        sums = {f.sha256 for f in apt.download(closure, tmp_path / "debs")}
        assert {p.sha256 for p in closure} == sums
        assert apt.lacking(closure) == ()
        other = replace(closure[0], sha256="0" * 64)
        assert apt.lacking([other, *closure[1:]]) == (other,)

    def test_closure_of_build_dependencies(self, apt: AptArchive, made: dict[str, Path]) -> None:
        found = [p.name for p in apt.closure(["tool"], dsc=made[NEW])]
        assert found == ["build-essential", "debhelper", "libbase", "tool"]

    def test_what_does_not_apply_here_is_no_build_dependency(
        self, apt: AptArchive, tmp_path: Path
    ) -> None:
        wanted = "debhelper-compat (= 13), tool <!nocheck>, extra [hurd-i386], broken <cross>"
        dsc = make_source(tmp_path / "s", build_depends=wanted)
        found = [p.name for p in apt.closure([], dsc=dsc)]
        assert found == ["build-essential", "debhelper", "libbase", "tool"]

    @pytest.mark.parametrize(
        ("package", "named"), [("broken", "nowhere"), ("nowhere", "nowhere"), ("tool=9", "tool")]
    )
    def test_unsatisfied(self, apt: AptArchive, package: str, named: str) -> None:
        with pytest.raises(BuildError, match=named) as caught:
            apt.closure([package])
        assert caught.value.hint and caught.value.details

    def test_unsatisfied_build_dependency(self, apt: AptArchive, tmp_path: Path) -> None:
        dsc = make_source(tmp_path / "s", build_depends="debhelper-compat (= 13), nowhere (>= 3)")
        with pytest.raises(BuildError, match=r"nowhere \(>= 3\)"):
            apt.closure(["tool"], dsc=dsc)

    def test_many_names_and_few_are_found_alike(self, apt: AptArchive) -> None:
        few = [apt.candidate(name) for name in ("base", "tool", "extra")]
        many = apt._binaries([f"none{n}" for n in range(20)] + ["base", "tool", "extra"])
        assert [p and p.version for p in few] == [
            many[name][0].version for name in ("base", "tool", "extra")
        ]

    def test_download(self, archive: Archive, apt: AptArchive, tmp_path: Path) -> None:
        closure = apt.closure(["tool"])
        files = apt.download(closure, tmp_path / "debs")
        assert [f.path.name for f in files] == ["libbase_2.0+x-1_all.deb", "tool_1.0-1_all.deb"]
        assert names(tmp_path / "debs") == {f.path.name for f in files}
        for file in files:
            assert hashlib.sha256(file.path.read_bytes()).hexdigest() == file.sha256
            assert "Packages of bookworm" in file.verified
        archive.requests.clear()
        assert [f.sha256 for f in apt.download(closure, tmp_path / "again")] == [
            f.sha256 for f in files
        ]
        assert archive.requests == []

    def test_a_spoilt_download_in_the_cache_is_fetched_again(
        self, apt: AptArchive, tmp_path: Path
    ) -> None:
        first = apt.fetch_binary("tool", None, tmp_path / "one")
        (tmp_path / "cache/downloads" / first.sha256).write_bytes(b"spoilt")
        second = apt.fetch_binary("tool", "1.0-1", tmp_path / "two")
        for each in (first, second):
            assert hashlib.sha256(each.path.read_bytes()).hexdigest() == first.sha256
            assert each.path.stat().st_nlink == 1

    def test_spoilt_package(self, archive: Archive, apt: AptArchive, tmp_path: Path) -> None:
        archive.corrupt("tool_1.0-1_all.deb")
        with pytest.raises(FetchError, match="not the one that the signed index lists"):
            apt.download(apt.closure(["tool"]), tmp_path / "debs")
        assert names(tmp_path / "debs") == set()

    def test_package_of_another_version(self, apt: AptArchive, tmp_path: Path) -> None:
        with pytest.raises(FetchError, match="tool 9 is not in"):
            apt.fetch_binary("tool", "9", tmp_path / "debs")
        with pytest.raises(FetchError, match="tool"):
            apt.download([Package(name="tool", version="9", architecture="all")], tmp_path / "debs")
