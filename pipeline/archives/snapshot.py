# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""snapshot.debian.org: every version that Debian ever published.

Its machine interface finds the files by name and version; a file is fetched by its SHA-1, which
proves nothing. So each .dsc is looked up in the signed index of the archive as it was when
the file was first seen (/archive/ARCHIVE/TIME/). If none of these indexes lists it, only the
signature of the .dsc can vouch for it.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from debian.debian_support import Version

from pipeline.archives import belief, dsc_file, vouch
from pipeline.archives.history import (
    Candidate,
    Service,
    check_identity,
    deliver,
    expect,
    only,
)
from pipeline.archives.index import Index
from pipeline.archives.release import SignedRelease
from pipeline.archives.web import not_there
from pipeline.config import limits
from pipeline.errors import FetchError
from pipeline.files import compressed
from pipeline.model import Release, Source

META = "main/source/Sources"
SHOWN = 12
"""Versions that an error lists."""

_TIME = re.compile(r"\d{8}T\d{6}Z")
_ARCHIVE = re.compile(r"[a-z][a-z-]{0,40}")
_SHA1 = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """One appearance of a file, as snapshot knows it."""

    sha1: str
    name: str
    archive: str
    time: str
    """When it was first seen: YYYYMMDDTHHMMSSZ."""
    size: int


class Snapshot:
    """Debian's superseded versions."""

    def __init__(self, release: Release, service: Service) -> None:
        self.release = release
        self._service = service

    def fetch_source(self, name: str, version: str, dest: Path) -> Source:
        """Fetch and verify this version of a source package into the directory ``dest``.

        Raises FetchError, and then leaves ``dest`` unchanged.
        """
        seen = self._files(name, version)
        urls = {s.name: f"{self._service.url}/file/{s.sha1}" for s in seen}
        found, refused = [], list[FetchError]()
        for sha1 in dict.fromkeys(s.sha1 for s in seen if s.name.endswith(".dsc")):
            try:
                found.append(self._candidate(name, version, sha1, seen, urls))
            except FetchError as e:
                refused.append(e)
        if not found:
            raise refused[0]
        named = [c for c in found if c.sha256 in self._service.accepted]
        chosen = only(named or found, name, version)
        fields = check_identity(chosen.data, name, version, chosen.origin)
        return deliver(chosen, fields, self._service, dest, self.release)

    def _files(self, name: str, version: str) -> tuple[_Seen, ...]:
        """Ask which files this version has; one hash may have been seen in several archives."""
        url = f"{self._service.url}/mr/package/{quote(name)}/{quote(version)}/srcfiles"
        try:
            answer = expect(self._service.client.json(url, {"fileinfo": "1"}), dict, url)
        except FetchError as e:
            raise (self._unknown(name, version) if not_there(e) else e) from None
        hashes = {
            str(expect(r, dict, url).get("hash")) for r in expect(answer.get("result"), list, url)
        }
        known: list[_Seen] = []
        for sha1, appearances in expect(answer.get("fileinfo"), dict, url).items():
            if sha1 in hashes:
                known += _appearances(sha1, appearances, url)
        if not any(s.name.endswith(".dsc") for s in known):
            raise FetchError(
                f"{self._service.url} has no .dsc of {name} {version}",
                hint="choose another version: this one is no longer complete there",
            )
        return tuple(known)

    def _unknown(self, name: str, version: str) -> FetchError:
        url = f"{self._service.url}/mr/package/{quote(name)}/"
        try:
            answer = expect(self._service.client.json(url), dict, url)
            told = [
                expect(r, dict, url).get("version") for r in expect(answer.get("result"), list, url)
            ]
        except FetchError as e:
            if not not_there(e):
                return e
            return FetchError(
                f"Debian never published a source package {name}", hint="check the name"
            )
        versions = sorted((str(v) for v in told if dsc_file.version_text(str(v))), key=Version)
        return FetchError(
            f"Debian never published {name} {version}",
            details=f"{self._service.url} has {len(versions)} versions; the last ones are "
            + ", ".join(versions[-SHOWN:]),
            hint="check --version; Debian's revision is part of it",
        )

    def _candidate(
        self, name: str, version: str, sha1: str, seen: Sequence[_Seen], urls: dict[str, str]
    ) -> Candidate:
        """Fetch a .dsc and find who vouches for it. Raises FetchError if nobody does."""
        places = [s for s in seen if s.sha1 == sha1]
        url = f"{self._service.url}/file/{sha1}"
        data = self._service.client.read(url, limit=dsc_file.LIMIT)
        if hashlib.sha1(data, usedforsecurity=False).hexdigest() != sha1:
            raise FetchError(
                f"{places[0].name} does not have the digest {sha1} under which {self._service.url} "
                "lists it",
                hint="try again; if that does not help, the service is broken or something "
                "changes the file in transit",
            )
        check_identity(data, name, version, f"{places[0].name} at {url}")
        found = Candidate(data=data, name=places[0].name, urls=urls, trust="", origin=url)
        for place in places:
            for suite in suites(self.release, version, place.archive):
                trust = self._listed(place, suite, name, found.sha256)
                if trust:
                    origin = f"{place.archive} of {place.time} at {self._service.url}"
                    return replace(found, trust=trust, origin=origin, indexed=True)
        where = f"{places[0].name} of {places[0].archive} at {self._service.url}"
        trust = vouch.vouched(data, where, self._service.uploaders, self._service.accepted)
        return Candidate(data=data, name=found.name, urls=urls, trust=trust, origin=url)

    def _listed(self, place: _Seen, suite: str, name: str, sha256: str) -> str:
        """Describe the signed index that lists this .dsc; empty if it does not."""
        site = f"{self._service.url}/archive/{place.archive}/{place.time}"
        dists = f"{site}/dists/{suite}"
        try:
            signed = self._service.client.read(f"{dists}/InRelease")
        except FetchError as e:
            if not_there(e):
                return ""
            raise
        try:
            release = SignedRelease(
                signed,
                suite=suite,
                site=site,
                keyrings=self._service.keyrings,
                frozen=True,
            )
            belief.check_name(release)
        except FetchError:  # signed by unknown keys or by nobody, or another's
            return ""
        with tempfile.TemporaryDirectory(prefix="respin-index-") as tmp:
            path = Path(tmp) / "Sources"
            if not self._unpack_index(dists, release, path):
                return ""
            index = Index(path, meta=META, release=release, frozen=True)
            for listed in index.sources(name):
                if listed.files[0].sha256 == sha256:
                    return f"SHA-256 in {index.trust()}"
        return ""

    def _unpack_index(self, dists: str, release: SignedRelease, path: Path) -> bool:
        """Fetch the Sources that a signed Release lists, in whatever form it has."""
        for suffix in (*compressed.FORMS, ""):
            meta = f"{META}{suffix}"
            listed = release.listed(meta)
            if not listed:
                continue
            want = dsc_file.Listed(name=meta, size=listed[1], sha256=listed[0])
            try:
                stored = self._service.store.get(f"{dists}/{meta}", want, f"{dists}/InRelease")
            except FetchError as e:
                if not_there(e):
                    continue  # Debian lists the plain form and publishes only the others
                raise
            with path.open("wb") as out:
                out.writelines(compressed.pieces(stored, suffix, limits.LIMITS.listing))
            return True
        return False


