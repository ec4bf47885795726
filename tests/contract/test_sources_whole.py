# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Any release, any version, as a user asks: two releases, their pockets, what is superseded.

Up to the patched source package; e2e/test_own_archive.py goes on to the proof. Most of these
sources need nothing, since patching takes longer than all that is tried here.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support import inprocess
from support.archive import Archive, Signer
from support.cli import Said
from support.packages import make_deb, make_source
from support.services import Service, snapshot

from pipeline.host import command
from pipeline.host.resources import package_data

GOLDEN = Path(__file__).parents[1] / "golden/fixes"
SUPERSEDED, RELEASED, UPDATED, SECURE = "6.1.0-1", "6.1.0-2", "6.1.0-3", "6.1.0-3+deb12u1"
BACKPORTED, NEXT, UNKNOWN = "6.5.0-1~bpo12+1", "4.20.0-1", "4.20.0-2"
WITH_OLDER = "6.1.0-3.1"
"""What is affected elsewhere, in a release whose libbpf is below 1.0."""
AFFECTED, MENDED = "v6.0-libbpf-program-names", "v4.20-fixed"
DEPENDS = "debhelper-compat (= 13), libbpf-dev"


@pytest.fixture(scope="module")
def signer() -> Iterator[Signer]:
    with Signer("distro") as made:
        yield made


def source(directory: Path, version: str, case: str) -> Path:
    tree = GOLDEN / case / "in"
    files = {str(p.relative_to(tree)): p.read_text() for p in tree.rglob("*.[ch]")}
    return make_source(directory / version, version=version, files=files, build_depends=DEPENDS)


class World:
    """Archives, and a respin that knows them."""

    def __init__(self, directory: Path, archive: Archive, service: Service) -> None:
        self.directory, self.archive, self.service = directory, archive, service
        self.config = directory / "respin.toml"
        self.config.write_text(
            f'[archives]\nsnapshot = "{service.url}"\nlaunchpad = "{service.url}"\n'
            f'[release.acme]\nbase = "bookworm"\nuris = ["{archive.url}"]\n'
            f'suites = ["bookworm"]\nkeyring = "{archive.keyring}"\n'
            'suffix = "+bpfacme{n}"\n'
        )

    def respin(self, *args: str | Path) -> Said:
        """Call respin in this process, with a cache of this world's own."""
        own: list[str | Path] = (
            [] if args[0] == "releases" else ["--cache", self.directory / "cache"]
        )
        return inprocess.respin(*args, "--config", self.config, *own)

    def patch(self, *args: str | Path, release: str = "bookworm", out: str = "out") -> Any:
        """Return the report of ``respin patch``."""
        where = ["--mirror", self.archive.url, "--keyring", str(self.archive.keyring)]
        given = ["--release", release, *where] if "--locked" not in args else where
        said = self.respin("patch", *given, *args, "--json", "--out", self.directory / out)
        assert said.status == 0, said.err
        return json.loads(said.out)

    def refused(self, *args: str | Path, code: int, release: str | None = "bookworm") -> str:
        """Return the words of a refusal."""
        where = ["--mirror", self.archive.url, "--keyring", str(self.archive.keyring)]
        given = [*(["--release", release] if release else []), *where]
        said = self.respin("patch", *given, *args, "--out", self.directory / "refused")
        assert said.status == code, (said.out, said.err)
        assert said.err.startswith("respin: ") and "Traceback" not in said.err
        assert not (self.directory / "refused").exists()
        return " ".join(said.err.split())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("world")
    with Archive(directory, signer) as archive, Service() as service:
        archive.add_source(source(directory, RELEASED, AFFECTED))
        archive.add_source(source(directory, UPDATED, MENDED), suite="bookworm-updates")
        archive.add_source(source(directory, SECURE, MENDED), suite="bookworm-security")
        archive.add_source(source(directory, BACKPORTED, MENDED), suite="bookworm-backports")
        archive.add_source(source(directory, NEXT, MENDED), suite="trixie")
        archive.add_source(
            source(directory, UNKNOWN, "unknown-second-test"), suite="trixie-updates"
        )
        archive.add_source(source(directory, WITH_OLDER, AFFECTED), suite="trixie-security")
        archive.add_deb(make_deb(directory, "libbpf-dev", "1:1.1.0-1"))
        archive.add_deb(make_deb(directory, "libbpf-dev", "1:0.5.0-1"), suite="trixie")
        archive.publish()
        with Archive(directory / "then", signer, suite="sid") as then:
            old = source(directory, SUPERSEDED, AFFECTED)
            then.add_source(old)
            then.publish()
            snapshot(service, old, SUPERSEDED, archive=then, others=(RELEASED, UPDATED))
        yield World(directory, archive, service)


