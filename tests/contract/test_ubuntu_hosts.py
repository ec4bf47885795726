# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Ubuntu's hosts: the archive, its security pocket, and the ports, by what a machine names.

A machine that runs Ubuntu needs Ubuntu's keys, and Debian's only for Debian's releases.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import cli, ubuntu
from support.archive import Signer
from support.packages import make_deb
from support.ubuntu import Host
from support.ubuntupackages import NOBLE, OS_RELEASE, RELEASED, SECURITY, UPDATED, UPDATES

from pipeline.archives import deb_file, host_apt
from pipeline.archives.apt import AptArchive
from pipeline.errors import FetchError
from pipeline.host.cache import Cache
from pipeline.isolation import namespaces
from pipeline.releases import releases

FIXED = "6.1.0-1ubuntu1.2"


@dataclass(frozen=True, kw_only=True)
class Hosts:
    """The hosts, and the apt configuration of a machine that names all of them."""

    main: Host
    security: Host
    ports: Host
    etc: Path

    def open(self, cache: Path) -> AptArchive:
        """Return what the machine reads of noble."""
        noble = releases.find(NOBLE)
        given = releases.sources(
            noble, keyring=self.main.keyring, etc=self.etc, lists=self.etc / "lists"
        )
        return AptArchive(noble, given, Cache(cache))


def iproute2(directory: Path, version: str, architecture: str = "amd64") -> Path:
    """Make a small package of that name, compressed as Ubuntu's are."""
    return make_deb(directory, "iproute2", version, architecture=architecture, compress="zstd")


@pytest.fixture(scope="module")
def signer() -> Iterator[Signer]:
    with Signer("ubuntu") as made:
        yield made


@pytest.fixture
def hosts(tmp_path: Path, signer: Signer) -> Iterator[Hosts]:
    with (
        Host(tmp_path / "main", signer) as main,
        Host(tmp_path / "security", signer) as security,
        Host(tmp_path / "ports", signer, at="/ubuntu-ports", architecture="arm64") as ports,
    ):
        main.add_deb(iproute2(tmp_path / "1", RELEASED), suite=NOBLE)
        main.add_deb(iproute2(tmp_path / "2", UPDATED), suite=UPDATES)
        main.phased = {"iproute2": 0}
        ports.add_deb(iproute2(tmp_path / "3", RELEASED, "arm64"), suite=NOBLE)
        ports.add_deb(iproute2(tmp_path / "4", FIXED, "arm64"), suite=SECURITY)
        for host, suites in (
            (main, (NOBLE, UPDATES)),
            (security, (SECURITY,)),
            (ports, (NOBLE, UPDATES, SECURITY)),
        ):
            for suite in suites:
                host.sign(suite)
        etc = tmp_path / "apt"
        ubuntu.write_lists(etc, main, security, ports)
        yield Hosts(main=main, security=security, ports=ports, etc=etc)


def test_an_update_that_some_machines_do_not_get_yet(hosts: Hosts, tmp_path: Path) -> None:
    """It is the newest version all the same; what zstd has compressed is fetched."""
    archive = hosts.open(tmp_path / "cache")
    assert archive.binary_versions("iproute2") == (UPDATED, RELEASED)
    assert [package.version for package in archive.closure(["iproute2"])] == [UPDATED]
    fetched = archive.fetch_binary("iproute2", None, tmp_path / "deb")
    assert deb_file.show(fetched.path, "${Version}", error=FetchError) == UPDATED
    assert hosts.ports.answers == []


def test_the_security_pocket_is_on_its_own_host(hosts: Hosts, tmp_path: Path) -> None:
    hosts.security.add_deb(iproute2(tmp_path, FIXED), suite=SECURITY)
    hosts.security.sign(SECURITY)
    archive = hosts.open(tmp_path / "cache")
    assert archive.binary_versions("iproute2") == (FIXED, UPDATED, RELEASED)
    archive.fetch_binary("iproute2", None, tmp_path / "deb")
    assert not any(path.endswith(".deb") for _, path in hosts.main.answers)


def test_other_architectures_are_elsewhere(
    hosts: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All pockets of the ports are on one host, and no other host is asked."""
    monkeypatch.setattr(host_apt, "architecture", lambda: "arm64")
    archive = hosts.open(tmp_path / "cache")
    assert archive.binary_versions("iproute2") == (FIXED, RELEASED)
    fetched = archive.fetch_binary("iproute2", None, tmp_path / "deb")
    assert deb_file.show(fetched.path, "${Architecture}", error=FetchError) == "arm64"
    assert hosts.main.answers == hosts.security.answers == []


BARE = """\
#!/bin/sh
case ${0##*/} in
dpkg-query) exit 1 ;;
id) echo 0 ;;
esac
"""
"""Programs of a machine that has no package, and on which everything succeeds."""


@pytest.fixture
def ubuntu_machine(tmp_path: Path) -> list[str | Path]:
    """Return the beginning of a command line on a machine with Ubuntu, and no keys."""
    for name in ("apt", "keyrings"):
        (tmp_path / "machine" / name).mkdir(parents=True)
    (tmp_path / "machine/os-release").write_text(OS_RELEASE)
    return [*namespaces.unshare(), "sh", ubuntu.SCRIPT, tmp_path / "machine"]


@pytest.mark.parametrize("there", [True, False])
def test_the_doctor_asks_for_the_keys_of_ubuntu(
    ubuntu_machine: list[str | Path], tmp_path: Path, there: bool
) -> None:
    if there:
        (tmp_path / "machine/keyrings" / ubuntu.KEYRING.name).touch()
    said = cli.respin("doctor", "--json", begin=ubuntu_machine, cache=tmp_path / "cache")
    checks = {check["what"]: check for check in json.loads(said.out)}
    assert [checks["ubuntu-keyring"][name] for name in ("ok", "required")] == [there, True]
    assert checks["ubuntu-keyring"]["mend"] == ("" if there else "apt-get install ubuntu-keyring")
    debian = checks["debian-archive-keyring"]
    assert [debian[name] for name in ("ok", "required")] == [False, False]
    assert "only releases of debian need it" in debian["found"]


def test_a_debian_release_asks_for_the_keys_of_debian(
    ubuntu_machine: list[str | Path], tmp_path: Path
) -> None:
    """It does so before anything is fetched."""
    said = cli.respin(
        *("fetch", "--release", "bookworm", "--out", tmp_path / "out"),
        begin=ubuntu_machine,
        cache=tmp_path / "cache",
    )
    assert said.status == 2 and "run apt-get install debian-archive-keyring" in said.err


def test_the_packages_that_a_machine_lacks(
    ubuntu_machine: list[str | Path], tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("dpkg-query", "apt-get", "apt-cache", "id"):
        (programs / name).write_text(BARE)
        (programs / name).chmod(0o755)
    script = [cli.CHECKOUT / "tools/install-packages", cli.CHECKOUT / "packages.txt"]
    path = f"PATH={programs}:/usr/bin:/bin"
    asked = []
    argv = [*ubuntu_machine, "env", path, "sh", *script]
    for text in (OS_RELEASE, "ID=debian\n"):
        (tmp_path / "machine/os-release").write_text(text)
        said = subprocess.run(argv, check=True, capture_output=True, text=True).stderr
        asked.append({word for word in said.split() if word.endswith("-keyring")})
    assert asked == [{"ubuntu-keyring"}, {"debian-archive-keyring"}]
