# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Launchpad: every version that Ubuntu ever published.

Its web service gives the SHA-256 of each file, but signs nothing: the signature of the .dsc,
or the user, has to vouch for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pipeline.archives import dsc_file, vouch
from pipeline.archives.history import (
    Candidate,
    Service,
    check_identity,
    deliver,
    expect,
    only,
)
from pipeline.archives.web import same_service
from pipeline.errors import FetchError
from pipeline.model import Release, Source

MOST_PAGES = 50


class Launchpad:
    """Ubuntu's superseded versions."""

    def __init__(self, release: Release, service: Service) -> None:
        self.release = release
        self._service = service

    def fetch_source(self, name: str, version: str, dest: Path) -> Source:
        """Fetch and verify this version of a source package into the directory ``dest``.

        The version must have been published in the release. Raises FetchError, and then leaves
        ``dest`` unchanged.
        """
        entries = [
            e
            for e in self._published(name, version)
            if e.get("source_package_version") == version
            and e.get("source_package_name", name) == name
        ]
        if not entries:
            raise FetchError(
                f"Ubuntu never published {name} {version}",
                hint="check --version; Ubuntu's revision is part of it",
            )
        ours = [e for e in entries if _series(e) == self.release.codename]
        if not ours:
            there = ", ".join(sorted({_series(e) for e in entries}))
            raise FetchError(
                f"{name} {version} was never in Ubuntu {self.release.codename}",
                details=f"It was in: {there}",
                hint="choose one of these with --release",
            )
        # Several publications (pockets, copies) share their files.
        links = dict.fromkeys(str(e.get("self_link")) for e in ours)
        found = [self._candidate(link, name, version) for link in links]
        named = [c for c in found if c.sha256 in self._service.accepted]
        chosen = only(named or found, name, version)
        fields = check_identity(chosen.data, name, version, chosen.name)
        where = f"{chosen.name} at {self._service.url}"
        trust = vouch.vouched(chosen.data, where, self._service.uploaders, self._service.accepted)
        vouched = Candidate(
            data=chosen.data,
            name=chosen.name,
            urls=chosen.urls,
            trust=trust,
            origin=chosen.origin,
        )
        return deliver(vouched, fields, self._service, dest, self.release)

    def _published(self, name: str, version: str) -> Iterator[dict[str, Any]]:
        """Yield the publications, page by page."""
        url = f"{self._service.url}/ubuntu/+archive/primary"
        params: dict[str, str] | None = {
            "ws.op": "getPublishedSources",
            "source_name": name,
            "version": version,
            "exact_match": "true",
        }
        been = set[str]()
        while url not in been and len(been) < MOST_PAGES:
            been.add(url)
            page = expect(self._service.client.json(url, params), dict, url)
            for entry in expect(page.get("entries"), list, url):
                yield expect(entry, dict, url)
            if page.get("next_collection_link") is None:
                return
            url, params = self._own(page["next_collection_link"]), None
        raise FetchError(
            f"{self._service.url} sent too many pages of answers",
            details=url,
            hint="try again later",
        )

    def _own(self, link: object) -> str:
        """Return a link if it stays on the service; raise FetchError if not."""
        url = str(expect(link, str, self._service.url))
        if not same_service(url, self._service.url):
            raise FetchError(
                f"{self._service.url} refers respin to another service",
                details=url[:200],
                hint="Launchpad does not do that; check the proxy and the network",
            )
        return url

    def _candidate(self, link: str, name: str, version: str) -> Candidate:
        """Fetch the .dsc of a publication."""
        url = self._own(link)
        answer = self._service.client.json(url, {"ws.op": "sourceFileUrls", "include_meta": "true"})
        urls: dict[str, str] = {}
        listed: dict[str, dsc_file.Listed] = {}
        for each in expect(answer, list, url):
            info = expect(each, dict, url)
            address = str(expect(info.get("url"), str, url))
            file = unquote(urlsplit(address).path.rpartition("/")[2])
            entry = {"name": file, "size": info.get("size"), "sha256": info.get("sha256")}
            (listed[file],) = dsc_file.listed([entry], url)
            urls[file] = address
        names = [n for n in listed if n.endswith(".dsc")]
        if len(names) != 1 or listed[names[0]].size > dsc_file.LIMIT:
            raise FetchError(
                f"{self._service.url} has no .dsc of {name} {version}",
                details=", ".join(listed) or "no files at all",
                hint="choose another version: this one is no longer complete there",
            )
        dsc = names[0]
        data = dsc_file.load(self._service.store.get(urls[dsc], listed[dsc], url))
        return Candidate(data=data, name=dsc, urls=urls, trust="", origin=url)


def _series(entry: dict[str, Any]) -> str:
    return str(entry.get("distro_series_link", "")).rstrip("/").rpartition("/")[2]