@pytest.fixture(scope="module")
def first(world: World) -> Any:
    """Return the report of a superseded version, its fourth rebuild; its directory is ``first``."""
    return world.patch("--version", SUPERSEDED, "--number", "4", out="first")


@pytest.mark.parametrize(
    ("args", "release", "version", "ours", "origin"),
    [
        ((), "bookworm", SECURE, None, "bookworm-security at"),
        (("--pocket", "updates"), "12", UPDATED, None, "bookworm-updates at"),
        (("--pocket", "release"), "bookworm", RELEASED, f"{RELEASED}+bpf1", "bookworm at"),
        (("--pocket", "backports"), "bookworm", BACKPORTED, None, "-backports at"),
        (("--version", UPDATED), "bookworm", UPDATED, None, "bookworm-updates at"),
        (("--pocket", "release"), "trixie", NEXT, None, "trixie at"),
        (("--pocket", "security"), "trixie", WITH_OLDER, None, "trixie-security at"),
    ],
)
def test_each_has_the_right_outcome(
    world: World, args: tuple[str, ...], release: str, version: str, ours: str | None, origin: str
) -> None:
    report = world.patch(*args, release=release)
    right(world.directory / "out", report, version, ours, origin)


def test_what_is_superseded(world: World, first: Any) -> None:
    right(world.directory / "first", first, SUPERSEDED, f"{SUPERSEDED}+bpf4", "debian of 2023")


def right(directory: Path, report: Any, version: str, ours: str | None, origin: str) -> None:
    """Hold that a run took this version from there, and what became of it."""
    assert report["source"]["version"] == version
    assert origin in report["source"]["origin"]
    assert report["outcome"] == ("patched" if ours else "not-needed")
    assert (report["patched"] or {}).get("version") == ours
    for file in report["source"]["files"]:
        assert "main/source/Sources of" in file["verified"] and "signed by" in file["verified"]
    assert report["archives"] and all("listed in its InRelease" in t for t in report["archives"])
    locked = json.loads((directory / "respin.lock").read_text())
    jsonschema.validate(
        locked, json.loads(package_data("pipeline.runs", "lock.schema.json").read_text())
    )
    assert locked["source"]["version"] == version and locked["source"]["kind"] == "archive"
    assert locked["root"] == [] and locked["guest"] is locked["control"] is None


def test_what_is_not_understood_is_refused(world: World) -> None:
    words = world.refused("--pocket", "updates", code=11, release="trixie")
    assert "bpf_map_num_sym" in words


def test_a_derivative(world: World) -> None:
    out = world.directory / "acme"
    said = world.respin("patch", "--release", "acme", "--json", "--out", out)
    assert said.status == 0, said.err
    report = json.loads(said.out)
    assert report["patched"]["version"] == f"{RELEASED}+bpfacme1"
    assert report["source"]["release"]["codename"] == "acme"


def test_releases(world: World) -> None:
    said = world.respin("releases")
    assert said.status == 0 and "bookworm" in said.out and "acme" in said.out
    value = json.loads(world.respin("releases", "--json").out)
    found = {r["codename"]: r for r in value["releases"]}
    assert found["stretch"]["defects"]["stt-object"] == "has"
    assert found["acme"]["configured"] is True and "warty" not in found
    value = json.loads(world.respin("releases", "--all", "--json").out)
    assert set(found) < {r["codename"] for r in value["releases"]} >= {"acme", "warty"}


# -- locks ------------------------------------------------------------------------------


def test_a_run_is_repeated(world: World, first: Any) -> None:
    again = world.patch("--locked", world.directory / "first/respin.lock", out="again")
    assert again["patched"]["version"] == f"{SUPERSEDED}+bpf4"
    for key in ("size", "sha256"):
        assert [f[key] for f in again["source"]["files"]] == [
            f[key] for f in first["source"]["files"]
        ]
    one, two = (
        world.directory / n / f["patched"]["dsc"] for n, f in (("first", first), ("again", again))
    )
    assert one.read_bytes() == two.read_bytes()
    locks = [(world.directory / n / "respin.lock").read_text() for n in ("first", "again")]
    assert locks[0] == locks[1]


def edited(world: World, **changed: object) -> Path:
    value = json.loads((world.directory / "first/respin.lock").read_text())
    value["source"] |= changed
    path = world.directory / "edited.lock"
    path.write_text(json.dumps(value))
    return path


