# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose keys vouch for an archive's files: what is kept of them is kept for those keys alone."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.errors import UsageError
from pipeline.files import bounded
from pipeline.host.cache import digest
from pipeline.model import AptSource


def contents(source: AptSource) -> list[bytes]:
    """Return the contents of a source's keyrings. Raises UsageError if one cannot be read."""
    try:
        return [bounded.read(path, bounded.KEYRING) for path in (source.keyring, *source.also)]
    except OSError as e:
        raise UsageError(
            f"the keyring {e.filename} cannot be read: {e.strerror}",
            hint="choose another one with --keyring FILE, or in respin.toml",
        ) from e


def sums(source: AptSource) -> list[str]:
    """Return a digest of each keyring of a source. Raises UsageError if one cannot be read."""
    return [digest(data) for data in contents(source)]


def trust(sources: Iterable[AptSource]) -> str:
    """Return a digest of all keys that vouch for what comes from these sources.

    Whether expired keys count (``gpgv``) is part of the digest. Raises UsageError if a keyring
    cannot be read.
    """
    told = {f"{each} {bool(source.gpgv)}" for source in sources for each in sums(source)}
    return digest(*sorted(told))
