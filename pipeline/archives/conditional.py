"""HTTP to apt archives, asking only for what has changed (RFC 9110, If-None-Match and the like).

Several threads may ask at once: unlike the services of web.py these are mirrors, made for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import requests
from requests.adapters import HTTPAdapter

from pipeline.archives import machine
from pipeline.archives.web import AGENT
from pipeline.errors import FetchError

AT_ONCE = 16
TIMEOUT = 30.0
"""Seconds without a byte."""


@dataclass(frozen=True, kw_only=True)
class Validators:
    """By what a server recognises the edition that we have; both may be empty."""

    etag: str = ""
    modified: str = ""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    same: bool = False
    """Not modified: nothing was sent."""
    missing: bool = False
    body: bytes = b""
    validators: Validators = Validators()


class Mirrors:
    """A client for any number of mirrors."""

    def __init__(self) -> None:
        """Set up, with the proxies that this machine's apt uses, else those of the environment."""
        self._session = requests.Session()
        self._session.mount("http://", HTTPAdapter(pool_maxsize=AT_ONCE))
        self._session.mount("https://", HTTPAdapter(pool_maxsize=AT_ONCE))
        self._session.headers["User-Agent"] = AGENT
        for line in machine.network_settings():
            match = re.fullmatch(r'Acquire::(https?)::Proxy "(\S+)";', line)
            if match and match[2].upper() != "DIRECT":
                self._session.proxies[match[1]] = match[2]

    def get(self, url: str, *, limit: int, have: Validators | None = None) -> Answer:
        """Ask for ``url``, at most ``limit`` bytes, unless it is what we ``have``.

        Raises FetchError for what is neither the file, nor that it is the same or missing.
        """
        if url.startswith(("file:", "copy:")):
            return _local(Path(unquote(urlsplit(url).path)), limit, have)
        headers = {"Accept-Encoding": "identity"}
        if have and have.etag:
            headers["If-None-Match"] = have.etag
        if have and have.modified:
            headers["If-Modified-Since"] = have.modified
        try:
            with self._session.get(
                quote(url, safe=":/~%+"), headers=headers, timeout=TIMEOUT, stream=True
            ) as answer:
                return _read(answer, url, limit)
        except requests.RequestException as e:
            raise FetchError(
                f"{urlsplit(url).netloc} cannot be asked",
                details=f"{url}: {type(e).__name__}: {e}",
                hint="check the network, the proxy and the mirror",
            ) from e


def _read(answer: requests.Response, url: str, limit: int) -> Answer:
    if answer.status_code == 304:
        return Answer(same=True)
    if answer.status_code in (404, 410):
        return Answer(missing=True)
    host = urlsplit(url).netloc
    if answer.status_code != 200:
        raise FetchError(
            f"{host} answered with status {answer.status_code}",
            details=url,
            hint="it is tried again with the next night",
        )
    body = bytearray()
    for chunk in answer.iter_content(1 << 16):
        body += chunk
        if len(body) > limit:
            raise FetchError(f"{host} sends more than {limit} bytes", details=url)
    length = answer.headers.get("Content-Length", "")
    if length.isdigit() and len(body) != int(length):
        raise FetchError(f"{host} ended after {len(body)} of {length} bytes", details=url)
    validators = Validators(
        etag=answer.headers.get("ETag", ""), modified=answer.headers.get("Last-Modified", "")
    )
    return Answer(body=bytes(body), validators=validators)


def _local(path: Path, limit: int, have: Validators | None) -> Answer:
    """Answer for an archive on a disk of this machine: its time of change is the validator."""
    try:
        found = path.stat()
        stamp = Validators(modified=f"{found.st_mtime_ns} {found.st_size}")
        if have == stamp:
            return Answer(same=True)
        if found.st_size > limit:
            raise FetchError(f"{path} has more than {limit} bytes")
        return Answer(body=path.read_bytes(), validators=stamp)
    except FileNotFoundError:
        return Answer(missing=True)
    except OSError as e:
        raise FetchError(f"{path} cannot be read: {e.strerror}") from e
