# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What differs between Debian and Ubuntu: a class for each; no other code tests the name."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pipeline.config.config import Archives
from pipeline.files import os_release
from pipeline.model import Release
from pipeline.text.address import Address

KEYRINGS = Path("/usr/share/keyrings")


class Distro(ABC):
    """One distro: its keys, archives and suites, and the versions of its later uploads."""

    name: ClassVar[str]
    """The ID in os-release(5)."""
    keyring: ClassVar[Path]
    keyring_package: ClassVar[str]
    retired_keys: ClassVar[Path]
    """Retired keys, which have signed the frozen archives."""
    components: ClassVar[tuple[str, ...]]
    """The components that its main component is built with."""
    aliases: ClassVar[frozenset[str]] = frozenset()
    """Suites that name different releases over time."""
    later_support: ClassVar[Mapping[str, str]]
    """Column of distro-info-data -> the support that ends on that day, in order."""
    debootstrap: ClassVar[str]
    """debootstrap's script for each release for which it has none yet."""
    suffix: ClassVar[str]
    """The suffix of a rebuild's version; a number follows."""
    binary_rebuilds: ClassVar[int] = 0
    """N for binary rebuilds ``+b1`` to ``+bN`` of one upload that its archive can publish."""
    signed_history: ClassVar[bool]
    """Whether the archive of superseded versions has signed indexes."""
    directories: ClassVar[frozenset[str]]
    """How the addresses of its mirrors end."""
    security_beside: ClassVar[bool] = False
    """Whether a mirror has the security pocket beside the archive: …/debian-security."""

    @abstractmethod
    def later(self, version: str) -> list[str]:
        """Return the lowest versions that can follow one, for each convention of the distro."""

    @abstractmethod
    def history(self, archives: Archives) -> Address:
        """Return the archive of superseded versions; empty if respin.toml names none."""

    @abstractmethod
    def old(self, archives: Archives) -> tuple[Address, Address]:
        """Return the archives (main, security) of unsupported releases."""

    def security_suite(self, release: Release) -> str:
        """Return the suite of a release's security pocket."""
        return f"{release.codename}-security"


class Debian(Distro):
    """Debian, and its derivatives."""

    name = "debian"
    keyring = KEYRINGS / "debian-archive-keyring.gpg"
    keyring_package = "debian-archive-keyring"
    retired_keys = KEYRINGS / "debian-archive-removed-keys.gpg"
    components = ("main",)
    aliases = frozenset({"stable", "testing", "unstable", "oldstable"})
    debootstrap = "sid"
    later_support: ClassVar = {"eol-lts": "lts", "eol-elts": "elts"}
    # Later uploads append +deb12u1 and similar; a suffix without a plus would not sort above +b1.
    suffix = "+bpf"
    binary_rebuilds = 99
    signed_history = True
    directories = frozenset({"debian", "debian-security"})
    security_beside = True

    def later(self, version: str) -> list[str]:
        """Return an NMU (``.1``, ``+nmu1``), a stable update, and the last number plus one.

        A stable update has ``+deb12u1``, and earlier had the name of the release.
        """
        return [f"{version}{s}" for s in (".1", "+nmu1", "+deb1u1", "+etch1")] + [_next(version)]

    def history(self, archives: Archives) -> Address:
        """Return snapshot.debian.org."""
        return archives.snapshot

    def old(self, archives: Archives) -> tuple[Address, Address]:
        """Return both addresses; they differ, like the current ones."""
        return archives.debian_old, archives.debian_security_old

    def security_suite(self, release: Release) -> str:
        """Return X-security; Debian 10 and older call it X/updates."""
        old = release.version and float(release.version) <= 10
        return f"{release.codename}/updates" if old else super().security_suite(release)


class Ubuntu(Distro):
    """Ubuntu, and its derivatives."""

    name = "ubuntu"
    keyring = KEYRINGS / "ubuntu-archive-keyring.gpg"
    keyring_package = "ubuntu-keyring"
    retired_keys = KEYRINGS / "ubuntu-archive-removed-keys.gpg"
    # Since 2023 Ubuntu builds its main component with universe.
    components = ("main", "universe")
    debootstrap = "gutsy"
    later_support: ClassVar = {"eol-esm": "esm", "eol-legacy": "legacy"}
    # Later uploads append digits or ``build``: a plus would sort above them.
    suffix = "bpf"
    signed_history = False
    # ubuntu-ports has all architectures but amd64 and i386.
    directories = frozenset({"ubuntu", "ubuntu-ports", "ubuntu-security"})

    def later(self, version: str) -> list[str]:
        """Return ``buildN``, ``ubuntuN``, ``.1``, the last number plus one, and ``+esm1``."""
        first = [] if "ubuntu" in version else [f"{version}ubuntu0.1", f"{version}ubuntu1"]
        return [f"{version}build1", f"{version}.1", f"{version}+esm1", _next(version), *first]

    def history(self, archives: Archives) -> Address:
        """Return Launchpad."""
        return archives.launchpad

    def old(self, archives: Archives) -> tuple[Address, Address]:
        """Return the same archive twice: it has both."""
        return archives.ubuntu_old, archives.ubuntu_old


ALL: Mapping[str, Distro] = {each.name: each for each in (Debian(), Ubuntu())}
"""The distros by name, in the order in which they are shown."""


def of(release: Release) -> Distro:
    """Return the distro of a release."""
    return ALL[release.distro]


def of_machine(path: Path = os_release.PATH) -> str:
    """Return the distro that this machine runs, or that its own is made from; empty if neither.

    ``path`` is its os-release(5), where Ubuntu, too, says that it is like Debian.
    """
    try:
        fields = os_release.read(path)
    except OSError:
        return ""
    names = (fields.get("ID", ""), *fields.get("ID_LIKE", "").split())
    return next((name for name in names if name in ALL), "")


def _next(version: str) -> str:
    """Return a version with its last number plus one."""
    last = re.fullmatch(r"(.*?)(\d*)", version, re.DOTALL)
    assert last
    return f"{last[1]}{int(last[2] or 0) + 1}"
