# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Archives of two architectures, as a cross build needs them, and of another than this one's."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import ubuntu
from support.archive import Archive, Signer
from support.packages import make_deb, make_source
from support.ubuntu import Host
from support.ubuntupackages import NOBLE, SECURITY

from pipeline.archives import host_apt
from pipeline.archives.apt import AptArchive
from pipeline.build import build
from pipeline.errors import BuildError, FetchError, UsageError
from pipeline.host.cache import Cache
from pipeline.model import Package
from pipeline.nightly import port
from pipeline.releases import releases
from pipeline.runs.inputs import of_both
from pipeline.runs.request import Request

BOOKWORM, UBUNTU = releases.find("bookworm"), releases.find(NOBLE)
NATIVE = host_apt.architecture()
FOREIGN = "arm64" if NATIVE != "arm64" else "amd64"
TOOLS = ("build-essential", "fakeroot", "ccache", f"crossbuild-essential-{FOREIGN}")
SAME, ALLOWED = {"Multi-Arch": "same"}, {"Multi-Arch": "foreign"}
NEEDS = "debhelper-compat (= 13), generator, library-dev, helper:native"


@pytest.fixture(scope="module")
def signer() -> Iterator[Signer]:
    with Signer("two") as made:
        yield made


@pytest.fixture(scope="module")
def dsc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source"), build_depends=NEEDS)


def debs(directory: Path) -> Iterator[tuple[str, Path]]:
    """Yield a small release: the architecture of each package, and its .deb."""
    for architecture in (NATIVE, FOREIGN):
        place = directory / architecture
        place.mkdir(parents=True)
        library = {"Depends": "library (>= 1.0-1)", **SAME}
        yield architecture, make_deb(place, "library", architecture=architecture, fields=SAME)
        yield (
            architecture,
            make_deb(place, "library-dev", architecture=architecture, fields=library),
        )
        for name in ("generator", "fakeroot"):
            fields = {"Depends": "library", **ALLOWED}
            yield architecture, make_deb(place, name, architecture=architecture, fields=fields)
        for name in ("helper", "build-essential", "ccache"):
            yield architecture, make_deb(place, name, architecture=architecture)
    provides = {"Provides": "debhelper-compat (= 13)", **ALLOWED}
    yield NATIVE, make_deb(directory, "debhelper", fields=provides)
    yield NATIVE, make_deb(directory, f"crossbuild-essential-{FOREIGN}")


def newer(directory: Path, architecture: str) -> Path:
    """Return the library of a security update."""
    return make_deb(directory, "library", "1.0-1.1", architecture=architecture, fields=SAME)


@pytest.fixture
def archive(tmp_path: Path, signer: Signer) -> Iterator[Archive]:
    """A release with both, and a security pocket with packages of this machine's alone."""
    with Archive(tmp_path, signer, architecture=f"{NATIVE} {FOREIGN}") as serving:
        for _, deb in debs(tmp_path / "debs"):
            serving.add_deb(deb)
        serving.publish()
        yield serving


def opened(
    archive: Archive, cache: Path, *, architecture: str = "", required: tuple[str, ...] = ()
) -> AptArchive:
    sources = releases.sources(BOOKWORM, mirror=archive.url, keyring=archive.keyring)
    foreign = "" if architecture else FOREIGN
    return AptArchive(
        *(BOOKWORM, sources, Cache(cache)),
        required=required,
        architecture=architecture,
        foreign=foreign,
    )


def about(packages: tuple[Package, ...]) -> set[tuple[str, str]]:
    return {(p.name, p.architecture) for p in packages}


WANTED = {
    ("library-dev", FOREIGN),
    ("library", FOREIGN),
    ("library", NATIVE),
    ("generator", NATIVE),
    ("helper", NATIVE),
    ("fakeroot", NATIVE),
    ("ccache", NATIVE),
    ("build-essential", NATIVE),
    ("debhelper", "all"),
    (f"crossbuild-essential-{FOREIGN}", "all"),
}


