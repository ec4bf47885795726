# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""How the services are asked, and what becomes of their faults: throttling, cuts, hangs."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest
from support.archive import Signer
from support.history import BOOKWORM, ORIG, VERSION, Time, refused, service_of, whole
from support.services import FOREVER, Fault, Service

from pipeline.archives import web
from pipeline.archives.snapshot import Snapshot
from pipeline.archives.web import PIECE
from pipeline.host.cache import Cache
from pipeline.source import fetch


def test_asks_politely(debian: Snapshot, server: Service, time: Time, tmp_path: Path) -> None:
    debian.fetch_source("iproute2", VERSION, tmp_path / "out")
    assert all(h["User-Agent"].startswith("iproute2-respin/") for _, h in server.log)
    assert server.busiest == 1 and time.slept == []


def test_one_request_at_a_time_for_all_threads(
    server: Service, time: Time, tmp_path: Path, signer: Signer
) -> None:
    failures: list[BaseException] = []
    server.delay = 0.02

    def one(number: int) -> None:
        service = service_of(server, time, tmp_path / f"cache{number}", signer.keyring)
        try:
            Snapshot(BOOKWORM, service).fetch_source("iproute2", VERSION, tmp_path / str(number))
        except BaseException as e:
            failures.append(e)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert server.busiest == 1


@pytest.mark.parametrize("part", ["/srcfiles", "/file/", "InRelease", "Sources"])
def test_throttled(
    debian: Snapshot, server: Service, time: Time, tmp_path: Path, part: str
) -> None:
    server.fail(part, Fault(status=429, headers={"Retry-After": "7"}))
    debian.fetch_source("iproute2", VERSION, tmp_path / "out")
    assert time.slept == [7.0]


def test_throttled_until_a_date(
    debian: Snapshot, server: Service, time: Time, tmp_path: Path
) -> None:
    date = {"Retry-After": "Tue, 03 Jan 2023 00:00:09 GMT"}
    server.fail("/srcfiles", Fault(status=503, headers=date))
    debian.fetch_source("iproute2", VERSION, tmp_path / "out")
    assert time.slept == [9.0]


def test_throttled_for_too_long(
    debian: Snapshot, server: Service, time: Time, tmp_path: Path
) -> None:
    server.fail("/srcfiles", Fault(status=429, headers={"Retry-After": "86400"}))
    refused(debian, tmp_path, "asks respin to wait 86400 seconds", VERSION)
    assert time.slept == []


@pytest.mark.parametrize("said", ["", "soon", "-5", "1e9"])
def test_strange_retry_after(
    debian: Snapshot, server: Service, time: Time, tmp_path: Path, said: str
) -> None:
    server.fail("/srcfiles", Fault(status=429, headers={"Retry-After": said}))
    debian.fetch_source("iproute2", VERSION, tmp_path / "out")
    assert time.slept == [2.0]


def test_backs_off_and_gives_up(
    debian: Snapshot, server: Service, time: Time, tmp_path: Path
) -> None:
    server.fail("/srcfiles", Fault(status=502, times=FOREVER))
    error = refused(debian, tmp_path, "after 4 tries", VERSION)
    assert time.slept == [2.0, 4.0, 8.0]
    assert error.details.splitlines()[1:] == ["status 502 (4 times)"] and error.hint


@pytest.mark.parametrize("status", [400, 401, 403, 410, 451, 501])
def test_what_does_not_pass_is_not_tried_again(
    debian: Snapshot, server: Service, time: Time, tmp_path: Path, status: int
) -> None:
    server.fail("/file/", Fault(status=status, times=FOREVER))
    refused(debian, tmp_path, f"status {status}", VERSION)
    assert len(server.asked("/file/")) == 1 and time.slept == []


def test_hangs(debian: Snapshot, server: Service, time: Time, tmp_path: Path) -> None:
    server.fail("/file/", Fault(hang=True))
    debian.fetch_source("iproute2", VERSION, tmp_path / "out")
    assert time.slept == [2.0]


def test_goes_on_where_it_stopped(
    debian: Snapshot, server: Service, tmp_path: Path, made: dict[str, Path]
) -> None:
    orig = made[VERSION].parent / ORIG
    path = f"/file/{hashlib.sha1(orig.read_bytes()).hexdigest()}"
    server.fail(path, Fault(cut=2 * PIECE + 100))
    server.fail(path, Fault(cut=PIECE + 100))
    whole(debian.fetch_source("iproute2", VERSION, tmp_path / "out"), made[VERSION])
    ranges = [h.get("Range") for p, h in server.log if p == path]
    assert ranges == [None, f"bytes={2 * PIECE}-", f"bytes={3 * PIECE}-"]


