# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""HTTP to apt archives, asking only for what has changed (RFC 9110, If-None-Match and the like).

Several threads may ask at once: unlike the services of web.py, these are mirrors, made for it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from pipeline.archives import apt_errors, credentials, host_apt
from pipeline.archives.wire_errors import Failed, TooSlow
from pipeline.config import limits
from pipeline.errors import FetchError
from pipeline.text.address import Address, scrub

if TYPE_CHECKING:
    import requests

AT_ONCE = 8
"""Simultaneous requests to one archive."""
PIECE = 16 << 10
"""Bytes that are read at once."""

_HERE = ("file:", "copy:")


@dataclass(frozen=True, kw_only=True)
class Validators:
    """What tells a server which edition we have; both may be empty."""

    etag: str = ""
    modified: str = ""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A server's answer."""

    same: bool = False
    """Not modified: nothing was sent."""
    missing: bool = False
    body: bytes = b""
    validators: Validators = Validators()


class Mirror:
    """A client for one archive, with a time limit for all its requests together."""

    def __init__(self) -> None:
        """Set up, with the proxies of this machine's apt, or else those of the environment.

        The time limit starts now.
        """
        from pipeline.archives.wire import Wire  # imports requests: see wire_errors.py

        self._seconds = limits.LIMITS.watch
        self._end = time.monotonic() + self._seconds
        self._wire = Wire(at_once=AT_ONCE)
        self._wire.session.proxies.update(host_apt.proxies())

    def stop(self) -> None:
        """End other threads' requests now."""
        self._end = 0.0
        self._wire.stop()

    def get(self, url: Address, *, limit: int, have: Validators | None = None) -> Answer:
        """Ask for ``url``, at most ``limit`` bytes, unless it is what we ``have``.

        Raises FetchError if the answer is neither the file, nor that it is unchanged or missing,
        and when the archive's time is up.
        """
        if url.startswith(_HERE):
            return _local(_path(url), limit, have)
        headers = {}
        if have and have.etag:
            headers["If-None-Match"] = have.etag
        if have and have.modified:
            headers["If-Modified-Since"] = have.modified
        with self._asked(url, headers) as (answer, pieces):
            if answer.status_code == 304:
                return Answer(same=True)
            if answer.status_code in (404, 410):
                return Answer(missing=True)
            body = b"".join(_body(answer, pieces, url, limit))
            validators = Validators(
                etag=answer.headers.get("ETag", ""),
                modified=answer.headers.get("Last-Modified", ""),
            )
            return Answer(body=body, validators=validators)

    def save(self, url: Address, path: Path, *, limit: int) -> bool:
        """Write the body at ``url``, at most ``limit`` bytes, to ``path``; False if it is missing.

        Raises FetchError as ``get`` does.
        """
        if url.startswith(_HERE):
            return _copied(_path(url), path, limit)
        with self._asked(url, {}) as (answer, pieces):
            if answer.status_code in (404, 410):
                return False
            with path.open("wb") as f:
                f.writelines(_body(answer, pieces, url, limit))
        return True

    @contextlib.contextmanager
    def _asked(
        self, url: Address, headers: Mapping[str, str]
    ) -> Iterator[tuple[requests.Response, Iterator[bytes]]]:
        left = self._end - time.monotonic()
        if left <= 0:
            raise self._over(url)
        own = credentials.of(url)
        try:
            with self._wire.ask(
                quote(url, safe=":/~%+[]"),
                headers=headers,
                auth=own.pair() if own else None,
                seconds=left,
                piece=PIECE,
            ) as (answer, pieces):
                yield answer, pieces
        except TooSlow as e:
            # What this request had left would say little of the archive.
            over = 0 < self._end <= time.monotonic()
            raise self._over(url) if over else _slow(url, str(e)) from e
        except Failed as e:
            raise FetchError(
                f"respin could not reach {urlsplit(url).netloc}",
                details=scrub(f"{url}: {type(e.cause).__name__}: {e}"),
                hint="check the network, the proxy and the mirror",
            ) from None

    def _over(self, url: Address) -> FetchError:
        return _slow(url, f"it has not answered completely after {self._seconds:.0f} s")


def _slow(url: str, why: str) -> FetchError:
    return FetchError(
        f"{urlsplit(url).netloc} is too slow: {why}",
        details=url,
        hint="the next night tries it again; or use another mirror",
    )


def _body(
    answer: requests.Response, pieces: Iterator[bytes], url: str, limit: int
) -> Iterator[bytes]:
    """Yield a good answer's body. Raises FetchError if it is bad, too long or cut off."""
    host = urlsplit(url).netloc
    if answer.status_code == 401:
        raise FetchError(
            f"{host} wants a login, or does not accept the one that it got",
            details=url,
            hint=apt_errors.LOGIN,
        )
    if answer.status_code != 200:
        raise FetchError(
            f"{host} answered with status {answer.status_code}",
            details=url,
            hint="the next night tries it again",
        )
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise _too_long(host, limit, url)
        yield piece
    length = answer.headers.get("Content-Length", "")
    if length.isdigit() and size != int(length):
        raise FetchError(
            f"{host} closed the connection after {size} of {length} bytes",
            details=url,
            hint="the next night tries it again",
        )


def _too_long(who: str, limit: int, where: str) -> FetchError:
    return FetchError(
        f"{who} sends more than {limit} bytes",
        details=where,
        hint="use another mirror: this one is broken, or is not an archive",
    )


def _path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def _local(path: Path, limit: int, have: Validators | None) -> Answer:
    """Answer for an archive on this machine's disk: the modification time is the validator."""
    try:
        found = path.stat()
        _check_file(path, found)
        stamp = Validators(modified=f"{found.st_mtime_ns} {found.st_size}")
        if have == stamp:
            return Answer(same=True)
        with path.open("rb") as f:
            body = f.read(limit + 1)
    except FileNotFoundError:
        return Answer(missing=True)
    except OSError as e:
        raise FetchError(f"{path} cannot be read: {e.strerror}") from e
    if len(body) > limit:
        raise _too_long("this machine", limit, str(path))
    return Answer(body=body, validators=stamp)


def _check_file(path: Path, found: os.stat_result) -> None:
    """Raise FetchError for anything but a regular file: reading a pipe might never end."""
    if not stat.S_ISREG(found.st_mode):
        raise FetchError(
            f"{path} is not a file", hint="use another mirror: this one is not an archive"
        )


def _copied(path: Path, to: Path, limit: int) -> bool:
    try:
        found = path.stat()
        _check_file(path, found)
        if found.st_size > limit:
            raise _too_long("this machine", limit, str(path))
        shutil.copyfile(path, to)
    except FileNotFoundError:
        return False
    except OSError as e:
        raise FetchError(f"{path} cannot be read: {e.strerror}") from e
    return True
