# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A whole run for each version that an archive has or had: fetch to proof, by the command line.

Two releases, three pockets, several versions, some superseded. Debian's lives, and snapshot
has what it had; Ubuntu's is past its end: its archive is frozen, the key that signed it has
expired, and Launchpad has what it had.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support import cli, real, rows, sealed, world
from support.archive import Archive, Signer
from support.packages import make_source
from support.proof import cells, proven, sites, told
from support.services import Service, launchpad, snapshot

from pipeline.archives.apt import AptArchive
from pipeline.config import config
from pipeline.containers import roots
from pipeline.errors import BuildError
from pipeline.host.cache import Cache
from pipeline.model import AptSource
from pipeline.releases import releases
from pipeline.source import superseded

pytestmark = pytest.mark.e2e

GOLDEN = Path(__file__).parents[1] / "golden/fixes"
LONG_AGO = datetime(2020, 6, 1, tzinfo=UTC)

SUPERSEDED, RELEASED, MENDED, ODD = "6.1.0-2", real.VERSION, "6.1.0-4", "6.1.0-5"
ONE = ("--case", "pinned-hash")
LOCK = "respin.lock"
UBUNTUS, UBUNTU, UBUNTUS_MENDED = "6.1.0-1ubuntu1", "6.1.0-1ubuntu2", "6.1.0-1ubuntu2.1"


@dataclass(frozen=True, kw_only=True)
class World:
    """What the tests ask of."""

    directory: Path
    source: Path
    """The .dsc of RELEASED, with few of its modules."""
    cache: Path
    config: Path
    debian: Archive
    ubuntu: Archive
    today: Signer
    snapshot: Service
    accepted: str
    """SHA-256 of the .dsc for which only its hash can vouch."""
    old_key: str

    def respin(self, *args: str | Path, out: Path) -> cli.Said:
        """Call ``respin run`` for one of the two releases."""
        here = () if "bionic" in args else ("--mirror", self.debian.url)
        keys = () if "bionic" in args else ("--keyring", self.debian.keyring)
        return cli.respin(
            *("run", *args, *here, *keys, "--json", "--out", out),
            cache=self.cache,
            config=self.config,
        )


def small(directory: Path, version: str, case: str) -> Path:
    """Make a source that is never built: the loader of a golden case."""
    tree = GOLDEN / case / "in"
    files = {str(p.relative_to(tree)): p.read_text() for p in tree.rglob("*.[ch]")}
    return make_source(directory / version, version=version, files=files)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("world")
    with (
        world.signer("today") as today,
        world.signer("old", expired=True) as old,
        Archive(directory / "debian", today) as debian,
        Archive(directory / "ubuntu", old, suite="bionic") as ubuntu,
        Service() as service,
    ):
        source = rows.source(directory / "released", RELEASED, libbpf=True)
        debian.add_source(source)
        debian.add_source(small(directory, MENDED, "v4.20-fixed"), suite="bookworm-updates")
        debian.add_source(small(directory, ODD, "unknown-second-test"), suite="bookworm-security")
        world.stock(debian, "bookworm")
        debian.publish()
        then_source = rows.source(directory / "then", SUPERSEDED, "v5.11-7a04dd84", libbpf=True)
        with Archive(directory / "then-archive", today, suite="sid") as then:
            then.add_source(then_source)
            then.publish(date=LONG_AGO)
            snapshot(service, then_source, SUPERSEDED, archive=then)

        ubuntu.add_source(small(directory, UBUNTU, "unknown-second-test"))
        ubuntu.add_source(small(directory, UBUNTUS_MENDED, "v4.20-fixed"), suite="bionic-updates")
        world.stock(ubuntu, "bionic")
        ubuntu.publish(date=LONG_AGO)
        old_source = rows.source(directory / "launchpad", UBUNTUS, "v4.10")
        launchpad(service, old_source, UBUNTUS, series="bionic", pages=2)

        described = directory / "respin.toml"
        described.write_text(
            f'[archives]\nsnapshot = "{service.url}"\nlaunchpad = "{service.url}"\n'
            'debian-old = ""\ndebian-security-old = ""\nubuntu-old = ""\n'
            f'[release.bionic]\nuris = ["{ubuntu.url}"]\ncomponents = ["main"]\nfrozen = true\n'
            f'keyring = "{ubuntu.keyring}"\nkernel = "{world.KERNEL}"\n'
        )
        bookworm = releases.find("bookworm")
        given = releases.sources(bookworm, mirror=debian.url, keyring=debian.keyring)
        world.compiled(bookworm, given)
        yield World(
            directory=directory,
            source=source,
            cache=world.cache(directory / "cache"),
            config=described,
            debian=debian,
            ubuntu=ubuntu,
            today=today,
            snapshot=service,
            accepted=hashlib.sha256(old_source.read_bytes()).hexdigest(),
            old_key=old.fingerprint,
        )


