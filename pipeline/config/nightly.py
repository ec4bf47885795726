# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of respin.toml that ``respin nightly`` reads: [nightly], [publish], [notify]."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import platformdirs

from pipeline.config import toml_tables

SECTIONS = ("nightly", "publish", "notify")
POCKETS = ("release", "updates", "security", "backports")
TOOLCHAIN = "toolchain"


@dataclass(frozen=True, kw_only=True)
class Publishing:
    """How the repository is signed and described."""

    key: tuple[str, ...] = ()
    """The fingerprints of the keys that sign; empty: the one of ``respin key init``."""
    gnupg_home: Path | None = None
    """Where that key is; None: the state directory's own, or with ``key`` the user's."""
    passphrase_file: Path | None = None
    """None: no passphrase, or gpg-agent knows it."""
    url: str = "http://localhost/respin"
    """Where clients find the repository."""
    origin: str = "iproute2-respin"
    keep: int = 3
    """Versions that a repository offers at once."""
    valid_for: timedelta = timedelta(days=14)
    """How long a client believes an index; each night signs it anew."""


@dataclass(frozen=True, kw_only=True)
class Notifying:
    """Who is told of changes."""

    webhook_file: Path | None = None
    """A file that holds the address alone; or $RESPIN_WEBHOOK."""
    token_file: Path | None = None
    """A file with what is sent as bearer token; or $RESPIN_WEBHOOK_TOKEN."""
    command: tuple[str, ...] = ()
    """A program that gets the JSON on its standard input."""


@dataclass(frozen=True, kw_only=True)
class Nightly:
    """What is watched, and how much is kept."""

    releases: tuple[str, ...] = ()
    """Names of releases, or ``debian:supported``, ``ubuntu:lts``, ``ubuntu:supported``."""
    pockets: tuple[str, ...] = POCKETS[:3]
    state: Path | None = None
    rebuild_on: tuple[str, ...] = ()
    """``toolchain``: rebuild when the build dependencies change."""
    keep_runs: timedelta = timedelta(days=90)
    runs_size: int = 10 << 30
    """Bytes that old runs may take."""
    keep_cache: timedelta = timedelta(days=30)
    cache_size: int = 20 << 30
    publish: Publishing = Publishing()
    notify: Notifying = Notifying()

    def state_folder(self) -> Path:
        """Return the state directory: as configured, else $RESPIN_STATE, else the user's own."""
        named = os.environ.get("RESPIN_STATE")
        return self.state or Path(named or platformdirs.user_state_path("respin")).absolute()


def nightly(values: Mapping[str, Any], path: Path) -> Nightly:
    """Read the tables of the file ``path``. Raises UsageError."""
    where = f"{path}: [nightly]"
    table = toml_tables.table(values.get("nightly", {}), where)
    allowed = [f.name.replace("_", "-") for f in fields(Nightly) if f.name not in SECTIONS]
    toml_tables.known(table, allowed, where)
    default = Nightly()
    releases = table.get("releases", [])
    if not isinstance(releases, list) or len(releases) > 200:
        raise toml_tables.wrong(f"{where} releases", "it is a list of releases")
    return Nightly(
        releases=tuple(toml_tables.text(r, f"{where} releases") for r in releases),
        pockets=_choice(table, "pockets", where, POCKETS) or default.pockets,
        state=toml_tables.path(table.get("state", ""), f"{where} state", path),
        rebuild_on=_choice(table, "rebuild-on", where, (TOOLCHAIN,)),
        keep_runs=_days(table, "keep-runs", where, default.keep_runs),
        runs_size=_size(table, "runs-size", where, default.runs_size),
        keep_cache=_days(table, "keep-cache", where, default.keep_cache),
        cache_size=_size(table, "cache-size", where, default.cache_size),
        publish=_publishing(values, path),
        notify=_notifying(values, path),
    )


def _publishing(values: Mapping[str, Any], path: Path) -> Publishing:
    where = f"{path}: [publish]"
    table = toml_tables.table(values.get("publish", {}), where)
    toml_tables.known(table, [f.name.replace("_", "-") for f in fields(Publishing)], where)
    named = table.get("key", [])
    named = named if isinstance(named, list) else [named]
    key = tuple(toml_tables.text(n, f"{where} key").replace(" ", "").upper() for n in named)
    if len(key) > 2 or not all(len(k) == 40 and set(k) <= set("0123456789ABCDEF") for k in key):
        raise toml_tables.wrong(
            f"{where} key",
            "it is a fingerprint, 40 hexadecimal digits, or two in a list while one takes the "
            "other's place",
        )
    origin = toml_tables.text(table.get("origin", Publishing.origin), f"{where} origin")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9+.-]{1,60}", origin):
        # It is the name of files and of a package, too.
        raise toml_tables.wrong(f"{where} origin", "it is letters, digits, dots, hyphens and +")
    return Publishing(
        key=key,
        gnupg_home=toml_tables.path(table.get("gnupg-home", ""), f"{where} gnupg-home", path),
        passphrase_file=toml_tables.path(
            table.get("passphrase-file", ""), f"{where} passphrase-file", path
        ),
        url=toml_tables.uri(table.get("url", Publishing.url), f"{where} url"),
        origin=origin,
        keep=toml_tables.number(table.get("keep", Publishing.keep), f"{where} keep", 1, 100),
        valid_for=_days(table, "valid-for", where, Publishing.valid_for),
    )


def _notifying(values: Mapping[str, Any], path: Path) -> Notifying:
    where = f"{path}: [notify]"
    table = toml_tables.table(values.get("notify", {}), where)
    toml_tables.known(table, [f.name.replace("_", "-") for f in fields(Notifying)], where)
    command = table.get("command", [])
    if not isinstance(command, list) or len(command) > 100:
        raise toml_tables.wrong(f"{where} command", 'it is a list: ["mail", "-s", "respin", "me"]')
    return Notifying(
        webhook_file=toml_tables.path(table.get("webhook-file", ""), f"{where} webhook-file", path),
        token_file=toml_tables.path(table.get("token-file", ""), f"{where} token-file", path),
        command=tuple(toml_tables.text(word, f"{where} command") for word in command),
    )


def _choice(
    table: Mapping[str, Any], key: str, where: str, allowed: tuple[str, ...]
) -> tuple[str, ...]:
    """Return a word, or a list of words, that are all among the allowed ones."""
    value = table.get(key, [])
    found = value if isinstance(value, list) else [value]
    words = tuple(toml_tables.text(each, f"{where} {key}") for each in found)
    if not set(words) <= set(allowed):
        raise toml_tables.wrong(f"{where} {key}", f"it is of {', '.join(allowed)}")
    return words


def _days(table: Mapping[str, Any], key: str, where: str, default: timedelta) -> timedelta:
    days = toml_tables.number(table.get(key, default.days), f"{where} {key} (days)", 1, 36500)
    return timedelta(days=days)


def _size(table: Mapping[str, Any], key: str, where: str, default: int) -> int:
    return toml_tables.size(table[key], f"{where} {key}") if key in table else default