def test_goes_on_in_the_next_run(
    debian: Snapshot, server: Service, tmp_path: Path, made: dict[str, Path]
) -> None:
    orig = made[VERSION].parent / ORIG
    path = f"/file/{hashlib.sha1(orig.read_bytes()).hexdigest()}"
    server.fail(path, Fault(cut=PIECE + 100))
    server.fail(path, Fault(status=503, times=3))
    refused(debian, tmp_path, "after 4 tries", VERSION)
    whole(debian.fetch_source("iproute2", VERSION, tmp_path / "out"), made[VERSION])
    assert [h.get("Range") for p, h in server.log if p == path][-1:] == [f"bytes={PIECE}-"]


def test_server_without_ranges(
    debian: Snapshot, server: Service, tmp_path: Path, made: dict[str, Path]
) -> None:
    orig = made[VERSION].parent / ORIG
    path = f"/file/{hashlib.sha1(orig.read_bytes()).hexdigest()}"
    server.fail(path, Fault(cut=PIECE + 100))
    server.fail(path, Fault(ignore_range=True))
    whole(debian.fetch_source("iproute2", VERSION, tmp_path / "out"), made[VERSION])


def test_spoilt_part_in_the_cache(
    debian: Snapshot, server: Service, tmp_path: Path, made: dict[str, Path]
) -> None:
    sha256 = hashlib.sha256((made[VERSION].parent / ORIG).read_bytes()).hexdigest()
    part = Cache(tmp_path / "cache").directory("partial") / sha256
    part.write_bytes(b"spoilt")
    whole(debian.fetch_source("iproute2", VERSION, tmp_path / "out"), made[VERSION])
    assert not part.exists()


def test_wrong_bytes(
    debian: Snapshot, server: Service, time: Time, tmp_path: Path, made: dict[str, Path]
) -> None:
    orig = made[VERSION].parent / ORIG
    path = f"/file/{hashlib.sha1(orig.read_bytes()).hexdigest()}"
    server.fail(path, Fault(spoil=True, times=FOREVER))
    error = refused(debian, tmp_path, f"{ORIG} does not match its entry in", VERSION)
    assert "listed:" in error.details and "found:" in error.details
    assert len(server.asked(path)) == 1 and time.slept == []
    assert not any((tmp_path / "cache/partial").iterdir())


def test_redirects_in_circles(
    debian: Snapshot, server: Service, time: Time, tmp_path: Path
) -> None:
    server.fail("/file/", Fault(status=302, headers={"Location": "/file/x"}, times=FOREVER))
    refused(debian, tmp_path, "redirects in circles", VERSION)
    assert time.slept == []


def test_redirects_once(
    debian: Snapshot, server: Service, tmp_path: Path, made: dict[str, Path]
) -> None:
    sha1 = hashlib.sha1(made[VERSION].read_bytes()).hexdigest()
    server.put("/elsewhere", server.answers[f"/file/{sha1}"])
    server.fail(f"/file/{sha1}", Fault(status=302, headers={"Location": "/elsewhere"}))
    whole(debian.fetch_source("iproute2", VERSION, tmp_path / "out"), made[VERSION])


def test_no_json(debian: Snapshot, server: Service, tmp_path: Path) -> None:
    server.put(f"/mr/package/iproute2/{VERSION}/srcfiles", b"<html>captive portal</html>")
    refused(debian, tmp_path, "is not JSON", VERSION)


def test_endless_answer(
    debian: Snapshot,
    server: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    defaults = web.Client.read.__kwdefaults__
    assert defaults
    monkeypatch.setitem(defaults, "limit", 100)
    refused(debian, tmp_path, "sends more than 100 bytes", VERSION)


def test_nobody_there(time: Time, tmp_path: Path) -> None:
    with Service() as gone:
        service = service_of(gone, time, tmp_path / "cache")
    error = refused(Snapshot(BOOKWORM, service), tmp_path, "after 4 tries", VERSION)
    assert "proxy" in error.hint
    assert error.details.splitlines()[1:] == ["connection refused (4 times)"]


def test_unpack_what_came(debian: Snapshot, tmp_path: Path) -> None:
    source = debian.fetch_source("iproute2", VERSION, tmp_path / "out")
    assert fetch.unpack(source, tmp_path / "tree").joinpath("README").exists()