def test_the_build_dependencies_of_a_cross_build(
    archive: Archive, tmp_path: Path, dsc: Path
) -> None:
    """Libraries are foreign, programs are this machine's, and each is fetched as what it is."""
    apt = opened(archive, tmp_path / "cache")
    found = apt.closure(TOOLS, dsc=dsc)
    assert about(found) == WANTED
    assert all(package.sha256 for package in found)
    assert apt.lacking(found) == ()
    both = [package for package in found if package.name == "library"]
    fetched = apt.download(both, tmp_path / "debs-of-both")
    assert [f.path.name for f in fetched] == [f"library_1.0-1_{p.architecture}.deb" for p in both]
    missing = dataclasses.replace(both[0], architecture="s390x")
    assert apt.lacking([missing]) == (missing,)


def test_a_suite_of_one_architecture_is_left_out(
    archive: Archive, tmp_path: Path, dsc: Path
) -> None:
    """Otherwise the library would have two versions, and could not be installed for both."""
    archive.add_deb(newer(tmp_path / "debs", NATIVE), suite="bookworm-security")
    archive.architecture = NATIVE
    archive.publish(only="bookworm-security")
    apt = opened(archive, tmp_path / "cache")
    found = apt.closure(TOOLS, dsc=dsc)
    assert about(found) == WANTED
    assert {p.version for p in found if p.name == "library"} == {"1.0-1"}
    said = [line for line in apt.trust() if "left out" in line]
    assert len(said) == 1 and said[0].startswith("bookworm-security at ")
    # What the user names is not left out.
    named = opened(archive, tmp_path / "cache", required=("bookworm-security",))
    with pytest.raises(FetchError, match=f"bookworm-security has no packages of {FOREIGN}"):
        named.closure(TOOLS, dsc=dsc)
    # A native build still has it.
    native = opened(archive, tmp_path / "cache", architecture=NATIVE)
    assert native.binary_versions("library") == ("1.0-1.1", "1.0-1")
    assert not any("left out" in line for line in native.trust())


def test_an_update_of_both_architectures_counts(
    archive: Archive, tmp_path: Path, dsc: Path
) -> None:
    """The negative of the test before: what is left out is left out for a reason."""
    for architecture in (NATIVE, FOREIGN):
        (tmp_path / f"new-{architecture}").mkdir()
        deb = newer(tmp_path / f"new-{architecture}", architecture)
        archive.add_deb(deb, suite="bookworm-security")
    archive.publish(only="bookworm-security")
    apt = opened(archive, tmp_path / "cache")
    found = apt.closure(TOOLS, dsc=dsc)
    assert about(found) == WANTED
    assert {p.version for p in found if p.name == "library"} == {"1.0-1.1"}
    assert not any("left out" in line for line in apt.trust())


def test_a_build_dependency_that_only_this_machine_has(archive: Archive, tmp_path: Path) -> None:
    archive.add_deb(make_deb(tmp_path, "here-only", architecture=NATIVE))
    archive.publish()
    apt = opened(archive, tmp_path / "cache")
    needs = make_source(tmp_path / "source", build_depends="debhelper-compat (= 13), here-only")
    with pytest.raises(BuildError, match=rf"\.dsc for {FOREIGN} cannot be .*: here-only") as e:
        apt.closure(TOOLS, dsc=needs)
    assert e.value.exit_code == 13


def test_an_architecture_that_the_release_does_not_have(
    archive: Archive, tmp_path: Path, dsc: Path
) -> None:
    with pytest.raises(UsageError, match="debian bookworm has no packages for s390x"):
        opened(archive, tmp_path / "cache", architecture="s390x").check_architecture()
    archive.add_source(dsc)
    archive.publish()
    apt = opened(archive, tmp_path / "cache", architecture="s390x")
    with pytest.raises(UsageError, match="debian bookworm has no packages for s390x") as e:
        apt.check_architecture()
    assert f": {', '.join(sorted((NATIVE, FOREIGN)))}, or another mirror" in e.value.hint
    opened(archive, tmp_path / "cache", architecture=FOREIGN).check_architecture()


