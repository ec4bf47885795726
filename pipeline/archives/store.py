# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that the cache keeps by their SHA-256, fetched over HTTP."""

from __future__ import annotations

from pathlib import Path

from pipeline.archives import dsc_file
from pipeline.archives.web import Client
from pipeline.errors import FetchError
from pipeline.host.cache import Cache, file_sha256


class Store:
    """The cache's downloads."""

    def __init__(self, client: Client, cache: Cache) -> None:
        self._client = client
        self._cache = cache

    def get(self, url: str, want: dsc_file.Listed, where: str) -> Path:
        """Return the path of the file that ``where`` lists, fetched from ``url`` if need be.

        An interrupted download resumes where it stopped. Raises FetchError if the content is not
        what is listed.
        """
        final = self._cache.directory("downloads") / want.sha256
        part = self._cache.directory("partial") / want.sha256
        with self._cache.lock("download", want.sha256):
            if final.exists() and file_sha256(final) == want.sha256:
                return final
            continued = part.exists()
            try:
                self._fetch(url, part, want, where)
            except FetchError:
                # What another run left behind may itself be damaged.
                if not continued or part.exists():
                    raise
                self._fetch(url, part, want, where)
            part.replace(final)
        return final

    def _fetch(self, url: str, part: Path, want: dsc_file.Listed, where: str) -> None:
        """Raises FetchError; removes ``part`` if it is complete but wrong."""
        if part.exists() and part.stat().st_size > want.size:
            part.unlink()
        if not part.exists() or part.stat().st_size < want.size:
            self._client.download(url, part, limit=want.size)
        try:
            check_content(part, want, where)
        except FetchError:
            part.unlink()
            raise


def check_content(path: Path, want: dsc_file.Listed, where: str) -> None:
    """Check a file of another name against what ``where`` lists. Raises FetchError."""
    size = path.stat().st_size
    found = file_sha256(path)
    if (size, found) != (want.size, want.sha256):
        raise FetchError(
            f"{want.name} does not match its entry in {where}",
            details=f"listed: {want.size} bytes, {want.sha256}\nfound:  {size} bytes, {found}",
            hint="try again; if that does not help, the service is broken or something changes "
            "the file in transit",
        )