def _appearances(sha1: str, values: object, url: str) -> Iterator[_Seen]:
    """Read the list that fileinfo has for a hash (an object in its place is accepted, too)."""
    for each in [values] if isinstance(values, dict) else expect(values, list, url):
        info = expect(each, dict, url)
        name, archive, time = (
            str(expect(info.get(key), str, url)) for key in ("name", "archive_name", "first_seen")
        )
        sound = (
            dsc_file.file_name(name)
            and _ARCHIVE.fullmatch(archive)
            and _TIME.fullmatch(time)
            and _SHA1.fullmatch(sha1)
        )
        if not sound:
            raise FetchError(
                f"{url} lists a file with an unsafe name: {name[:80]!r}",
                details=f"{sha1} {archive} {time}"[:200],
            )
        size = int(expect(info.get("size"), int, url))
        yield _Seen(sha1=sha1, name=name, archive=archive, time=time, size=size)


def suites(release: Release, version: str, archive: str) -> tuple[str, ...]:
    """Return the suites of an archive that may list a version, the likeliest first."""
    code = release.codename
    if archive == "debian-security":
        return f"{code}-security", f"{code}/updates"
    if archive == "debian-backports" or "~bpo" in version:
        return (f"{code}-backports",)
    updates = (f"{code}-proposed-updates", f"{code}-updates", code)
    if re.search(r"\+deb\d+u\d+$", version):
        return (*updates, "sid")
    return "sid", *updates
