# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Identify the packages of a smoke test before anything is installed."""

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
"""Bytes of a package; iproute2's have 1 to 3 MB, a kernel's 80 MB."""

# The form in which tar lists a file: mode, owner, size, date, time, name.
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
        """Return name and version, for people."""
        return f"{self.name} {self.version}"

    @property
    def ours(self) -> bool:
        """Return whether the version ends like respin's: ``+bpfN`` or (Ubuntu) ``bpfN``."""
        revision = Version(self.version).debian_revision or ""
        return revision.rstrip("0123456789").endswith("bpf")


def read(path: Path) -> Deb:
    """Identify a package. Raises SmokeFailed if the file is not one."""
    try:
        with bounded.open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
    except OSError as e:
        raise SmokeFailed(f"respin could not read {path}: {e.strerror}") from e
    if size > LARGEST:
        raise SmokeFailed(
            f"{path.name} is larger than {LARGEST >> 20} MiB",
            hint="give the binary package iproute2_VERSION_ARCHITECTURE.deb",
        )
    form = "${Package}\n${Version}\n${Architecture}\n"
    fields = deb_file.show(path, form, error=SmokeFailed).splitlines()
    name, version, architecture = (*fields, "", "", "")[:3]
    sound = dsc_file.package_name(name) and dsc_file.version_text(version)
    if not sound or not dsc_file.package_name(architecture):
        raise SmokeFailed(
            f"{path.name} is not a Debian package with a valid name, version and architecture",
            details="\n".join(line[:200] for line in fields[:3]),
            hint="give the binary package iproute2_VERSION_ARCHITECTURE.deb",
        )
    return Deb(path=path, name=name, version=version, architecture=architecture)


def architecture(paths: Sequence[Path]) -> str:
    """Return the one architecture of packages. Raises SmokeImpossible if they have several."""
    debs = list(map(read, paths))
    for deb in debs[1:]:
        if deb.architecture != debs[0].architecture:
            raise SmokeImpossible(
                f"{debs[0].path.name} is for {debs[0].architecture}, but {deb.path.name} is for "
                f"{deb.architecture}, and both are tested on one machine",
                hint="give two packages of one architecture",
            )
    return debs[0].architecture


def with_programs(paths: Sequence[Path], architecture: str) -> tuple[Deb, ...]:
    """Return the packages to install: those with programs, without documentation or symbols.

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
            hint="test it on a machine of its own architecture; respin smoke without --place netns "
            "emulates one",
        )
    having = {deb: _has_tc(deb.path) for deb in found}
    found.sort(key=lambda deb: not having[deb])
    if paths and not any(having.values()):
        names = ", ".join(path.name for path in paths)
        raise SmokeFailed(
            f"{names} is not iproute2: it contains no tc",
            hint="give the binary package iproute2_VERSION_ARCHITECTURE.deb",
        )
    return tuple(found)


def _has_tc(path: Path) -> bool:
    return _IN_LISTING.search(deb_file.contents(path, error=SmokeFailed)) is not None
