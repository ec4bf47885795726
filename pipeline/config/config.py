# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""respin.toml: the user's own archives and releases.

    [archives]                     # where superseded versions and old releases come from
    snapshot = "https://snapshot.debian.org"

    [release.NAME]                 # a derivative, or a private archive
    base = "bookworm"

An unknown key is an error; it is not ignored.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import platformdirs

from pipeline.config import config_file, toml_tables
from pipeline.config.nightly import Nightly, nightly
from pipeline.errors import UsageError
from pipeline.text.address import Address

NAME = "respin.toml"
OWN = ("patches", "fixes")
"""The keys outside all tables."""
HERE = ("releases", "pockets", "architectures", "rebuild-on")
"""What a file in the current directory may say under [nightly]: which releases are watched, and for
which architectures. None of these changes whom respin trusts, what it runs, or where it writes or
removes anything."""


@dataclass(frozen=True, kw_only=True)
class Archives:
    """Addresses without a slash at the end; an empty one disables that archive."""

    snapshot: Address = Address("https://snapshot.debian.org")
    launchpad: Address = Address("https://api.launchpad.net/1.0")
    debian_old: Address = Address("http://archive.debian.org/debian")
    debian_security_old: Address = Address("http://archive.debian.org/debian-security")
    ubuntu_old: Address = Address("http://old-releases.ubuntu.com/ubuntu")

    def __post_init__(self) -> None:
        """Also accept plain text for addresses."""
        for each in fields(self):
            object.__setattr__(self, each.name, Address(getattr(self, each.name)))


@dataclass(frozen=True, kw_only=True)
class Derivative:
    """A release that is not in distro-info-data, or that comes from another archive."""

    name: str
    base: str = ""
    """The release of Debian or Ubuntu that it is made from; empty if the name is one of these."""
    uris: tuple[Address, ...] = ()
    suites: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    keyring: Path | None = None
    auth_file: Path | None = None
    """A file with logins for its archive, in the form of apt_auth.conf(5)."""
    kernel: str = ""
    suffix: str = ""
    frozen: bool = False
    architectures: tuple[str, ...] = ()
    """The architectures that a night builds it for; empty: those under [nightly]."""
    patches: tuple[Path, ...] = ()
    """The user's own patches for it; each path may end in ``,optional``."""


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Whose statements about a run are trusted."""

    keys: tuple[Path, ...] = ()
    """Files with public keys, besides the one that signs on this machine."""


@dataclass(frozen=True, kw_only=True)
class Own:
    """What the user adds to every release."""

    patches: tuple[Path, ...] = ()
    """Patches; each path may end in ``,optional``."""
    fixes: tuple[Path, ...] = ()
    """Directories of fixes."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What one respin.toml says."""

    path: Path | None = None
    archives: Archives = Archives()
    releases: Mapping[str, Derivative] = field(default_factory=dict)
    nightly: Nightly = field(default_factory=Nightly)
    """The tables [nightly], [publish] and [notify]."""
    trust: Trust = Trust()
    own: Own = Own()
    here: tuple[str, ...] = ()
    """The keys that came from a respin.toml in the current directory."""

    def patches_for(self, codename: str) -> tuple[Path, ...]:
        """Return the user's own patches for a release: those for every one, then its own."""
        release = self.releases.get(codename)
        return (*self.own.patches, *(release.patches if release else ()))


def load(path: Path | None = None) -> Config:
    """Read a configuration: ``path``, else $RESPIN_CONFIG, else the user's own.

    If there is none, the default applies. If neither of the first two is given, a respin.toml in
    the current directory, which may come from anybody, adds the keys in HERE and may contain
    nothing else. Raises UsageError for a file that cannot be read, that somebody else can write to,
    or that has an unknown key, with the most similar known key.
    """
    named = path or (Path(os.environ["RESPIN_CONFIG"]) if os.environ.get("RESPIN_CONFIG") else None)
    user = platformdirs.user_config_path("respin") / NAME
    found = named or (user if os.access(user, os.F_OK) else None)
    config = Config() if found is None else parse(config_file.read(found), found)
    here = Path(NAME)
    if named or not os.path.lexists(here) or (found and here.resolve() == found.resolve()):
        return config
    return _with_here(config, config_file.read(here), here)


def _with_here(config: Config, values: Mapping[str, Any], path: Path) -> Config:
    """Add the file in the current directory. Raises UsageError if it contains anything else."""
    tables_of = {name: value for name, value in values.items() if isinstance(value, dict)}
    said = {f"{key} under [{name}]" for name, table in tables_of.items() for key in table}
    said |= {f"[{name}]" for name in values if not tables_of.get(name) and name not in OWN}
    said |= {name for name in OWN if name in values}
    more = sorted(said - {f"{key} under [nightly]" for key in HERE} - {"[nightly]"})
    if more:
        raise UsageError(
            f"./{path} in the current directory must not set {more[0]}",
            details="Unless you name it explicitly, it may only set these keys under [nightly]: "
            f"{', '.join(HERE)}. It also sets: {', '.join(more)}",
            hint=f"read the file, and if it is yours, name it with --config ./{path} or the "
            "variable RESPIN_CONFIG",
        )
    own = parse(values, path).nightly
    given = {key.replace("-", "_") for key in values.get("nightly", {})}
    changes = {key: getattr(own, key) for key in given}
    return replace(config, nightly=replace(config.nightly, **changes), here=tuple(sorted(given)))


def parse(values: Mapping[str, Any], path: Path) -> Config:
    """Make a Config from ``path``. Raises UsageError."""
    toml_tables.check(values, path)
    given = {
        key.replace("-", "_"): address.rstrip("/")
        for key, address in values.get("archives", {}).items()
    }
    return Config(
        path=path,
        archives=Archives(**given),
        releases={
            name: toml_tables.record(Derivative, {**table, "name": name}, path)
            for name, table in values.get("release", {}).items()
        },
        nightly=nightly(values, path),
        trust=toml_tables.record(Trust, values.get("trust", {}), path),
        own=toml_tables.record(Own, {k: values[k] for k in OWN if k in values}, path),
    )