@pytest.fixture(scope="module")
def fixed(made: World) -> tuple[Path, dict[str, Any]]:
    """Return the directory and the report of a run for what the release has."""
    args = ("--release", "bookworm", "--version", RELEASED, *ONE)
    return made.directory / "fixed", told(made.respin(*args, out=made.directory / "fixed"))


def test_what_the_release_has(made: World, fixed: tuple[Path, dict[str, Any]]) -> None:
    """The distro's own .deb fails, ours works; it is below what the other pockets have."""
    report = fixed[1]
    proven(report, f"{RELEASED}+bpf1")
    assert report["source"]["origin"] == f"bookworm at {made.debian.url}"
    assert [Path(f["path"]).name for f in report["control"]] == [f"iproute2_{RELEASED}_amd64.deb"]
    assert "listed in its InRelease" in report["control"][0]["verified"]
    assert not any("frozen" in line for line in report["archives"])


@pytest.fixture(scope="module")
def fresh(made: World, fixed: tuple[Path, dict[str, Any]]) -> Path:
    """Return a directory with the package, the signed statements, the lock and the key alone."""
    key, _ = sealed.key(made.directory / "worker")
    run = sealed.seal(shutil.copytree(fixed[0], made.directory / "signed"), key)
    directory = made.directory / "fresh"
    directory.mkdir()
    for path in (*(run / "debs").glob("iproute2_*.deb"), run / "provenance.json", run / LOCK):
        shutil.copy(path, directory)
    (directory / "key.asc").write_bytes(key.public())
    return directory


def remade(made: World, fresh: Path, mirror: str) -> cli.Said:
    """Call ``respin verify --rebuild`` for the package, with nothing else of the run."""
    (deb,) = fresh.glob("*.deb")
    keys = ("--key", fresh / "key.asc", "--keyring", made.debian.keyring)
    words = ("verify", deb, "--rebuild", *keys, "--mirror", mirror)
    return cli.respin(*words, cache=made.cache, config=made.config)


def test_anybody_makes_it_again(made: World, fresh: Path) -> None:
    said = remade(made, fresh, made.debian.url)
    assert said.status == 0, said.err
    assert "made again 3 packages, the same byte for byte" in " ".join(said.out.split())
    assert "the new one loaded" in " ".join(said.out.split())


