# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who gets the credentials of an archive: apt in a file, requests as a pair, nobody else.

Those of an address (text/address.py) come first, then those of the machine's own apt: auth.conf and
auth.conf.d (apt_auth.conf(5)).
"""

from __future__ import annotations

import contextlib
import netrc
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.archives import host_apt
from pipeline.errors import UsageError
from pipeline.files import own_files
from pipeline.text.address import Address, Credentials

NETRC = "auth.conf"
PARTS = "auth.conf.d"


def write(directory: Path, addresses: Iterable[Address], etc: Path | None = None) -> None:
    """Write the credentials that apt needs to a directory: ``auth.conf``, ``auth.conf.d``.

    Only this user can read them. apt reads the first before the others. Raises UsageError for
    credentials that cannot be given to apt.
    """
    private(directory / NETRC, text(addresses))
    parts = directory / PARTS
    parts.mkdir(exist_ok=True)
    for old in parts.iterdir():
        old.unlink()
    for number, path in enumerate(host_apt.netrcs(etc or host_apt.ETC)):
        (parts / f"{number:03}.conf").symlink_to(path)


def files(etc: Path | None = None) -> tuple[tuple[Path, str], ...]:
    """Return the machine's credential files, for programs that run where they may not read them."""
    return tuple((path, str(path)) for path in host_apt.netrcs(etc or host_apt.ETC))


def text(addresses: Iterable[Address]) -> str:
    """Return an auth.conf for these, a host's longest path first. Raises UsageError."""
    lines = {_line(each) for each in addresses if each.credentials}
    return "".join(sorted(lines, reverse=True))


def private(path: Path, text: str) -> None:
    """Write a file that only this user can read, in one step."""
    own_files.write(path, text, mode=0o600)


def _line(address: Address) -> str:
    """Return an entry of apt_auth.conf(5); for plain HTTP, it has to name the protocol."""
    assert address.credentials
    own = address.credentials
    words = (re.sub(r"^mirror\+", "", address), own.user, own.password)
    if any(not word or re.search(r"\s", word) for word in words):
        raise UsageError(
            f"{address} has a user name or a password that apt cannot use",
            hint="choose ones that are not empty and contain no white space; see apt_auth.conf(5)",
        )
    return "machine {} login {} password {}\n".format(*words)


def of(address: Address, etc: Path | None = None) -> Credentials | None:
    """Return the credentials that apt would send to an address, or None."""
    if address.credentials:
        return address.credentials
    for path in host_apt.netrcs(etc or host_apt.ETC):
        # A file that cannot be read or parsed has nothing for us.
        with contextlib.suppress(OSError, ValueError, netrc.NetrcParseError):
            for name, (user, _, password) in netrc.netrc(str(path)).hosts.items():
                if serves(name, address):
                    return Credentials(user=user, password=password or "")
    return None


def serves(name: str, address: Address) -> bool:
    """Tell whether an entry is for an address: [protocol://]hostname[:port][/path]."""
    protocol, _, place = name.rpartition("://")
    wanted = urlsplit(address)
    if protocol != wanted.scheme and (protocol or wanted.scheme != "https"):
        return False
    host, slash, path = place.partition("/")
    return host == wanted.netloc and wanted.path.startswith(f"{slash}{path}")