@pytest.mark.usefixtures("first")
def test_what_is_gone_is_named(world: World) -> None:
    gone = edited(world, version="6.1.0-77")
    words = world.refused("--locked", gone, code=10, release=None)
    assert "never published iproute2 6.1.0-77" in words
    value = json.loads(gone.read_text())["source"]["files"]
    value[0]["sha256"] = "0" * 64
    words = world.refused("--locked", edited(world, files=value), code=10, release=None)
    assert f"iproute2_{SUPERSEDED}.dsc of" in words and "is gone" in words


@pytest.mark.usefixtures("first")
def test_a_lock_edited_by_hand(world: World) -> None:
    words = world.refused("--locked", edited(world, colour="red"), code=2, release=None)
    assert "there is no key 'colour'" in words
    words = world.refused("--locked", edited(world, name="bash"), code=2, release=None)
    assert "of bash, not of iproute2" in words
    words = world.refused("--locked", edited(world), "--version", UPDATED, code=2, release=None)
    assert "--version cannot be used with it" in words


# -- local sources ----------------------------------------------------------------------


def test_a_tree(world: World, tmp_path: Path) -> None:
    dsc = source(tmp_path, UPDATED, MENDED)
    tree = tmp_path / "elsewhere/iproute2"
    shutil.copytree(dsc.parent / "iproute2-6.1.0", tree)
    before = {p: p.read_bytes() for p in tree.rglob("*") if p.is_file()}
    report = world.patch("--tree", tree, out="tree")
    assert (report["outcome"], report["source"]["version"]) == ("not-needed", UPDATED)
    assert report["source"]["origin"] == str(tree)
    assert {p: p.read_bytes() for p in tree.rglob("*") if p.is_file()} == before
    shutil.rmtree(tree)
    locked = world.patch("--locked", world.directory / "tree/respin.lock", out="tree-locked")
    assert locked["source"]["files"][0]["sha256"] == report["source"]["files"][0]["sha256"]
    shutil.rmtree(world.directory / "tree/source")
    words = world.refused("--locked", world.directory / "tree/respin.lock", code=10, release=None)
    assert f"iproute2_{UPDATED}.dsc of" in words and "is gone" in words


def test_a_tree_with_its_patches_applied(world: World, first: Any, tmp_path: Path) -> None:
    dsc = world.directory / "first" / first["patched"]["dsc"]
    tree = tmp_path / "unpacked"
    command.run(["dpkg-source", "--no-check", "-x", dsc, tree])
    assert (tree / ".pc/applied-patches").exists()
    again = world.patch("--tree", tree, out="mended")
    assert again["outcome"] == "not-needed"
    assert again["source"]["version"] == f"{SUPERSEDED}+bpf4"


@pytest.mark.parametrize("text", [None, "", "hello\n", "iproute2 (6.1 0-3) x; urgency=low\n"])
def test_what_is_no_tree(world: World, tmp_path: Path, text: str | None) -> None:
    (tmp_path / "tree/debian").mkdir(parents=True)
    if text is not None:
        (tmp_path / "tree/debian/changelog").write_text(text)
    words = world.refused("--tree", tmp_path / "tree", code=10)
    assert "changelog" in words


def test_a_tree_of_another_package(world: World, tmp_path: Path) -> None:
    make_source(tmp_path / "s", name="bash")
    words = world.refused("--tree", tmp_path / "s/bash-6.1.0", code=10)
    assert "bash, not of iproute2" in words


def test_a_verdict_depends_on_the_library(world: World) -> None:
    """Whoever names no release learns on what the verdict depends."""
    tree = GOLDEN / AFFECTED / "in"
    where = ("--mirror", world.archive.url, "--keyring", world.archive.keyring)
    if_new = "if it is built with libbpf-dev 1.0 or later"
    expected: tuple[tuple[tuple[str | Path, ...], str, str], ...] = (
        ((), "needed", if_new),
        (("--release", "bookworm", *where), "needed", ""),
        (("--release", "trixie", *where), "absent", ""),
    )
    for given, verdict, condition in expected:
        said = world.respin("diagnose", "--tree", tree, *given, "--json")
        assert said.status == 0, said.err
        value = {fix["fix"]: fix for fix in json.loads(said.out)["fixes"]}
        found = value["libbpf-legacy-maps"]
        assert (found["verdict"], found["condition"]) == (verdict, condition)
        assert value["stt-object"]["condition"] == ""
    said = world.respin("diagnose", "--tree", tree)
    assert f"needed {if_new}" in said.err and "--release" in said.err
    said = world.respin("diagnose", "--tree", GOLDEN / "v4.20-fixed/in")
    assert "if it is built" not in said.err
    said = world.respin("diagnose", "--tree", tree, *where)
    assert said.status == 2 and "name the release with --release" in said.err