@pytest.mark.slow  # test_a_root_is_made_of_what_is_gone, and contract/superseded
def test_a_run_is_repeated_with_what_is_gone(
    made: World, fixed: tuple[Path, dict[str, Any]], fresh: Path, tmp_path: Path
) -> None:
    """The same .debs from the same roots, whichever archive still has the packages."""
    first, report = fixed
    lock = first / "respin.lock"
    locked = json.loads(lock.read_text())
    kernel = next(p["name"] for p in locked["guest"]["kernel"])
    repeat = ("run", "--locked", lock, *ONE, "--json", "--keyring", made.debian.keyring)
    with Archive(tmp_path / "later", made.today) as later:
        later.add_source(made.source)
        world.stock(later, "bookworm", without={"ccache", "iproute2", kernel})
        later.publish()
        words = (*repeat, "--mirror", later.url, "--out", tmp_path / "out")
        said = cli.respin(*words, cache=made.cache, config=made.config)
        assert said.status == 10
        assert f"packages in {lock} no longer exist in bookworm" in " ".join(said.err.split())
        assert "ccache" in said.err or kernel in said.err
        assert not (tmp_path / "out").exists()
        said = remade(made, fresh, later.url)
        assert said.status == 10 and "ccache" in said.err and said.out == "", said
        assert f"packages in {fresh / LOCK} no longer exist" in " ".join(said.err.split())

        then = f"/archive/debian/{locked['time']}"
        # Its root is made anew: it is kept by the keys of all that vouch for it.
        for name, where in (("ccache", "c/ccache"), ("iproute2", "i/iproute2")):
            deb = real.archive().fetch_binary(name, None, tmp_path / "gone").path
            made.snapshot.put(f"{then}/pool/main/{where}/{deb.name}", deb.read_bytes())
        for path in (made.debian.root / "dists/bookworm").rglob("*"):
            if path.is_file():
                below = path.relative_to(made.debian.root)
                made.snapshot.put(f"{then}/{below}", path.read_bytes())
        again = told(cli.respin(*words, cache=made.cache, config=made.config))
    assert again["built"]["debs"] == report["built"]["debs"]
    assert again["built"]["root"] == report["built"]["root"]
    assert again["smoke"]["kernel_package"] == report["smoke"]["kernel_package"]
    assert again["control"][0]["sha256"] == report["control"][0]["sha256"]
    assert then in again["control"][0]["verified"]
    repeated = json.loads((tmp_path / "out/respin.lock").read_text())
    assert repeated == {**locked, "source": {**locked["source"], **_moved(repeated, later.url)}}


def _moved(lock: dict[str, Any], url: str) -> dict[str, str]:
    """Return what a lock may say other than the first: from where the source came."""
    assert lock["source"]["origin"] == f"bookworm at {url}"
    return {"origin": lock["source"]["origin"]}


def _without(cache: Path, download: str, directory: Path) -> Path:
    """Return a cache that has what another has but for one download.

    Other tests use the one that both share; there it would be missed, or come back meanwhile.
    """
    (directory / "downloads").mkdir(parents=True)
    for kind in cache.iterdir():
        if kind.name != "downloads":
            (directory / kind.name).symlink_to(kind)
    for entry in (cache / "downloads").iterdir():
        if entry.name != download:
            (directory / "downloads" / entry.name).symlink_to(entry)
    return directory


