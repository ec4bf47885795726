# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers on loopback that behave like snapshot.debian.org and Launchpad, with their faults.

with Service() as service:
    snapshot(service, archive, "debian", "20230103T000000Z")
    service.fail("/file/", Fault(status=429, headers={"Retry-After": "7"}))

A fault affects one request, unless ``times`` says more.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from support.archive import Archive

FOREVER = 1 << 30


@dataclass(kw_only=True)
class Fault:
    """What a request gets in place of the answer."""

    status: int = 0
    """An error in place of the answer."""
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False
    """Nothing is sent until the server is closed."""
    cut: int | None = None
    """The connection ends after so many bytes of the body."""
    spoil: bool = False
    """The body has other bytes of the same length."""
    ignore_range: bool = False
    times: int = 1


class Service:
    """A server with answers by path; ``log`` has the path and the headers of each request."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.queries: dict[tuple[str, str], bytes] = {}
        """(path, value of ws.op or of start) -> answer."""
        self.faults: list[tuple[str, Fault]] = []
        self.log: list[tuple[str, Mapping[str, str]]] = []
        self.wanted = ""
        """``user:password`` that every request must have; empty: none."""
        self.busy = self.busiest = 0
        self.delay = 0.0
        """Seconds that every answer takes, so that requests at the same time are seen as such."""
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def __enter__(self) -> Self:
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            # The whole answer waits in a buffer until do_GET has returned: a client that has it may
            # send its next request at once, and this one must no longer count as busy then.
            wbufsize = 16 << 20

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                service._handle(self)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def put(self, path: str, value: bytes | object) -> None:
        """Answer ``path`` with bytes, or with a value as JSON."""
        self.answers[path] = value if isinstance(value, bytes) else json.dumps(value).encode()

    def fail(self, part: str, fault: Fault) -> None:
        """Let requests whose path contains ``part`` get a fault."""
        self.faults.append((part, fault))

    def asked(self, part: str) -> list[str]:
        """Return the requested paths that contain ``part``."""
        return [path for path, _ in self.log if part in path]

    def _fault(self, path: str) -> Fault:
        for part, fault in self.faults:
            if part in path and fault.times > 0:
                fault.times -= 1
                return fault
        return Fault()

    def _handle(self, request: http.server.BaseHTTPRequestHandler) -> None:
        given = request.headers.get("Authorization", "")
        if self.wanted and given != f"Basic {base64.b64encode(self.wanted.encode()).decode()}":
            request.send_response(401)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        with self._lock:
            self.log.append((request.path, dict(request.headers.items())))
            self.busy += 1
            self.busiest = max(self.busiest, self.busy)
            fault = self._fault(request.path)
        time.sleep(self.delay)
        try:
            self._answer(request, fault)
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with self._lock:
                self.busy -= 1

    def _find(self, target: str) -> bytes | None:
        split = urlsplit(target)
        path, query = unquote(split.path), parse_qs(split.query)
        for key in ("start", "ws.op"):
            for value in query.get(key, ()):
                if (path, value) in self.queries:
                    return self.queries[path, value]
        return self.answers.get(path)

    def _answer(self, request: http.server.BaseHTTPRequestHandler, fault: Fault) -> None:
        if fault.hang:
            self._closing.wait()
            return
        body = self._find(request.path)
        status = fault.status or (200 if body is not None else 404)
        if status >= 300 or body is None:
            request.send_response(status)
            for name, value in {"Content-Length": "0", **fault.headers}.items():
                request.send_header(name, value)
            request.end_headers()
            return
        begin, asked = 0, request.headers.get("Range", "")
        if asked and not fault.ignore_range:
            begin = int(asked.removeprefix("bytes=").rstrip("-"))
            if begin >= len(body):
                request.send_response(416)
                request.send_header("Content-Length", "0")
                request.end_headers()
                return
        if fault.spoil:
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
        request.send_response(206 if begin else 200)
        request.send_header("Content-Length", str(len(body) - begin))
        if begin:
            request.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        request.end_headers()
        request.wfile.write(body[begin:] if fault.cut is None else body[begin : begin + fault.cut])


def files_of(dsc: Path) -> list[Path]:
    """Return a .dsc and the files beside it that it names."""
    words = [line.split() for line in dsc.read_text().splitlines() if line.startswith(" ")]
    names = dict.fromkeys(w[2] for w in words if len(w) == 3)
    return [dsc, *(dsc.parent / n for n in names if (dsc.parent / n).is_file())]


def snapshot(
    service: Service,
    dsc: Path,
    version: str,
    *,
    archive: Archive | None = None,
    kind: str = "debian",
    time: str = "20230103T000000Z",
    others: tuple[str, ...] = (),
) -> None:
    """Let ``service`` know a version, like snapshot; ``archive`` is its signed archive then."""
    info: dict[str, list[dict[str, Any]]] = {}
    for path in files_of(dsc):
        data = path.read_bytes()
        sha1 = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        service.put(f"/file/{sha1}", data)
        info[sha1] = [
            {
                "name": path.name,
                "archive_name": kind,
                "path": "/pool/main/i/iproute2",
                "size": len(data),
                "first_seen": time,
            }
        ]
    base = "/mr/package/iproute2"
    service.put(
        f"{base}/{version}/srcfiles",
        {
            "_comment": "foo",
            "package": "iproute2",
            "version": version,
            "result": [{"hash": sha1} for sha1 in info],
            "fileinfo": info,
        },
    )
    service.put(f"{base}/", {"result": [{"version": v} for v in (version, *others)]})
    if archive:
        for path in sorted(p for p in archive.root.rglob("*") if p.is_file()):
            service.put(
                f"/archive/{kind}/{time}/{path.relative_to(archive.root)}", path.read_bytes()
            )


def launchpad(
    service: Service, dsc: Path, version: str, *, series: str = "jammy", pages: int = 1
) -> None:
    """Let ``service`` know a version, like Launchpad, after ``pages`` - 1 pages of others."""
    top, api = "/ubuntu/+archive/primary", service.url
    link = f"{top}/+sourcepub/1"
    entry = {
        "self_link": f"{api}{link}",
        "source_package_name": "iproute2",
        "source_package_version": version,
        "status": "Superseded",
        "pocket": "Updates",
        "component_name": "main",
        "distro_series_link": f"{api}/ubuntu/{series}",
    }
    other = {**entry, "source_package_version": "0.1", "self_link": f"{api}{top}/+sourcepub/9"}
    for number in range(pages):
        last = number == pages - 1
        page: dict[str, Any] = {
            "total_size": pages,
            "start": number,
            "entries": [entry if last else other],
        }
        if not last:
            query = f"ws.op=getPublishedSources&ws.start={number + 1}&start={number + 1}"
            page["next_collection_link"] = f"{api}{top}?{query}"
        key = "getPublishedSources" if number == 0 else str(number)
        service.queries[top, key] = json.dumps(page).encode()
    urls = []
    for path in files_of(dsc):
        data = path.read_bytes()
        service.put(f"/files/{path.name}", data)
        urls.append(
            {
                "url": f"{api}/files/{path.name}",
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        )
    service.queries[link, "sourceFileUrls"] = json.dumps(urls).encode()