# -- bad input --------------------------------------------------------------------------


def test_release_of_another_distro(world: World) -> None:
    words = world.refused(code=2, release="ubuntu:bookworm")
    assert "ubuntu has no release 'bookworm'" in words and "debian:bookworm" in words


@pytest.mark.parametrize("version", ["5.15.0-1ubuntu2", "1:9.9-1"])
def test_version_of_another_distro_or_package(world: World, version: str) -> None:
    words = world.refused("--version", version, code=10)
    assert f"Debian never published iproute2 {version}" in words
    assert f"{UPDATED} (bookworm-updates)" in words


@pytest.mark.parametrize("version", ["x" * 5000, "6.1.0 -3", "6.1.0-3;reboot"])
def test_what_is_no_version(world: World, version: str) -> None:
    words = world.refused("--version", version, code=2)
    assert "is not a valid version" in words and len(words) < 1000


def test_nobody_vouches(world: World, tmp_path: Path) -> None:
    dsc = source(tmp_path, "6.1.0-0.1", MENDED)
    snapshot(world.service, dsc, "6.1.0-0.1")
    words = world.refused("--version", "6.1.0-0.1", code=10)
    sha256 = hashlib.sha256(dsc.read_bytes()).hexdigest()
    assert f"--accept-unsigned-source {sha256}" in words
    world.refused("--version", "6.1.0-0.1", "--accept-unsigned-source", "0" * 64, code=10)
    words = world.refused("--version", "6.1.0-0.1", "--accept-unsigned-source", "yes", code=2)
    assert "64 hexadecimal digits" in words
    report = world.patch("--version", "6.1.0-0.1", "--accept-unsigned-source", sha256)
    assert all("not verified: accepted" in f["verified"] for f in report["source"]["files"])
    # A lock vouches as the user did, and the report says that it was the lock.
    locked = world.directory / "out/respin.lock"
    report = world.patch("--locked", locked, out="relocked")
    for file in report["source"]["files"]:
        assert f"not verified: named in {locked} by its SHA-256" in file["verified"]


def dsc_of(directory: Path, name: str, data: bytes, listed: str | None = None) -> Path:
    directory.mkdir()
    (directory / name).write_bytes(data)
    dsc = directory / "iproute2_6.1.0-3.dsc"
    dsc.write_text(
        "Format: 1.0\nSource: iproute2\nVersion: 6.1.0-3\nChecksums-Sha256:\n"
        f" {hashlib.sha256(data).hexdigest()} {len(data)} {listed or name}\n"
    )
    return dsc


@pytest.mark.parametrize("name", ["../../evil", "x" * 300])
def test_path_traversal(world: World, tmp_path: Path, name: str) -> None:
    dsc = dsc_of(tmp_path / "in", "iproute2_6.1.0.orig.tar.gz", b"x", name)
    words = world.refused("--dsc", dsc, code=10)
    assert "outside its directory" in words or "300 characters" in words
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("kind", ["gz", "xz"])
def test_decompression_bomb(world: World, tmp_path: Path, kind: str) -> None:
    zeros = bytes(64 << 20)
    piece = gzip.compress(zeros, 9) if kind == "gz" else lzma.compress(zeros, preset=1)
    dsc = dsc_of(tmp_path / "in", f"iproute2_6.1.0.orig.tar.{kind}", piece * 12)
    words = world.refused("--dsc", dsc, code=10)
    assert "unpacks to more than 512 MiB" in words


def test_absurdly_long_fields(world: World, tmp_path: Path) -> None:
    dsc = dsc_of(tmp_path / "in", "iproute2_6.1.0.orig.tar.gz", b"x")
    text = dsc.read_text()
    for old, new in (
        ("6.1.0-3", "6." + "1" * 50000 + "-3"),
        ("iproute2\n", "iproute2" * 5000 + "\n"),
        (" 1 ", f" {'9' * 5000} "),
        (" 1 ", f" {10**10 - 1} "),
        ("Format: 1.0\n", "Format: 1.0\nX: " + "y" * (2 << 20) + "\n"),
        ("Checksums-Sha256:\n", "Checksums-Sha256:\n" + f" {'0' * 64} 1 many\n" * 500),
    ):
        dsc.write_text(text.replace(old, new, 1))
        words = world.refused("--dsc", dsc, code=10)
        assert len(words) < 2000
    world.refused(code=2, release="b" * 100000)
