# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""HTTP to services that are not apt archives: one request at a time, patient, suspicious.

Transient failures (throttling, a server's error, a time-out, a connection that ends early) are
retried after a while; any other answer is an error at once. A download resumes where the last
try stopped. Nothing here is trusted: the caller checks the bytes.

urllib3's Retry has other rules: it repeats the first failure at once, waits within the request
(so while all other clients wait, and on its deadline), does not resume a body that was cut off,
and waits however long Retry-After asks (newer versions: six hours at most).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from pipeline.archives.wire_errors import Failed, How, TooSlow
from pipeline.config import limits
from pipeline.errors import FetchError
from pipeline.files import bounded
from pipeline.text.address import Address, scrub

if TYPE_CHECKING:
    import requests

TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
LONGEST_WAIT = 300.0
"""Seconds; a service that asks for a longer pause is not waited for."""
PIECE = 8 << 10
"""Bytes that are read at once; at most these are lost when a connection ends too early."""
SMALL = 16 << 20
"""Bytes of an answer that is read into memory."""

T = TypeVar("T")

_turn = threading.Lock()  # for all clients of this process: snapshot asks for that


class _Status(Exception):
    """The HTTP status that ended a request."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


def not_there(error: FetchError) -> bool:
    """Tell whether the service answered that it does not have what it was asked for."""
    return isinstance(error.__cause__, _Status) and error.__cause__.status in (404, 410)


class _Again(Exception):
    """Worth another try, after ``wait`` seconds or the usual time."""

    def __init__(self, what: str, wait: float | None = None) -> None:
        super().__init__(what)
        self.wait = wait


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Time, as a parameter."""

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    """Seconds since 1970."""
    sleep: Callable[[float], None] = time.sleep


class Client:
    """Asks one service, over one session."""

    def __init__(
        self,
        service: Address | None = None,
        *,
        timeout: float = 30.0,
        tries: int = 6,
        pause: float = 2.0,
        clock: Clock | None = None,
    ) -> None:
        """Set up.

        The credentials of the ``service``'s address, if it has any, are sent to it alone. A try
        ends after ``timeout`` seconds without a byte; the pauses start at ``pause`` seconds, and
        double.
        """
        from pipeline.archives.wire import Wire  # imports requests: see wire_errors.py

        self._service = service
        self._timeout, self._tries, self._pause = timeout, tries, pause
        self._clock = clock or Clock()
        self._spent = 0.0
        """Seconds that the service has taken so far."""
        self._wire = Wire()

    def read(
        self, url: str, params: Mapping[str, str] | None = None, *, limit: int = SMALL
    ) -> bytes:
        """Return the body at ``url``, at most ``limit`` bytes. Raises FetchError."""

        def attempt() -> bytes:
            with self._answer(url, params, {}) as (_, chunks):
                body = bytearray()
                for chunk in chunks:
                    body += chunk
                    if len(body) > limit:
                        raise _too_long(url, limit)
                return bytes(body)

        return self._patiently(url, attempt)

    def json(self, url: str, params: Mapping[str, str] | None = None) -> object:
        """Return the JSON at ``url``. Raises FetchError."""
        body = self.read(url, params)
        try:
            value: object = bounded.parse_json(body)
        except ValueError as e:
            raise FetchError(
                f"the answer of {url} is not JSON",
                details=body[:200].decode("utf-8", "replace"),
                hint="try again later; a proxy may have answered instead",
            ) from e
        return value

    def download(self, url: str, path: Path, *, limit: int) -> None:
        """Download the body at ``url`` to ``path``, without requesting what is already there.

        At most ``limit`` bytes. Raises FetchError; what has arrived stays in ``path``.
        """

        def attempt() -> None:
            have = path.stat().st_size if path.exists() else 0
            headers = {"Range": f"bytes={have}-"} if have else {}
            with self._answer(url, None, headers) as (answer, chunks):
                if answer.status_code == 416:  # no longer than what is there, or another file
                    path.unlink()
                    raise _Again("the server has no such range", 0.0)
                begins = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
                goes_on = answer.status_code == 206 and begins
                if answer.status_code == 206 and not goes_on:
                    path.unlink(missing_ok=True)
                    raise _Again("the server sent another range", 0.0)
                size = have if goes_on else 0
                with path.open("ab" if goes_on else "wb") as f:
                    for chunk in chunks:
                        size += len(chunk)
                        if size > limit:
                            raise _too_long(url, limit)
                        f.write(chunk)

        self._patiently(url, attempt)

    def _patiently(self, url: str, attempt: Callable[[], T]) -> T:
        problems: list[str] = []
        for number in range(self._tries):
            try:
                with _turn, self._timed(url, problems):
                    return attempt()
            except _Again as e:
                problems.append(str(e))
                wait = self._pause * 2**number if e.wait is None else e.wait
                if wait > LONGEST_WAIT:
                    raise FetchError(
                        f"{_host(url)} asks respin to wait {wait:.0f} seconds",
                        details=f"{url}: {e}",
                        hint="try again after that time",
                    ) from None
                if number + 1 < self._tries:
                    with self._timed(url, problems):
                        self._clock.sleep(wait)
        raise FetchError(
            f"{_host(url)} still does not answer correctly after {self._tries} tries",
            details="\n".join([url, *_counted(problems)]),
            hint="check the network and the proxy (https_proxy), or try again later",
        )

    @contextmanager
    def _timed(self, url: str, problems: Sequence[str]) -> Iterator[None]:
        """Count the seconds of the block; raise FetchError if the service has used up its time."""
        if self._spent >= limits.LIMITS.service:
            raise FetchError(
                f"{_host(url)} is too slow: respin has spent {self._spent:.0f} s on it",
                details="\n".join([url, *_counted(problems)]),
                hint="try again later: downloads continue where they stopped",
            )
        began = self._clock.monotonic()
        try:
            yield
        finally:
            self._spent += self._clock.monotonic() - began

    @contextmanager
    def _answer(
        self, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> Iterator[tuple[requests.Response, Iterator[bytes]]]:
        """Yield a good answer and its body; raise _Again for what is transient."""
        longest = min(limits.LIMITS.answer, limits.LIMITS.service - self._spent)
        try:
            with self._wire.ask(
                url,
                params=params,
                headers=headers,
                timeout=self._timeout,
                auth=self._auth(url),
                seconds=longest,
                piece=PIECE,
            ) as (answer, pieces):
                self._judge(answer, url)
                yield answer, _whole(answer, pieces)
        except TooSlow as e:
            raise _Again(str(e)) from e
        except Failed as e:
            if e.how is How.BROKEN:
                raise _Again(scrub(_why(e.cause))) from None
            circles = e.how is How.CIRCLES
            raise FetchError(
                f"{_host(url)} redirects in circles"
                if circles
                else f"respin could not reach {_host(url)}",
                details=scrub(f"{url}: {e}"),
                hint="try again later" if circles else "check the address",
            ) from None

    def _auth(self, url: str) -> tuple[bytes, bytes] | None:
        base = self._service
        if base is None or base.credentials is None or not same_service(url, base):
            return None
        return base.credentials.pair()

    def _judge(self, answer: requests.Response, url: str) -> None:
        status = answer.status_code
        if status in (200, 206, 416):
            return
        if status in TRANSIENT:
            raise _Again(f"status {status}", self._retry_after(answer))
        passes = "this is not one of the faults that pass; look at the address"
        raise FetchError(
            f"{_host(url)} answered with status {status}",
            details=scrub(answer.url),
            hint="check the name and the version" if status in (404, 410) else passes,
        ) from _Status(status)

    def _retry_after(self, answer: requests.Response) -> float | None:
        """Return the seconds that Retry-After asks for: it holds seconds or a date (RFC 9110)."""
        said = answer.headers.get("Retry-After", "").strip()
        if said.isascii() and said.isdigit():
            return float(said[:9])
        try:
            return max(0.0, parsedate_to_datetime(said).timestamp() - self._clock.now())
        except (ValueError, TypeError):
            return None


def _whole(answer: requests.Response, pieces: Iterator[bytes]) -> Iterator[bytes]:
    size, length = 0, answer.headers.get("Content-Length", "")
    for piece in pieces:
        size += len(piece)
        yield piece
    # urllib3 before 2.0 does not say when a connection ended too early.
    if length.isdigit() and size < int(length):
        raise _Again(f"the connection closed after {size} of {length} bytes")


def _why(error: BaseException) -> str:
    """Return why a request failed, in the system's words if it has any.

    requests and urllib3 wrap that error several times, and each repeats the address.
    """
    last = error
    for _ in range(10):
        if isinstance(last, OSError) and last.strerror:
            return last.strerror[:1].lower() + last.strerror[1:]
        inner = getattr(last, "reason", None) or (last.args[0] if last.args else None)
        if not isinstance(inner, BaseException):
            inner = last.__cause__ or last.__context__
        if inner is None:
            break
        last = inner
    return f"{type(last).__name__}: {last}"


def _counted(problems: Sequence[str]) -> list[str]:
    """Return each problem once, with how often it was seen."""
    counts = Counter(problems)
    return [text if n == 1 else f"{text} ({n} times)" for text, n in counts.items()]


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2] or url


def _too_long(url: str, limit: int) -> FetchError:
    return FetchError(
        f"{_host(url)} sends more than {limit} bytes", details=url, hint="do not use this source"
    )


def same_service(url: str, base: str) -> bool:
    """Tell whether ``url`` is on the service at ``base``: scheme, host and port are the same."""
    one, two = urlsplit(url), urlsplit(base)
    return (one.scheme, one.netloc) == (two.scheme, two.netloc)
