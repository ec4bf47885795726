# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What differs between Debian and Ubuntu: a class for each, and no test on a name elsewhere."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pipeline.config.config import Archives
from pipeline.model import Release
from pipeline.text.address import Address

KEYRINGS = Path("/usr/share/keyrings")


class Distro(ABC):
    """One distro: its keys, its archives, its suites, and how its versions go on."""

    name: ClassVar[str]
    """As in os-release's ID."""
    keyring: ClassVar[Path]
    keyring_package: ClassVar[str]
    retired_keys: ClassVar[Path]
    """Keys that sign nothing any more: what is frozen is signed by them."""
    components: ClassVar[tuple[str, ...]]
    """Those that its main component is built with."""
    aliases: ClassVar[frozenset[str]] = frozenset()
    """Suites that are names for one release or another."""
    later_support: ClassVar[Mapping[str, str]]
    """Column of distro-info-data -> the support that ends on that day, in order."""
    debootstrap: ClassVar[str]
    """debootstrap's script for every release that it has none for yet."""
    suffix: ClassVar[str]
    """What marks our rebuild of a version; a number follows."""
    binary_rebuilds: ClassVar[int] = 0
    """``+b1`` to ``+bN``: rebuilds of one upload that its archive could publish."""
    signed_history: ClassVar[bool]
    """Whether the archive of superseded versions has signed indexes."""
    security_beside: ClassVar[bool] = False
    """Whether a mirror has the security pocket beside the archive: …/debian-security."""

    @abstractmethod
    def later(self, version: str) -> list[str]:
        """Return the lowest uploads that can follow a version, one for each convention."""

    @abstractmethod
    def history(self, archives: Archives) -> Address:
        """Return the archive of superseded versions; empty if respin.toml names none."""

    @abstractmethod
    def old(self, archives: Archives) -> tuple[Address, Address]:
        """Return the archives (main, security) of the releases that are not supported any more."""

    def security_suite(self, release: Release) -> str:
        """Return the suite of a release's security pocket."""
        return f"{release.codename}-security"


class Debian(Distro):
    """Debian, and what is derived from it."""

    name = "debian"
    keyring = KEYRINGS / "debian-archive-keyring.gpg"
    keyring_package = "debian-archive-keyring"
    retired_keys = KEYRINGS / "debian-archive-removed-keys.gpg"
    components = ("main",)
    aliases = frozenset({"stable", "testing", "unstable", "oldstable"})
    debootstrap = "sid"
    later_support: ClassVar = {"eol-lts": "lts", "eol-elts": "elts"}
    # Later uploads append +deb12u1 and the like; without a plus ours would sort above +b1.
    suffix = "+bpf"
    binary_rebuilds = 99
    signed_history = True
    security_beside = True

    def later(self, version: str) -> list[str]:
        """An NMU (``.1``, ``+nmu1``), a stable update (``+deb12u1``, before that the name of the
        release), the last number plus one."""
        return [f"{version}{s}" for s in (".1", "+nmu1", "+deb1u1", "+etch1")] + [_next(version)]

    def history(self, archives: Archives) -> Address:
        """That is snapshot."""
        return archives.snapshot

    def old(self, archives: Archives) -> tuple[Address, Address]:
        """They are two, as the living ones are."""
        return archives.debian_old, archives.debian_security_old

    def security_suite(self, release: Release) -> str:
        """Debian 10 and older call it X/updates."""
        old = release.version and float(release.version) <= 10
        return f"{release.codename}/updates" if old else super().security_suite(release)


class Ubuntu(Distro):
    """Ubuntu, and what is derived from it."""

    name = "ubuntu"
    keyring = KEYRINGS / "ubuntu-archive-keyring.gpg"
    keyring_package = "ubuntu-keyring"
    retired_keys = KEYRINGS / "ubuntu-archive-removed-keys.gpg"
    # It builds its main component with universe since 2023.
    components = ("main", "universe")
    debootstrap = "gutsy"
    later_support: ClassVar = {"eol-esm": "esm", "eol-legacy": "legacy"}
    # Later uploads append digits or ``build``: a plus would sort above them.
    suffix = "bpf"
    signed_history = False

    def later(self, version: str) -> list[str]:
        """``buildN``, ``ubuntuN``, ``.1``, the last number plus one, ``+esm1``."""
        first = [] if "ubuntu" in version else [f"{version}ubuntu0.1", f"{version}ubuntu1"]
        return [f"{version}build1", f"{version}.1", f"{version}+esm1", _next(version), *first]

    def history(self, archives: Archives) -> Address:
        """That is Launchpad."""
        return archives.launchpad

    def old(self, archives: Archives) -> tuple[Address, Address]:
        """One has it all."""
        return archives.ubuntu_old, archives.ubuntu_old


ALL: Mapping[str, Distro] = {each.name: each for each in (Debian(), Ubuntu())}
"""By name, in the order in which they are shown."""


def of(release: Release) -> Distro:
    """Return the distro of a release."""
    return ALL[release.distro]


def _next(version: str) -> str:
    """Return a version with its last number plus one."""
    last = re.fullmatch(r"(.*?)(\d*)", version, re.DOTALL)
    assert last
    return f"{last[1]}{int(last[2] or 0) + 1}"
