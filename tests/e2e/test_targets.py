# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Other releases as targets: a whole run with the packages of Debian 13, and of Debian 11.

Not every mirror has their sources, so these tests make them: Debian 12's packaging, with the
loader of a row of docs/facts.md. Everything else, the kernel among it, is the release's own; so
is the package that the guest holds ours against.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import cli, real, rows, world
from support.archive import Archive
from support.proof import proven, told

from pipeline.archives import host_apt
from pipeline.archives.apt import AptArchive
from pipeline.releases import releases
from pipeline.releases.releases import Pocket
from pipeline.smoke.cases import select
from pipeline.vm.machine import machine_for

pytestmark = [pytest.mark.e2e, pytest.mark.needs("spatch")]

ONE = ("--case", "pinned-hash")
TRIXIE, BULLSEYE = "6.15.0-1", "5.10.0-4"
PORT = "riscv64"
"""Bookworm does not have it."""
SHORT = tuple(dict.fromkeys(case.name for case in select(None)))


@contextlib.contextmanager
def stocked(directory: Path, release: str, dsc: Path) -> Iterator[tuple[str, ...]]:
    """Yield the options for an archive that has a source, and a release's own packages."""
    with (
        world.signer("today") as signer,
        Archive(directory / "archive", signer, suite=release) as archive,
    ):
        archive.add_source(dsc)
        world.stock(archive, release, release=release)
        archive.publish()
        given = ("--mirror", archive.url, "--keyring", str(archive.keyring))
        yield ("--release", release, *given, "--json", "--out", str(directory / "out"))


def distros_own(report: dict[str, Any], release: str, version: str) -> None:
    """Check that the guest had the package of the distro, and not one that was built here."""
    candidate = real.archive(release).candidate("iproute2")
    assert candidate and candidate.version == version
    assert [file["sha256"] for file in report["control"]] == [candidate.sha256]


def test_debian_13(tmp_path: Path) -> None:
    """libbpf 1.5, and the loader as in v6.15: Debian 13's package refuses, ours loads."""
    dsc = rows.source(tmp_path / "source", TRIXIE, "v6.15", libbpf=True)
    with stocked(tmp_path, "trixie", dsc) as words:
        report = told(cli.respin("run", *words, *ONE, cache=world.cache(tmp_path / "cache")))
    proven(report, f"{TRIXIE}+bpf1")
    distros_own(report, "trixie", TRIXIE)
    assert report["smoke"]["before"] == "tc utility, iproute2-6.15.0, libbpf 1.5.0"
    assert report["smoke"]["after"] == "tc utility, iproute2-6.1.0, libbpf 1.5.0"
    assert report["smoke"]["kernel"].startswith("6.12.")


@pytest.mark.slow  # test_three_architectures.py: two others, of Debian 12
@pytest.mark.needs(machine_for(PORT).compiler)
@pytest.mark.skipif(host_apt.architecture() == PORT, reason=f"{PORT} is this machine's")
def test_debian_13_for_riscv64(tmp_path: Path) -> None:
    """Cross-built in a root of Debian 13, and held against Debian's own on Debian's kernel."""
    config = tmp_path / "respin.toml"
    # A security archive comes and goes on some mirrors, and decides nothing here.
    config.write_text(
        Path(__file__).parents[1].joinpath("support/respin.toml").read_text()
        + f'[release.trixie]\nuris = ["{real.archive("trixie").sources[0].uri}"]\n'
        + 'suites = ["trixie"]\n'
    )

    def respin(*argv: str | Path) -> str:
        said = cli.respin(*argv, config=config, cache=real.cache().root, timeout=500)
        assert said.status == 0, said.err
        return said.out

    dsc = rows.source(tmp_path / "source", TRIXIE, "v6.15", libbpf=True)
    respin("patch", "--release", "trixie", "--dsc", dsc, "--out", tmp_path / "patched")
    made = respin(
        *("build", tmp_path / "patched", "--architecture", PORT, "--out", tmp_path / "built"),
        "--json",
    )
    built = json.loads(made)["built"]
    assert built["cross"].startswith(f"{machine_for(PORT).compiler} (Debian 14.")
    ours = tmp_path / f"built/debs/iproute2_{TRIXIE}+bpf1_{PORT}.deb"
    release = releases.find("trixie")
    sources = releases.sources(release, pockets=(Pocket.RELEASE,), architecture=PORT)
    archive = AptArchive(release, sources, real.cache(), architecture=PORT)
    distros = archive.fetch_binary("iproute2", TRIXIE, tmp_path / "distros").path
    short = [word for case in SHORT for word in ("--case", case)]
    given = ("--deb", ours, "--against", distros, "--release", "trixie")
    said = respin("smoke", *given, *short, "--way", "tc", "--json")
    (report,) = json.loads(said)["reports"]
    assert (report["architecture"], report["accelerator"]) == (PORT, "tcg")
    assert report["kernel"].startswith("6.12.") and report["kernel"].endswith("-riscv64")
    assert report["before"] == "tc utility, iproute2-6.15.0, libbpf 1.5.0"
    seen = {c["case"]: (c["before"]["seen"], c["after"]["seen"]) for c in report["cases"]}
    assert set(seen) == set(SHORT)
    assert seen["pinned-hash"] == ("refused", "loads")
    assert seen["btf-maps"] == ("loads", "loads")
    (turned,) = [c for c in report["cases"] if c["case"] == "pinned-hash"]
    assert "legacy map definitions" in turned["before"]["output"]
    assert turned["after"]["counted"] == 7


def test_debian_11(tmp_path: Path) -> None:
    """libbpf 0.3 loads legacy maps: nothing is needed, and the distro's package proves it."""
    dsc = rows.source(tmp_path / "source", BULLSEYE, "v4.20", "v5.11", libbpf=True)
    with stocked(tmp_path, "bullseye", dsc) as words:
        said = cli.respin("run", *words, *ONE, "--prove", cache=world.cache(tmp_path / "cache"))
    report = told(said)
    assert (report["outcome"], report["source"]["version"]) == ("not-needed", BULLSEYE)
    distros_own(report, "bullseye", BULLSEYE)
    # Debian's 5.10.0 calls itself 5.9.0.
    assert report["smoke"]["before"] == "tc utility, iproute2-5.9.0, libbpf 0.3.0"
    assert report["smoke"]["kernel"].startswith("5.10.")
    seen = {case["way"]: case["before"]["seen"] for case in report["smoke"]["cases"]}
    assert seen["tc"] == seen["xdp"] == seen["batch"] == "loads"
