# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a release's archive may be: this machine's mirror, or the distro's default."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.archives import host_apt
from pipeline.config import distros
from pipeline.errors import UsageError
from pipeline.host import command
from pipeline.host.resources import package_data
from pipeline.model import Release
from pipeline.releases.distroinfo import known
from pipeline.text.address import Address, scrub

PROGRAM = Path("/usr/sbin/debootstrap")
SCRIPTS = Path("/usr/share/debootstrap/scripts")


def siblings(mirror: str, release: Release) -> tuple[Address, Address]:
    """Return the archives (main, security) of a mirror that the user gives.

    Raises UsageError if it is not an address.
    """
    credentials = mirror.credentials if isinstance(mirror, Address) else None
    mirror = mirror.rstrip("/")
    if not re.match(r"(https?|file|copy|mirror\+\w+):/", mirror) or re.search(r"\s", mirror):
        raise UsageError(
            f"{scrub(mirror)!r} is not a valid address of a mirror",
            hint="give an address such as http://mirror.example.org/debian",
        )
    try:
        address = Address(mirror, credentials)
    except ValueError as e:
        raise UsageError("the address of the mirror is not valid", hint=str(e)) from None
    beside = distros.of(release).security_beside and address.endswith(f"/{release.distro}")
    return address, address.like(f"{address}-security") if beside else address


def of_this_machine(
    release: Release, keys: Path, etc: Path, lists: Path, architecture: str = ""
) -> tuple[Address, Address]:
    """Return the archives (main, security) of the distro in this machine's apt, or ''.

    They serve ``architecture`` (default: this machine's), as far as the machine's apt says.
    Other vendors use the same suite names. So an archive counts as the distro's if apt's copy of
    its index is signed by the distro's keys, or, if apt has no copy, if its address ends like those
    of the distro's mirrors.
    """
    ours = {k.release.codename for k in known() if k.release.distro == release.distro}
    ours |= distros.of(release).aliases
    found: dict[bool, list[Address]] = {False: [], True: []}
    # An archive that serves this release comes first.
    entries = sorted(
        host_apt.entries(etc, architecture), key=lambda e: _stem(e.suite) != release.codename
    )
    for entry in entries:
        if _stem(entry.suite) not in ours or "main" not in entry.components:
            continue
        signed = host_apt.signed_by(entry, keys, lists)
        usual = entry.uri.rpartition("/")[2] in distros.of(release).directories
        if signed or (signed is None and usual):
            found[re.search(r"-security$|/updates$", entry.suite) is not None].append(entry.uri)
    nowhere = [Address("")]
    return (found[False] or nowhere)[0], (found[True] or nowhere)[0]


def _stem(suite: str) -> str:
    """Return a suite's name without its pocket."""
    return re.split(r"[-/]", suite)[0]


def default(
    release: Release, scripts: Path = SCRIPTS, architecture: str = ""
) -> tuple[Address, Address]:
    """Return the distro's default archives (main, security) for an architecture.

    By default that is this machine's.

    debootstrap knows them: a package that is in Debian and in Ubuntu; what it says of a
    distro's newest release holds for those that it does not know yet. ``scripts`` is its
    directory. Raises UsageError if it is not there, or says none.
    """
    names = (release.codename, distros.of(release).debootstrap)
    script = next((scripts / name for name in names if (scripts / name).exists()), None)
    found = ""
    if script is not None:
        asker = package_data(__package__, "default-mirror.sh")
        about = (architecture or host_apt.architecture(), release.codename)
        done = command.run(["sh", asker, PROGRAM, script, *about], check=False)
        found = done.text.strip()
    if not found:
        raise UsageError(
            f"respin knows no mirror of {release.distro}",
            hint="run apt-get install debootstrap, or give a mirror with --mirror",
        )
    return siblings(found, release)
