# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Ubuntu 24.04 as near as it can be had where its own archive cannot be reached.

Archives are laid out as Ubuntu lays out noble, on three hosts, and a machine is set up to use
them. All packages are Debian 12's; those that are not packed anew are redirected to the mirror
that this machine uses.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.archives import host_apt
from pipeline.config import distros
from pipeline.isolation import namespaces
from support import cli, ubuntupackages, world
from support.archive import Archive, Signer
from support.ubuntupackages import AGAIN, NOBLE, OS_RELEASE, SECURITY, UPDATES

KEYRING = distros.ALL["ubuntu"].keyring
SCRIPT = Path(__file__).with_name("ubuntu-host.sh")
OPENED = datetime(2024, 4, 25, 15, 10, tzinfo=UTC)
"""Ubuntu does not sign a release again after the day on which it appears."""
COMPONENTS = ("main", "restricted", "universe", "multiverse")
ARCHITECTURES = "amd64 arm64 armhf i386 ppc64el riscv64 s390x"
SOURCES = """\
Types: deb
URIs: {main}/
Suites: noble noble-updates noble-backports
Components: main restricted universe multiverse
Signed-By: {keyring}

Types: deb
URIs: {security}/
Suites: noble-security
Components: main restricted universe multiverse
Signed-By: {keyring}
"""
PORTS = """\
deb [arch=arm64,riscv64 signed-by={keyring}] {ports}/ noble main universe
deb [arch=arm64,riscv64 signed-by={keyring}] {ports}/ noble-security main universe
"""


class Host(Archive):
    """One of Ubuntu's hosts, which has some of the suites of noble."""

    def __init__(
        self, directory: Path, signer: Signer, *, at: str = "/ubuntu", architecture: str = "amd64"
    ) -> None:
        """``at`` is a path of its server."""
        super().__init__(
            directory,
            signer,
            suite=NOBLE,
            architecture=architecture,
            components=COMPONENTS,
            at=at,
        )
        self.forms = (".gz", ".xz")

    def sign(self, suite: str) -> None:
        """Write and sign the index of a suite, as Ubuntu does."""
        self.says[suite] = {
            "Origin": "Ubuntu",
            "Label": "Ubuntu",
            "Suite": suite,
            "Version": "24.04",
            "Codename": NOBLE,
            "Valid-Until": "",
            "Architectures": ARCHITECTURES,
            "Acquire-By-Hash": "yes",
        }
        self.publish(only=suite, date=OPENED if suite == NOBLE else None)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine with Ubuntu, and the hosts that its apt is set up to use."""

    directory: Path
    cache: Path
    main: Host
    security: Host
    ports: Host
    """It has the other architectures."""
    key: Path

    def respin(self, *args: str | Path, config: Path | None = None) -> cli.Said:
        """Call respin on this machine."""
        begin = [*namespaces.unshare(), "sh", str(SCRIPT), str(self.directory / "machine")]
        return cli.respin(*args, begin=begin, cache=self.cache, config=config)


def write_lists(etc: Path, main: Host, security: Host, ports: Host) -> None:
    """Write what a machine has in /etc/apt that has packages of two architectures."""
    lists = etc / "sources.list.d"
    lists.mkdir(parents=True)
    uris = {"main": main.url, "security": security.url, "ports": ports.url, "keyring": KEYRING}
    (lists / "ubuntu.sources").write_text(SOURCES.format(**uris))
    (lists / "ports.list").write_text(PORTS.format(**uris))


def _set_up(machine: Machine) -> None:
    """Write what the machine has in /etc/apt, in /usr/share/keyrings, and its os-release."""
    there = machine.directory / "machine"
    (there / "keyrings").mkdir(parents=True)
    shutil.copy(machine.key, there / "keyrings" / KEYRING.name)
    (there / "os-release").write_text(OS_RELEASE)
    write_lists(there / "apt", machine.main, machine.security, machine.ports)
    # How this machine reaches the mirror to which it is redirected.
    (there / "apt/apt.conf").write_text("".join(f"{s}\n" for s in host_apt.network_settings()))


@contextlib.contextmanager
def machine(directory: Path) -> Iterator[Machine]:
    """Yield a machine, and serve what it needs to fix its iproute2."""
    with (
        world.signer("ubuntu") as signer,
        Host(directory / "main", signer) as main,
        Host(directory / "security", signer) as security,
        Host(directory / "ports", signer, at="/ubuntu-ports", architecture="arm64") as ports,
    ):
        main.add_source(ubuntupackages.source(directory / "source", ubuntupackages.RELEASED))
        for again in AGAIN:
            host = security if again.suite == SECURITY else main
            for deb in ubuntupackages.debs(again):
                host.add_deb(deb, suite=again.suite, component=again.component)
        for deb in ubuntupackages.debs(None):
            main.add_deb(deb)
        kernels = {p.name for p in world.packages() if p.name.startswith("linux-image-")}
        packed = {again.name for again in AGAIN if again.suite == NOBLE}
        world.stock(main, NOBLE, without=packed | kernels)
        main.phased = {"mawk": 10}
        for suite in (NOBLE, UPDATES, f"{NOBLE}-backports"):
            main.sign(suite)
        security.sign(SECURITY)
        ports.sign(NOBLE)
        made = Machine(
            directory=directory,
            cache=world.cache(directory / "cache"),
            main=main,
            security=security,
            ports=ports,
            key=signer.keyring,
        )
        _set_up(made)
        yield made
