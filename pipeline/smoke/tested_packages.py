# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages that a smoke test is given: what they are, before anything is installed."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from debian.debian_support import Version

from pipeline.archives import deb_file, dsc_file
from pipeline.errors import SmokeFailed, SmokeImpossible
from pipeline.files import bounded

LARGEST = 256 << 20
"""Bytes; iproute2's packages have 1 to 3 MB, a kernel's 80 MB."""

# As tar lists a file: rights, owner, size, date, time, name.
_IN_LISTING = re.compile(r"^[-lh]\S+ +\S+ +\d+ \S+ \S+ (\./)?(usr/)?s?bin/tc( |$)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Deb:
    """A binary package in a file."""

    path: Path
    name: str
    version: str
    architecture: str

    @property
    def title(self) -> str:
        """Name and version, for people."""
        return f"{self.name} {self.version}"

    @property
    def ours(self) -> bool:
        """Its version ends as respin's does: ``+bpfN`` in Debian, ``bpfN`` in Ubuntu."""
        revision = Version(self.version).debian_revision or ""
        return revision.rstrip("0123456789").endswith("bpf")


def read(path: Path) -> Deb:
    """Return what a package is. Raises SmokeFailed if it is none."""
    try:
        with bounded.open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
    except OSError as e:
        raise SmokeFailed(f"{path} cannot be read: {e.strerror}") from e
    if size > LARGEST:
        raise SmokeFailed(
            f"{path.name} has more than {LARGEST >> 20} MiB",
            hint="Give the binary package iproute2_VERSION_ARCHITECTURE.deb.",
        )
    form = "${Package}\n${Version}\n${Architecture}\n"
    fields = deb_file.show(path, form, error=SmokeFailed).splitlines()
    name, version, architecture = (*fields, "", "", "")[:3]
    sound = dsc_file.package_name(name) and dsc_file.version_text(version)
    if not sound or not dsc_file.package_name(architecture):
        raise SmokeFailed(
            f"{path.name} is not a package: it has no sound name, version and architecture",
            details="\n".join(line[:200] for line in fields[:3]),
            hint="Give the binary package iproute2_VERSION_ARCHITECTURE.deb.",
        )
    return Deb(path=path, name=name, version=version, architecture=architecture)


def with_programs(paths: Sequence[Path], architecture: str) -> tuple[Deb, ...]:
    """Return the packages to install: those with programs, neither documents nor symbols.

    The first is the one with ``tc``. Raises SmokeFailed if none has it, SmokeImpossible if
    one is for another architecture.
    """
    found = [
        deb
        for deb in map(read, paths)
        if deb.architecture != "all" and not deb.name.endswith(("-dbgsym", "-dbg"))
    ]
    foreign = [deb for deb in found if deb.architecture != architecture]
    if foreign:
        raise SmokeImpossible(
            f"{foreign[0].path.name} is for {foreign[0].architecture}, and this machine is "
            f"{architecture}",
            hint="Test it on a machine of its own architecture.",
        )
    found.sort(key=lambda deb: not _has_tc(deb.path))
    if paths and (not found or not _has_tc(found[0].path)):
        names = ", ".join(path.name for path in paths)
        raise SmokeFailed(
            f"{names} is not iproute2: there is no tc in it",
            hint="Give the binary package iproute2_VERSION_ARCHITECTURE.deb.",
        )
    return tuple(found)


def _has_tc(path: Path) -> bool:
    return _IN_LISTING.search(deb_file.contents(path, error=SmokeFailed)) is not None