def test_a_port_that_lags_behind(archive: Archive, tmp_path: Path) -> None:
    """A version is there with its package, a rebuild of that, or a later one."""
    for version, each in (("-3+b1", NATIVE), ("-3+b1", FOREIGN), ("-4", NATIVE)):
        place = tmp_path / "made" / each
        place.mkdir(parents=True, exist_ok=True)
        archive.add_deb(make_deb(place, "iproute2", f"6.1.0{version}", architecture=each))
    archive.publish()
    request = Request(
        release=BOOKWORM,
        cache=Cache(tmp_path / "cache"),
        mirror=archive.url,
        keyring=archive.keyring,
        fixes=(),
    )

    def lacks(version: str, architecture: str = FOREIGN) -> bool:
        return port.lacks(dataclasses.replace(request, version=version, architecture=architecture))

    assert [lacks(f"6.1.0-{n}") for n in (2, 3, 4)] == [False, False, True]
    # For this machine's own, the package of comparison is built if need be.
    assert not lacks("6.1.0-5", NATIVE)
    # One that the release will never have is no port that lags behind: the run says so.
    with pytest.raises(UsageError, match="has no packages for s390x"):
        lacks("6.1.0-3", "s390x")


def test_a_release_of_one_architecture_has_no_cross_build(
    tmp_path: Path, signer: Signer, dsc: Path
) -> None:
    with Archive(tmp_path, signer, architecture=NATIVE) as serving:
        serving.add_deb(make_deb(tmp_path, "library", architecture=NATIVE))
        serving.publish()
        with pytest.raises(FetchError, match=f"bookworm has no packages of {FOREIGN}"):
            opened(serving, tmp_path / "cache").closure(TOOLS, dsc=dsc)


def test_a_release_without_compilers_for_it(tmp_path: Path, signer: Signer) -> None:
    with Archive(tmp_path, signer, architecture=f"{NATIVE} {FOREIGN}") as serving:
        serving.publish()
        with pytest.raises(BuildError, match=f"cannot cross-build for {FOREIGN}: it has no cross"):
            build.check_toolchain(opened(serving, tmp_path / "cache"))


@pytest.mark.skipif(NATIVE != "amd64", reason="Ubuntu has amd64 apart from the others")
def test_ubuntus_ports(tmp_path: Path, signer: Signer, dsc: Path) -> None:
    """Each of the two archives is asked for its own architecture, and both make one solution."""
    with (
        Host(tmp_path / "main", signer) as main,
        Host(tmp_path / "security", signer) as security,
        Host(tmp_path / "ports", signer, at="/ubuntu-ports", architecture="arm64") as ports,
    ):
        for architecture, deb in debs(tmp_path / "debs"):
            (main if architecture == NATIVE else ports).add_deb(deb)
        main.sign(NOBLE)
        security.sign(SECURITY)
        for suite in (NOBLE, SECURITY):
            ports.sign(suite)
        etc = tmp_path / "apt"
        ubuntu.write_lists(etc, main, security, ports)
        here, there = (
            releases.sources(
                UBUNTU,
                keyring=main.keyring,
                etc=etc,
                lists=etc / "lists",
                architecture=architecture,
            )
            for architecture in (NATIVE, FOREIGN)
        )
        given = of_both(here, there, NATIVE, FOREIGN)
        apt = AptArchive(UBUNTU, given, Cache(tmp_path / "cache"), foreign=FOREIGN)
        found = apt.closure(TOOLS, dsc=dsc)
        assert about(found) == WANTED
        apt.download(found, tmp_path / "fetched")
        sent = {host: [p for p in host.requests if p.endswith(".deb")] for host in (main, ports)}
        assert {p.rpartition("_")[2] for p in sent[main]} == {f"{NATIVE}.deb", "all.deb"}
        assert {p.rpartition("_")[2] for p in sent[ports]} == {f"{FOREIGN}.deb"}
        assert not any("binary-amd64" in path for path in ports.requests)
