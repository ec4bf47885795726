# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What this machine's own apt is set up to use: mirrors, proxies, credentials.

It is only read; the pipeline's own apt works in a private root (archives/privateroot.py).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from debian import deb822
from debian.debian_support import Version

from pipeline.archives import openpgp
from pipeline.errors import UsageError
from pipeline.files import bounded
from pipeline.host import command
from pipeline.text.address import Address

ETC = Path("/etc/apt")
LISTS = Path("/var/lib/apt/lists")

_OPTIONS, _OPTION = re.compile(r"\[([^\]]*)\]"), re.compile(r"([a-z]+[+-]?)=(\S*)")
_PROXY = re.compile(r'Acquire::(?P<scheme>https?)::Proxy(?:::(?P<host>[\w.-]+))? "(?P<uri>\S+)";')


@dataclass(frozen=True, kw_only=True)
class HostArchive:
    """An archive of binary packages in the machine's sources.list."""

    uri: Address
    """Without a slash at its end."""
    suite: str
    components: tuple[str, ...]


@cache
def architecture() -> str:
    """Return the machine's Debian architecture (``amd64``)."""
    return command.run(["dpkg", "--print-architecture"]).text.strip()


OLDEST = "2.2"
"""The oldest apt with all that is asked of it: Signed-By and deb822 sources (1.1), ``satisfy``
(1.9), and an update that fails if anything does (2.1.16); Debian 11's."""


@cache
def check() -> str:
    """Return the version of apt. Raises UsageError if it is too old."""
    said = command.run(["apt-get", "--version"], timeout=60, error=UsageError).text
    match = re.match(r"apt (\d[\w.+~:-]*)", said)
    if match and Version(match[1]) >= Version(OLDEST):
        return match[1]
    raise UsageError(
        f"the apt of this machine ({match[1] if match else 'of an unknown version'}) is too old to "
        "verify an archive as respin needs it",
        details=f"It needs apt {OLDEST} or later: Signed-By, deb822 sources, and an update that "
        "fails if anything does.",
        hint="run respin on a newer release; apt 2.6 and 3.0 (Debian 12's and 13's) are known to "
        "work",
    )


@cache
def network_settings() -> tuple[str, ...]:
    """Return the machine's apt settings for proxies and TLS, as lines of an apt.conf."""
    done = command.run(["apt-config", "dump"], check=False)
    wanted = re.compile(r'Acquire::(?:https?(?:::[\w.:-]+)?|Retries) ".+";')
    return tuple(line for line in done.text.splitlines() if wanted.fullmatch(line))


def proxies() -> dict[str, str]:
    """Return the proxies of the machine's apt, as requests names them: by scheme, or by host.

    An empty value means no proxy, which apt.conf(5) calls DIRECT.
    """
    said = (_PROXY.fullmatch(line) for line in network_settings())
    return {
        f"{each['scheme']}://{each['host']}" if each["host"] else each["scheme"]: ""
        if each["uri"] == "DIRECT"
        else each["uri"]
        for each in said
        if each
    }


def netrcs(etc: Path) -> tuple[Path, ...]:
    """Return the machine's apt credential files that this user may read, in apt's order."""
    directory = etc / "auth.conf.d"
    parts = sorted(directory.iterdir()) if os.access(directory, os.R_OK | os.X_OK) else []
    named = [p for p in parts if p.suffix in (".conf", "") and not p.name.startswith(".")]
    return tuple(p for p in (etc / "auth.conf", *named) if p.is_file() and os.access(p, os.R_OK))


def _serves(wanted: str, only: str, more: str, without: str) -> bool:
    """Tell whether an archive is one for the architecture ``wanted``: lists of names, or "".

    Ubuntu has some architectures on other hosts, so a machine may name both.
    """
    if not (only or without):
        return True
    wanted = wanted or architecture()
    named = re.split(r"[\s,]+", f"{only} {more}") if only else [wanted]
    return wanted in named and wanted not in re.split(r"[\s,]+", without)


def _one_line(text: str, wanted: str) -> Iterator[HostArchive]:
    """Read the one-line style of sources.list(5)."""
    for line in text.splitlines():
        line = line.partition("#")[0]
        options = dict(_OPTION.findall("".join(_OPTIONS.findall(line))))
        words = _OPTIONS.sub(" ", line).split()
        limits = [options.get(name, "") for name in ("arch", "arch+", "arch-")]
        if len(words) >= 3 and words[0] in ("deb", "deb-src") and _serves(wanted, *limits):
            with contextlib.suppress(ValueError):  # of no use to us
                uri = Address(words[1].rstrip("/"))
                yield HostArchive(uri=uri, suite=words[2], components=tuple(words[3:]))


def _deb822(text: str, wanted: str) -> Iterator[HostArchive]:
    """Read the deb822 style of sources.list(5)."""
    for stanza in deb822.Deb822.iter_paragraphs(text.split("\n"), use_apt_pkg=False):
        if str(stanza.get("Enabled", "yes")).lower() in ("no", "false", "0", "off", "without"):
            continue
        limits = (stanza.get(f"Architectures{each}", "") for each in ("", "-Add", "-Remove"))
        if not _serves(wanted, *map(str, limits)):
            continue
        for uri in str(stanza.get("URIs", "")).split():
            for suite in str(stanza.get("Suites", "")).split():
                with contextlib.suppress(ValueError):
                    yield HostArchive(
                        uri=Address(uri.rstrip("/")),
                        suite=suite,
                        components=tuple(str(stanza.get("Components", "")).split()),
                    )


def entries(etc: Path = ETC, wanted: str = "") -> tuple[HostArchive, ...]:
    """Return what the machine's sources.list and sources.list.d name, in apt's order.

    What does not serve the architecture ``wanted`` (default: this machine's) is left out. A file
    that this user may not read, or that is not a source list, counts as empty.
    """
    found: list[HostArchive] = []
    directory = etc / "sources.list.d"
    files = [etc / "sources.list", *(sorted(directory.iterdir()) if directory.is_dir() else ())]
    for path in files:
        try:
            text = bounded.text(path, bounded.SMALL, errors="replace")
        except OSError:
            continue
        if path.suffix == ".list":
            found += _one_line(text, wanted)
        elif path.suffix == ".sources":
            found += _deb822(text, wanted)
    return tuple(dict.fromkeys(found))


def list_name(uri: str, suite: str, name: str) -> str:
    """Return the name that apt gives to a file of a suite (its URItoFileName)."""
    bare = re.sub(r"^[a-z+]+:(//)?", "", uri.rstrip("/"))
    path = f"{bare}/dists/{suite.strip('/')}/{name}"
    quoted = re.sub(r"[^ -~]|[ \\|{}\[\]<>\"^~_=!@#$%&*]", lambda c: f"%{ord(c[0]):02x}", path)
    return quoted.replace("/", "_")


def signed_by(entry: HostArchive, keyring: Path, lists: Path = LISTS) -> bool | None:
    """Tell whether the index that apt keeps of an archive is signed by a key of ``keyring``.

    None if apt keeps no index (a container image ships without them).
    """
    try:
        data = bounded.read(lists / list_name(entry.uri, entry.suite, "InRelease"), bounded.LARGE)
    except OSError:
        return None
    return bool(openpgp.check(data, keyring).signers)
