# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose signed statements about a run this machine trusts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.archives import openpgp
from pipeline.config.config import Config
from pipeline.errors import UsageError
from pipeline.publish import keys

HINT = (
    "keys under [trust], and --key, take files, not fingerprints: gpg --export FINGERPRINT >FILE "
    "writes one"
)


def trusted(config: Config, named: Sequence[Path] = ()) -> tuple[bytes, ...]:
    """Return the keyrings, in binary form, of the keys that are trusted.

    They are in the files ``named``; if there are none, in those of respin.toml, and this machine's
    own key is one of them, if it has one. Raises UsageError for a file that has no key.
    """
    found = [_read(path) for path in named or config.trust.keys]
    settings = config.nightly
    state = settings.state_directory()
    if not named and (settings.publish.key or keys.there(state)):
        found.append(openpgp.binary(keys.find(state, settings.publish).public()))
    return tuple(found)


def _read(path: Path) -> bytes:
    ring = openpgp.keyring(path, hint=HINT)
    # RFC 4880, 4.2 and 5.5.1.1: the first packet is a public key, with either form of header.
    if not ring or ring[0] not in (0x98, 0x99, 0x9A, 0xC6):
        raise UsageError(
            f"{path} has no OpenPGP public key",
            hint=HINT,
        )
    return ring
