# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Nights of two releases for two architectures: built, cross-built, proven, offered, installed.

The small package is what is built, in real roots, and proven in a guest of either architecture.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from support import nights, packages, real, smallpackage
from support.aptclient import configured, served
from support.archive import Signer
from support.nights import Distro

from pipeline.archives import host_apt
from pipeline.files.elf import Elf
from pipeline.nightly import status
from pipeline.nightly.night import Summary
from pipeline.vm.machine import machine_for

NATIVE, FOREIGN = host_apt.architecture(), "arm64"
BOTH = (NATIVE, FOREIGN)
VERSIONS = {"bookworm": "6.1.0-3", "trixie": "6.15.0-1"}
MACHINES = {"amd64": "EM_X86_64", "arm64": "EM_AARCH64"}

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.needs("aptly", f"{machine_for(FOREIGN).multiarch}-gcc"),
    pytest.mark.skipif(NATIVE == FOREIGN, reason=f"{FOREIGN} is this machine's architecture"),
]


@pytest.fixture
def distros(tmp_path: Path) -> Iterator[dict[str, Distro]]:
    """Yield the archives of two releases, each with a source and the distro's packages of it."""
    with ExitStack() as stack:
        signer = stack.enter_context(Signer("distro"))
        made = {n: stack.enter_context(Distro(tmp_path, signer, n)) for n in VERSIONS}
        for name, distro in made.items():
            distro.architecture = " ".join(BOTH)
            add(distro, tmp_path, name, NATIVE)
        add(made["bookworm"], tmp_path, "bookworm", FOREIGN)
        yield made


def add(distro: Distro, directory: Path, name: str, architecture: str) -> None:
    """Let a release have its source, and the package of it for an architecture."""
    version = VERSIONS[name]
    place = directory / "debs" / name / architecture
    place.mkdir(parents=True)
    distro.add_deb(packages.make_deb(place, "iproute2", version, architecture=architecture))
    dsc = directory / "made" / name / f"iproute2_{version}.dsc"
    distro.now_has(dsc if dsc.exists() else smallpackage.make(dsc.parent, version))


def ran(done: Summary) -> list[tuple[str, str, str | None]]:
    """Return the runs of a night, and what each built."""
    assert done.code == 0, [run.details for run in done.runs]
    return [(run.target, run.architecture, run.ours) for run in done.runs]


def test_two_releases_for_two_architectures(distros: dict[str, Distro], tmp_path: Path) -> None:
    """One repository serves both; a port that lags behind in one release comes a night later."""
    played = nights.begin(
        tmp_path,
        list(distros.values()),
        real.cache(),
        smallpackage.run,
        releases=tuple(VERSIONS),
    )
    settings = replace(played.world.settings, architectures=BOTH)
    played.world = replace(played.world, config=replace(played.world.config, nightly=settings))
    ours = {name: f"{version}+bpf1" for name, version in VERSIONS.items()}
    assert ran(played.night()) == [
        *(("bookworm", each, ours["bookworm"]) for each in BOTH),
        ("trixie", NATIVE, ours["trixie"]),
    ]
    (behind,) = [r for r in played.night().rows if r.outcome not in status.GOOD]
    assert (behind.name, behind.outcome) == (f"trixie {FOREIGN}", "waiting")
    add(distros["trixie"], tmp_path, "trixie", FOREIGN)
    assert ran(played.night()) == [("trixie", FOREIGN, ours["trixie"])]
    assert {row.outcome for row in played.rows().values()} == {"fixed"}
    with served(played.world.public) as uri:
        for name, version in ours.items():
            for each in BOTH:
                url = played.world.settings.publish.url
                place = tmp_path / f"client-{name}-{each}"
                machine = configured(place, played.world.public, url, uri, name)
                asked = ("-o", f"APT::Architecture={each}")
                code, said = machine.apt("apt-get", *asked, "update", "--error-on=any")
                assert code == 0, said
                code, said = machine.apt("apt-get", *asked, "download", "iproute2")
                assert code == 0, said
                (deb,) = place.glob("*.deb")
                assert deb.name == f"iproute2_{version}_{each}.deb"
                subprocess.run(["dpkg-deb", "-x", deb, place / "tree"], check=True)
                found = Elf((place / "tree/sbin/tc").read_bytes()).machine
                assert found == MACHINES[each]
