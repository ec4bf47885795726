# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the archives of superseded versions have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pipeline.archives import dsc_file
from pipeline.archives.staging import staged
from pipeline.archives.store import Store
from pipeline.archives.web import Client
from pipeline.errors import FetchError
from pipeline.host.cache import Cache
from pipeline.model import Release, Source, VerifiedFile
from pipeline.text.address import Address


@dataclass(frozen=True, kw_only=True)
class Service:
    """How to query a service, and whom to believe."""

    url: Address
    """Without a slash at its end."""
    client: Client
    cache: Cache
    keyrings: tuple[Path, ...] = ()
    """Keys that may have signed an archive's index."""
    uploaders: tuple[Path, ...] = ()
    """Keys that may have signed a .dsc."""
    accepted: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of a .dsc -> who vouches for it, in words (``accepted by …``)."""

    @property
    def store(self) -> Store:
        """The store of downloads."""
        return Store(self.client, self.cache)


class History(Protocol):
    """An archive that keeps superseded versions."""

    def fetch_source(self, name: str, version: str, dest: Path) -> Source:
        """Fetch and verify this version of a source package into the directory ``dest``.

        Raises FetchError, and then leaves ``dest`` unchanged.
        """


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A .dsc, and where to get the files that it names."""

    data: bytes
    name: str
    urls: Mapping[str, str]
    """File name -> address."""
    trust: str
    """In words: who vouches for the .dsc."""
    origin: str
    indexed: bool = False
    """A signed index lists it."""

    @property
    def sha256(self) -> str:
        """What identifies the .dsc: two sources may have been given the same version."""
        return hashlib.sha256(self.data).hexdigest()


def expect(value: object, kind: type, where: str) -> Any:
    """Return ``value`` if it is of the ``kind`` (dict, list, str, int); raise FetchError if not."""
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise FetchError(
        f"the answer of {where} does not have its documented form",
        details=f"expected {kind.__name__}, found {type(value).__name__}: {str(value)[:200]}",
        hint="the service may have changed; please report this",
    )


def check_identity(data: bytes, name: str, version: str, where: str) -> dsc_file.Dsc:
    """Read a .dsc; raise FetchError if it belongs to another package or version."""
    fields = dsc_file.parse(data, where)
    if (fields.name, fields.version) != (name, version):
        raise FetchError(
            f"{where} belongs to {fields.name} {fields.version}, not to {name} {version}",
            hint="please report to the service that it mixes up its files",
        )
    return fields


def only(candidates: Sequence[Candidate], name: str, version: str) -> Candidate:
    """Return the one that all candidates agree on; raise FetchError if they do not."""
    distinct = {c.sha256: c for c in candidates}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    raise FetchError(
        f"there are {len(distinct)} different sources of {name} {version}",
        details="\n".join(f"{c.sha256}  {c.origin}" for c in distinct.values()),
        hint="choose one of them with --accept-unsigned-source SHA256",
    )


def deliver(
    chosen: Candidate, fields: dsc_file.Dsc, service: Service, dest: Path, release: Release
) -> Source:
    """Fetch and check the files that a .dsc names, and put all of them into ``dest``."""
    missing = [f.name for f in fields.files if f.name not in chosen.urls]
    if missing:
        raise FetchError(
            f"{service.url} does not have all files in {chosen.name}: {', '.join(missing)}",
            hint="choose another version: this one is no longer complete there",
        )
    here = f"{chosen.name} from {service.url}"
    paths = {f.name: service.store.get(chosen.urls[f.name], f, here) for f in fields.files}
    with staged(dest) as staging:
        (staging.path / chosen.name).write_bytes(chosen.data)
        for each in fields.files:
            dsc_file.take(paths[each.name], staging.path / each.name, each, here)
        staging.keep([*paths, chosen.name])
    own = dsc_file.Listed(name=chosen.name, size=len(chosen.data), sha256=chosen.sha256)
    told = [(own, chosen.trust), *((f, f"SHA-256 in {chosen.trust}") for f in fields.files)]
    return Source(
        name=fields.name,
        version=fields.version,
        release=release,
        files=tuple(
            VerifiedFile(path=dest / f.name, size=f.size, sha256=f.sha256, verified=why)
            for f, why in told
        ),
        origin=chosen.origin,
        indexed=chosen.indexed,
    )
