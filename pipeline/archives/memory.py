# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What was seen of each archive, so that it cannot go back: in the cache, for all runs and nights.

There is one file for each archive, suite and keyring: the date of its index, and the newest
version of each source package that was requested. Both only ever go forward. The cache may be
deleted; then the next look counts as the first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from debian.debian_support import Version

from pipeline.archives import dsc_file, keyrings
from pipeline.errors import FetchError
from pipeline.files import bounded, own_files
from pipeline.host.cache import Cache, digest
from pipeline.model import AptSource

KIND = "seen"
"""The kind of these cache entries."""


@dataclass(frozen=True, kw_only=True)
class SeenIndex:
    """The newest index that was seen of a suite."""

    codename: str
    date: datetime
    versions: Mapping[str, str] = field(default_factory=dict)
    """Source package -> the newest version that it listed."""


class Memory:
    """What a cache remembers."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def _key(self, source: AptSource, suite: str) -> str:
        return digest(source.uri.rstrip("/"), suite, digest(*keyrings.contents(source)))

    def path(self, source: AptSource, suite: str) -> Path:
        """Return the file's path; if somebody deletes it, the next look counts as the first."""
        return self._cache.directory(KIND) / f"{self._key(source, suite)[:32]}.json"

    def of(self, source: AptSource, suite: str) -> SeenIndex | None:
        """Return what was seen, or None. Raises FetchError if the file is damaged."""
        path = self.path(source, suite)
        try:
            return _read(json.loads(bounded.text(path, bounded.SMALL, follow=False)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
            raise FetchError(
                f"respin could not read its record of {suite} at {source.uri}",
                details=f"{path}: {e}",
                hint=f"remove the record, so that respin begins a new one: rm {path}",
            ) from e

    def note(self, source: AptSource, suite: str, new: SeenIndex) -> None:
        """Remember this, unless it is older than what is remembered."""
        with self._cache.lock(KIND, self._key(source, suite)):
            old = self.of(source, suite)
            if old and old.date > new.date:
                return
            versions = {**(old.versions if old else {}), **new.versions}
            if old == SeenIndex(codename=new.codename, date=new.date, versions=versions):
                return
            value = {
                "site": str(source.uri),
                "suite": suite,
                "codename": new.codename,
                "date": new.date.isoformat(),
                "versions": versions,
            }
            path = self.path(source, suite)
            own_files.write(path, json.dumps(value), sync=True)


def _read(value: dict[str, Any]) -> SeenIndex:
    """Raises ValueError, KeyError, TypeError or AttributeError if it is not what we wrote."""
    date = datetime.fromisoformat(value["date"])
    versions = dict(value["versions"])
    if not isinstance(value["codename"], str) or date.tzinfo is None:
        raise ValueError("respin did not write it")
    if not all(dsc_file.version_text(str(v)) for v in versions.values()):
        raise ValueError("respin did not write it")
    return SeenIndex(codename=value["codename"], date=date.astimezone(UTC), versions=versions)


def lower(version: str | None, seen: str) -> bool:
    """Tell whether a version, or its absence, is below one that was seen."""
    return version is None or Version(version) < Version(seen)
