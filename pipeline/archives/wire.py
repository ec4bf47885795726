# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""HTTP over connections that are cut when they are too slow, even if bytes keep trickling in.

requests' own time-out is one between two bytes. Here, a thread beside each request shuts its
connection down when its time is up, or when too little has arrived: in the middle of a
handshake, of the headers or of the body. Reading from it then ends, and TooSlow says why.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from pipeline import __version__
from pipeline.archives.wire_errors import Failed, How, TooSlow
from pipeline.config import limits

AGENT = f"iproute2-respin/{__version__} (python-requests)"
TICK = 0.5
"""Seconds between two checks of the time."""

_mine = threading.local()  # ``watch``: that of this thread's request


class _Watch:
    """Cuts the connections of one request when it is late."""

    def __init__(self, seconds: float, stopped: threading.Event) -> None:
        self._stopped = stopped
        self.size = 0
        """Bytes of the body that have arrived."""
        self.late = ""
        self._began, self._seconds = time.monotonic(), seconds
        self._over = threading.Event()
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        _mine.watch = self
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        _mine.watch = None
        self._over.set()
        self._thread.join()
        for each in self._sockets:
            each.close()

    def take(self, fileno: int) -> None:
        """Watch a connection. It is shut by a second descriptor: TLS takes over the first."""
        with self._lock:
            self._sockets.append(socket.socket(fileno=os.dup(fileno)))
            if self.late:
                self._cut()

    def _cut(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):  # the other side was quicker
                each.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        while not self._over.wait(max(0.0, min(TICK, self._seconds - self._passed()))):
            late = self._why()
            if late:
                with self._lock:
                    self.late = late
                    self._cut()
                return

    def _passed(self) -> float:
        return time.monotonic() - self._began

    def _why(self) -> str:
        """Say why the request is late; nothing if it is not."""
        passed, least = self._passed(), limits.LIMITS.pace
        if self._stopped.is_set():
            return "it was stopped"
        if passed >= self._seconds:
            return f"it has not finished after {self._seconds:.0f} s"
        if passed >= limits.LIMITS.patience and self.size < least * passed:
            return f"after {passed:.0f} s it has sent fewer than {least:.0f} bytes per second"
        return ""


def _seen(fileno: int) -> None:
    watch: _Watch | None = getattr(_mine, "watch", None)
    if watch is not None:
        watch.take(fileno)


class _Plain(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        sock: socket.socket = super()._new_conn()
        _seen(sock.fileno())
        return sock

    def getresponse(self, *args: Any, **options: Any) -> Any:
        if self.sock is not None:  # an earlier request may have opened it
            _seen(self.sock.fileno())
        return super().getresponse(*args, **options)


class _Tls(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        sock: socket.socket = super()._new_conn()
        _seen(sock.fileno())
        return sock

    def getresponse(self, *args: Any, **options: Any) -> Any:
        if self.sock is not None:
            _seen(self.sock.fileno())
        return super().getresponse(*args, **options)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls


_POOLS = {"http": _PlainPool, "https": _TlsPool}


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class Wire:
    """A session whose requests always end. Threads may share it."""

    def __init__(self, *, at_once: int = 4) -> None:
        """Set up; ``at_once`` connections are kept open to a host."""
        self._stopped = threading.Event()
        self.session = requests.Session()
        self.session.headers["User-Agent"] = AGENT
        # A part of a compressed body could not be resumed, nor its length be compared.
        self.session.headers["Accept-Encoding"] = "identity"
        self.session.max_redirects = 10  # as apt's
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, _Adapter(pool_maxsize=at_once))

    def stop(self) -> None:
        """Cut all present and future requests, so that other threads come to an end."""
        self._stopped.set()

    @contextlib.contextmanager
    def ask(
        self,
        url: str,
        *,
        seconds: float,
        piece: int,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> Iterator[tuple[requests.Response, Iterator[bytes]]]:
        """Yield an answer, and its body in pieces of ``piece`` bytes; requests takes ``options``.

        Raises TooSlow if it is not done after ``seconds``, or comes too slowly, and Failed for
        other failures, also while the body is read.
        """
        with _Watch(seconds, self._stopped) as watch:
            try:
                with self._begin(
                    method,
                    url,
                    headers=dict(headers or {}),
                    timeout=timeout or limits.LIMITS.idle,
                    stream=True,
                    **options,
                ) as answer:
                    if watch.late:  # http.client takes the cut for the end of the headers
                        raise TooSlow(watch.late)
                    yield answer, _pieces(answer, piece, watch)
            except requests.RequestException as e:
                if watch.late:
                    raise TooSlow(watch.late) from e
                raise Failed(_how(e), e) from e

    def _begin(self, method: str, url: str, **options: Any) -> requests.Response:
        try:
            return self.session.request(method, url, **options)
        except requests.RequestException:
            raise
        except (HTTPError, TypeError, ValueError) as e:
            # A proxy or a redirect may not be an address: requests lets some of these through.
            raise requests.exceptions.InvalidURL(type(e).__name__) from None


def _how(error: requests.RequestException) -> How:
    if isinstance(error, requests.TooManyRedirects):
        return How.CIRCLES
    broken = (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
        requests.exceptions.ContentDecodingError,
    )
    return How.BROKEN if isinstance(error, broken) else How.OTHER


def _pieces(answer: requests.Response, size: int, watch: _Watch) -> Iterator[bytes]:
    for piece in answer.iter_content(size):
        watch.size += len(piece)
        yield piece
    if watch.late:  # urllib3 before 2.0 takes the cut for an end
        raise TooSlow(watch.late)
