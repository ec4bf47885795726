# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of respin.toml that ``respin nightly`` reads: [nightly], [publish], [notify]."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import platformdirs

from pipeline.config import toml_tables

POCKETS = ("release", "updates", "security", "backports")
TOOLCHAIN = "toolchain"


@dataclass(frozen=True, kw_only=True)
class Publishing:
    """How the repository is signed and described."""

    key: tuple[str, ...] = ()
    """The fingerprints of the signing keys; empty: the key of ``respin key init``."""
    gnupg_home: Path | None = None
    """Where they are; None: in the state directory, or with ``key`` in the user's home."""
    passphrase_file: Path | None = None
    """A file with the passphrase; None: there is none, or gpg-agent knows it."""
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
    """A file with nothing but the address; None: $RESPIN_WEBHOOK."""
    token_file: Path | None = None
    """A file with the bearer token; None: $RESPIN_WEBHOOK_TOKEN."""
    command: tuple[str, ...] = ()
    """A program that gets the JSON on its standard input."""


@dataclass(frozen=True, kw_only=True)
class Nightly:
    """What is watched, and how much is kept."""

    releases: tuple[str, ...] = ()
    """Names of releases, or ``debian:supported``, ``ubuntu:lts``, ``ubuntu:supported``."""
    pockets: tuple[str, ...] = POCKETS[:3]
    architectures: tuple[str, ...] = ()
    """Debian's names of the architectures to build for; empty: this machine's."""
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

    def state_directory(self) -> Path:
        """Return the state directory: as configured, else $RESPIN_STATE, else the user's own."""
        named = os.environ.get("RESPIN_STATE")
        return self.state or Path(named or platformdirs.user_state_path("respin")).absolute()


def nightly(values: Mapping[str, Any], path: Path) -> Nightly:
    """Return the tables of the file ``path``, which match its schema."""
    publish = toml_tables.record(Publishing, values.get("publish", {}), path)
    key = tuple(each.replace(" ", "").upper() for each in publish.key)
    return replace(
        toml_tables.record(Nightly, values.get("nightly", {}), path),
        publish=replace(publish, key=key),
        notify=toml_tables.record(Notifying, values.get("notify", {}), path),
    )