def test_a_run_is_repeated_without_a_network(
    made: World, fixed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """In a network namespace that has not even loopback; the same .debs."""
    first, report = fixed
    lock = first / "respin.lock"
    archive = ("--keyring", made.debian.keyring, "--mirror", made.debian.url)
    words = (*("run", "--locked", lock, "--offline"), *ONE, "--json", *archive)
    alone = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--net")

    def offline(cache: Path, out: str) -> cli.Said:
        return cli.respin(
            *words, "--out", tmp_path / out, cache=cache, config=made.config, begin=alone
        )

    said = offline(tmp_path / "empty", "none")
    assert said.status == 10
    assert "the cache has no index of bookworm" in said.err
    assert "respin fetch --locked FILE --everything" in " ".join(said.err.split())
    assert not (tmp_path / "none").exists()

    filled = cli.respin(
        *("fetch", "--locked", lock, "--everything", *archive, "--out", tmp_path / "source"),
        cache=made.cache,
        config=made.config,
    )
    assert filled.status == 0, filled.err
    again = told(offline(made.cache, "out"))
    assert again["outcome"] == "fixed"
    assert again["built"]["debs"] == report["built"]["debs"]
    assert again["built"]["root"] == report["built"]["root"]
    assert again["smoke"]["kernel_package"] == report["smoke"]["kernel_package"]
    assert again["control"] == report["control"]
    assert any(line.startswith("offline: ") for line in again["archives"])

    gone = report["source"]["files"][1]["sha256"]
    said = offline(_without(made.cache, gone, tmp_path / "lacking"), "none")
    assert said.status == 10
    assert f"the cache does not have {Path(report['source']['files'][1]['path']).name}" in said.err


def test_a_lock_without_a_root_is_not_repeated(
    made: World, fixed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """As one is that was written by a build in an image, or on this very machine."""
    locked = json.loads((fixed[0] / "respin.lock").read_text())
    edited = tmp_path / "respin.lock"
    edited.write_text(json.dumps({**locked, "root": []}))
    said = made.respin("--locked", edited, out=tmp_path / "out")
    assert said.status == 13
    assert f"{edited} does not list the packages of the build's root" in " ".join(said.err.split())
    assert not (tmp_path / "out").exists()


def test_what_the_release_had(made: World, tmp_path: Path) -> None:
    """Superseded: from snapshot, by the index of then; what it is held against is built here.

    A distro that backported only 7a04dd84 beside libbpf's loader needs both fixes.
    """
    args = ("--release", "bookworm", "--version", SUPERSEDED, *ONE)
    report = told(made.respin(*args, out=tmp_path / "out"))
    proven(report, f"{SUPERSEDED}+bpf1")
    early = "takes the type before gelf_getsym() has read the symbol, so it judges the previous one"
    reason = "gives libbpf objects with legacy maps, which libbpf 1.0 refuses"
    assert sites(report) == {
        **{function: ("needed", rows.NEW, early) for function in rows.FUNCTIONS},
        "bpf_do_load": ("needed", rows.NEW, reason),
    }
    assert "debian of 20230103T000000Z at" in report["source"]["origin"]
    assert all("sid at" in f["verified"] for f in report["source"]["files"])
    assert all("built here" in f["verified"] for f in report["control"])


@pytest.mark.parametrize(
    ("args", "outcome"),
    [
        (("--release", "bookworm", "--pocket", "updates"), MENDED),
        (("--release", "bionic", "--pocket", "updates"), UBUNTUS_MENDED),
    ],
)
def test_what_needs_nothing(
    made: World, tmp_path: Path, args: tuple[str, ...], outcome: str
) -> None:
    report = told(made.respin(*args, out=tmp_path / "out"))
    assert (report["outcome"], report["source"]["version"]) == ("not-needed", outcome)
    assert report["built"] is report["patched"] is report["smoke"] is None


@pytest.mark.parametrize(
    "args", [("--release", "bookworm"), ("--release", "bionic", "--pocket", "release")]
)
def test_what_is_not_understood(made: World, tmp_path: Path, args: tuple[str, ...]) -> None:
    said = made.respin(*args, out=tmp_path / "out")
    assert said.status == 11 and said.out == ""
    assert "bpf_map_num_sym (lib/bpf.c:" in said.err
    assert not list(tmp_path.iterdir())


def test_what_ubuntu_had(made: World, tmp_path: Path) -> None:
    """v4.10-4.19; from Launchpad, in roots of a frozen archive whose key has expired."""
    args = ("--release", "bionic", "--version", UBUNTUS)
    said = made.respin(*args, out=tmp_path / "refused")
    assert said.status == 10
    assert f"--accept-unsigned-source {made.accepted}" in " ".join(said.err.split())
    accept = ("--accept-unsigned-source", made.accepted)
    report = told(made.respin(*args, *accept, "--compare-build", out=tmp_path / "out"))
    proven(report, f"{UBUNTUS}bpf1")
    changed = report["comparison"]["symbols"]
    assert {each["name"].partition(".")[0] for each in changed if each["in_patch"]} <= set(
        rows.FUNCTIONS
    )
    skips = "passes over every symbol whose type is not STT_NOTYPE"
    found = sites(report)
    assert found.pop("bpf_do_load")[0] == "absent"
    assert found == {function: ("needed", rows.OLD, skips) for function in rows.FUNCTIONS}
    assert "/+sourcepub/1" in report["source"]["origin"]
    assert "accepted by the user" in report["source"]["files"][0]["verified"]
    assert report["archives"]
    for line in report["archives"]:
        assert f"the archive is frozen, so respin ignored that the key {made.old_key}" in line
    assert {"static-map", "several-maps"} <= {case for case, _ in cells(report)}
    for case in report["smoke"]["cases"]:
        if case["case"] == "pinned-hash":
            for words in (
                "0 maps not supported in current map section!",
                "Error fixing up map structure, incompatible struct bpf_elf_map used?",
                "Error fetching ELF ancillary data!",
            ):
                assert words in case["before"]["output"]
    assert "libbpf" not in report["smoke"]["after"]


def test_a_root_is_made_of_a_frozen_archive_whose_key_has_expired(
    made: World, tmp_path: Path
) -> None:
    """By mmdebstrap, every time: no cache has it."""
    configured = config.load(made.config)
    release = releases.find("bionic", config=configured)
    cache = Cache(tmp_path / "cache")

    def root(given: Sequence[AptSource]) -> Path:
        names = world.guest_names()
        key = archive.closure(names)
        return roots.root_tar(given, release, names, cache, key=key, log=tmp_path / "log")

    given = releases.sources(release, config=configured)
    archive = AptArchive(release, given, cache)
    archive.update()
    living = [replace(source, gpgv=None) for source in archive.sources]
    with pytest.raises(BuildError, match="could not make the root") as caught:
        root(living)
    assert "EXPKEYSIG" in caught.value.details
    assert root(archive.sources).stat().st_size > 20 << 20


def test_a_root_is_made_of_what_is_gone(made: World, tmp_path: Path) -> None:
    """By mmdebstrap: one package from snapshot's archive of then, the rest from today's."""
    time, gone = "20260101T000000Z", "dash"
    release = releases.find("bookworm")
    cache = Cache(tmp_path / "cache")
    names = world.guest_names()
    given = releases.sources(release, mirror=made.debian.url, keyring=made.debian.keyring)
    key = AptArchive(release, given, cache).closure(names)
    (package,) = (p for p in key if p.name == gone)
    for path in (made.debian.root / "dists/bookworm").rglob("*"):
        if path.is_file():
            name = path.relative_to(made.debian.root)
            made.snapshot.put(f"/archive/debian/{time}/{name}", path.read_bytes())
    (deb,) = real.archive().download([package], tmp_path / "deb")
    (where,) = (p for p in made.debian.elsewhere if f"/{gone}_" in p)
    made.snapshot.put(f"/archive/debian/{time}{where}", deb.path.read_bytes())
    with Archive(tmp_path / "later", made.today) as later:
        world.stock(later, "bookworm", without={gone})
        later.publish()
        now = releases.sources(release, mirror=later.url, keyring=later.keyring)
        archive = AptArchive(release, now, cache)
        assert archive.lacking(key) == (package,)
        then = superseded.then(
            time,
            archive,
            cache,
            config.load(made.config),
            pockets=releases.USUAL,
            keyring=later.keyring,
        )
        assert then and then.lacking(key) == ()
        log = tmp_path / "log"
        root = roots.root_tar(then.sources, release, names, cache, key=key, log=log)
    assert root.stat().st_size > 20 << 20
    assert made.snapshot.asked(f"{time}{where}")


def test_it_is_refused_while_the_archive_lives(made: World, tmp_path: Path) -> None:
    """The control: the same archive, not known to be frozen."""
    living = tmp_path / "respin.toml"
    living.write_text(made.config.read_text().replace("frozen = true\n", ""))
    said = cli.respin(
        *("run", "--release", "bionic", "--out", tmp_path / "out"),
        cache=made.cache,
        config=living,
    )
    assert said.status == 10
    assert "not signed by a key" in said.err
    assert not (tmp_path / "out").exists()
