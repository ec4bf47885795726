# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Ubuntu 24.04 as a target, on a machine that is set up as Ubuntu is (support/ubuntu.py).

One run, from this machine's release to a repository that an apt client follows.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import sealed, ubuntu, ubuntupackages
from support.aptclient import AptClient
from support.proof import proven, told
from support.ubuntu import Machine
from support.ubuntupackages import AGAIN, RELEASED, UPDATED, UPDATES, Again

from pipeline.host.cache import file_sha256

pytestmark = [pytest.mark.e2e, pytest.mark.needs("spatch", "aptly")]

ONE = ("--case", "pinned-hash")
OURS = f"{RELEASED}bpf1"
CONFIG = """
[archives]
snapshot = ""
launchpad = ""
ubuntu-old = ""

[nightly]
releases = ["noble"]
state = "{state}"

[publish]
url = "http://apt.example.org/respin"
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with ubuntu.machine(tmp_path_factory.mktemp("ubuntu")) as made:
        yield made


@pytest.fixture(scope="module")
def report(machine: Machine) -> dict[str, Any]:
    """Return the report of a run without any option that says what the machine is."""
    out = machine.directory / "out"
    return told(machine.respin("run", *ONE, "--json", "--out", out))


def members(deb: Path) -> list[str]:
    done = subprocess.run(["ar", "t", deb], check=True, capture_output=True, text=True)
    return done.stdout.split()


def test_the_run(machine: Machine, report: dict[str, Any]) -> None:
    """All hosts, pockets and components are read, whatever share of machines has an update."""
    proven(report, OURS)
    assert report["source"]["release"]["codename"] == "noble"
    assert report["source"]["origin"] == f"noble at {machine.main.url}"
    (released,) = [each for each in AGAIN if each.name == "iproute2"]
    (deb,) = ubuntupackages.debs(released)
    assert [file["sha256"] for file in report["control"]] == [file_sha256(deb)]
    root = {package["name"]: package["version"] for package in report["built"]["root"]}
    for each in AGAIN:
        assert each.name == "iproute2" or root[each.name].endswith(each.suffix), each.name
    trusted = [line.split(", listed")[0].split(" of ")[1] for line in report["archives"]]
    assert {place.split(" at ")[0] for place in trusted} == {"noble", UPDATES, "noble-security"}
    assert f"noble-security at {machine.security.url}" in trusted
    assert machine.ports.answers == []


def test_the_kernel(machine: Machine, report: dict[str, Any]) -> None:
    """Its image is in one package, its modules are in another."""
    lock = json.loads((machine.directory / "out/respin.lock").read_text())
    image, modules = (package["name"] for package in lock["guest"]["kernel"])
    assert image.startswith("linux-image-") and image.endswith("-generic")
    assert modules == image.replace("-image-", "-modules-")
    assert report["smoke"]["kernel_package"]["name"] == image


def test_a_kernel_in_two_files(machine: Machine, report: dict[str, Any], tmp_path: Path) -> None:
    """What the run took from the archive can be given as files; the image alone is refused."""
    debs = {path.name.partition("_")[0]: path for path in ubuntupackages.debs(None)}
    (name,) = (n for n in debs if re.match(r"linux-image-unsigned-\d", n))
    modules = debs[name.replace("-image-unsigned-", "-modules-")]
    (ours,) = (machine.directory / "out/debs").glob("iproute2_*.deb")
    given = ("smoke", "--deb", ours, *ONE, "--kernel", debs[name])
    said = machine.respin(*given)
    assert said.status == 15 and f"are in another package, {modules.name[:20]}" in said.err
    said = machine.respin(*given, "--kernel", modules, "--json")
    assert said.status == 0, said.err
    (matrix,) = json.loads(said.out)["reports"]
    assert matrix["kernel_package"]["name"] == name
    assert matrix["kernel"] == report["smoke"]["kernel"]


def test_the_packages(machine: Machine, report: dict[str, Any]) -> None:
    """They are built with Ubuntu's flags, and compressed as Ubuntu's are."""
    for built in report["built"]["debs"]:
        assert "data.tar.zst" in members(machine.directory / "out" / built["path"])
    assert "-flto=auto" in (machine.directory / "out/logs/build.log").read_text()


def test_a_client_follows(machine: Machine, report: dict[str, Any], tmp_path: Path) -> None:
    """It takes ours in place of Ubuntu's, and Ubuntu's next one in place of ours."""
    config = tmp_path / "respin.toml"
    config.write_text(CONFIG.format(state=tmp_path / "state"))
    key, _ = sealed.key(tmp_path / "state")
    # As a run does that begins when there is a key.
    sealed.seal(machine.directory / "out", key)
    said = machine.respin("publish", machine.directory / "out", config=config)
    assert said.status == 0, said.err
    public = tmp_path / "state/public/noble"
    (public_key,) = public.glob("*.asc")
    client = AptClient(tmp_path / "client", f"file:{public}", public_key.read_bytes(), "noble")
    client.also(machine.directory / "machine/apt/sources.list.d/ubuntu.sources", machine.key)
    assert client.update()
    assert client.candidate() == OURS
    (ours,) = [b for b in report["built"]["debs"] if Path(b["path"]).name.startswith("iproute2_")]
    assert file_sha256(client.download()) == ours["sha256"]

    update(machine)
    assert client.update()
    assert client.candidate() == UPDATED
    fetched = told(machine.respin("fetch", "--json", "--out", tmp_path / "out"))
    assert fetched["source"]["version"] == UPDATED


def update(machine: Machine) -> None:
    """Let Ubuntu have an update, which it gives to every tenth machine."""
    directory = machine.directory / "update"
    machine.main.add_source(ubuntupackages.source(directory, UPDATED), suite=UPDATES)
    for deb in ubuntupackages.debs(Again(name="iproute2", version=UPDATED)):
        machine.main.add_deb(deb, suite=UPDATES)
    machine.main.phased["iproute2"] = 10
    machine.main.sign(UPDATES)
