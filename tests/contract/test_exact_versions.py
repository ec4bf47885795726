"""Superseded versions: against servers that speak as snapshot and Launchpad do, and fail."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.archive import Archive, Signer
from support.packages import make_source
from support.services import FOREVER, Fault, Service, launchpad, snapshot

from pipeline import fetch, releases
from pipeline.archives import history, web
from pipeline.archives.launchpad import Launchpad
from pipeline.archives.snapshot import Snapshot
from pipeline.archives.web import PIECE, Client, Clock
from pipeline.cache import Cache
from pipeline.errors import FetchError
from pipeline.model import Source

BOOKWORM, JAMMY = releases.find("bookworm"), releases.find("jammy")
VERSION, UBUNTU = "6.1.0-1", "5.15.0-1ubuntu1"
LONG_AGO = datetime(2023, 1, 3, tzinfo=UTC)
ORIG = "iproute2_6.1.0.orig.tar.gz"


@pytest.fixture(scope="module")
def signer() -> Iterator[Signer]:
    with Signer("archive") as made:
        yield made


@pytest.fixture(scope="module")
def uploader() -> Iterator[Signer]:
    with Signer("uploader") as made:
        yield made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sources, made once."""
    folder = tmp_path_factory.mktemp("sources")
    # Long enough to be cut in the middle.
    files = {"README": "".join(hashlib.sha256(b"%d" % n).hexdigest() for n in range(2000))}
    return {v: make_source(folder / v, version=v, files=files) for v in (VERSION, UBUNTU)}


@pytest.fixture(scope="module")
def then(
    tmp_path_factory: pytest.TempPathFactory, signer: Signer, made: dict[str, Path]
) -> Archive:
    """Debian's archive as it was: its index has expired since."""
    with Archive(tmp_path_factory.mktemp("then"), signer, suite="sid") as archive:
        archive.add_source(made[VERSION])
        archive.publish(date=LONG_AGO)
        return archive


class Time:
    """A clock that goes on only when somebody sleeps."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Note it."""
        self.slept.append(seconds)

    def clock(self) -> Clock:
        """Return it as the client takes it."""
        return Clock(
            monotonic=lambda: sum(self.slept),
            now=lambda: LONG_AGO.timestamp() + sum(self.slept),
            sleep=self.sleep,
        )


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def server(then: Archive, made: dict[str, Path]) -> Iterator[Service]:
    with Service() as service:
        snapshot(service, made[VERSION], VERSION, archive=then, others=("5.10.0-4", "6.1.0-3"))
        launchpad(service, made[UBUNTU], UBUNTU)
        yield service


def service_of(
    server: Service, time: Time, cache: Path, *keyrings: Path, **more: Any
) -> history.Service:
    client = Client(timeout=0.3, tries=4, pause=2.0, clock=time.clock())
    return history.Service(
        url=server.url, client=client, cache=Cache(cache), keyrings=keyrings, **more
    )


@pytest.fixture
def debian(server: Service, time: Time, tmp_path: Path, signer: Signer) -> Snapshot:
    return Snapshot(BOOKWORM, service_of(server, time, tmp_path / "cache", signer.keyring))


def accepted(dsc: Path) -> dict[str, str]:
    return {hashlib.sha256(dsc.read_bytes()).hexdigest(): "accepted by the user"}


@pytest.fixture
def ubuntu(server: Service, time: Time, tmp_path: Path, made: dict[str, Path]) -> Launchpad:
    service = service_of(server, time, tmp_path / "cache", accepted=accepted(made[UBUNTU]))
    return Launchpad(JAMMY, service)


def whole(source: Source, dsc: Path) -> None:
    """Hold what was fetched against what was published."""
    assert source.dsc.read_bytes() == dsc.read_bytes()
    assert {p.name for p in source.dsc.parent.iterdir()} == {f.path.name for f in source.files}
    for file in source.files:
        data = file.path.read_bytes()
        assert data == (dsc.parent / file.path.name).read_bytes()
        assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def refused(archive: history.History, folder: Path, match: str, version: str) -> FetchError:
    with pytest.raises(FetchError, match=match) as caught:
        archive.fetch_source("iproute2", version, folder / "out")
    assert not (folder / "out").exists()
    assert not list(folder.glob(".fetch-*"))
    assert caught.value.exit_code == 10
    return caught.value


class TestSnapshot:
    def test_by_the_signed_index_of_then(
        self, debian: Snapshot, tmp_path: Path, made: dict[str, Path], signer: Signer
    ) -> None:
        source = debian.fetch_source("iproute2", VERSION, tmp_path / "out")
        whole(source, made[VERSION])
        assert source.origin.startswith("debian of 20230103T000000Z at http://127.0.0.1")
        for file in source.files:
            assert f"signed by {signer.fingerprint}" in file.verified
            assert "it was valid until 2023-01-10" in file.verified

    def test_asks_politely(
        self, debian: Snapshot, server: Service, time: Time, tmp_path: Path
    ) -> None:
        debian.fetch_source("iproute2", VERSION, tmp_path / "out")
        assert all(h["User-Agent"].startswith("iproute2-respin/") for _, h in server.log)
        assert server.busiest == 1 and time.slept == []

    def test_one_request_at_a_time_for_all_threads(
        self, server: Service, time: Time, tmp_path: Path, signer: Signer
    ) -> None:
        failures: list[BaseException] = []

        def one(number: int) -> None:
            service = service_of(server, time, tmp_path / f"cache{number}", signer.keyring)
            try:
                Snapshot(BOOKWORM, service).fetch_source(
                    "iproute2", VERSION, tmp_path / str(number)
                )
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
        self, debian: Snapshot, server: Service, time: Time, tmp_path: Path, part: str
    ) -> None:
        server.fail(part, Fault(status=429, headers={"Retry-After": "7"}))
        debian.fetch_source("iproute2", VERSION, tmp_path / "out")
        assert time.slept == [7.0]

    def test_throttled_until_a_date(
        self, debian: Snapshot, server: Service, time: Time, tmp_path: Path
    ) -> None:
        date = {"Retry-After": "Tue, 03 Jan 2023 00:00:09 GMT"}
        server.fail("/srcfiles", Fault(status=503, headers=date))
        debian.fetch_source("iproute2", VERSION, tmp_path / "out")
        assert time.slept == [9.0]

    def test_throttled_for_too_long(
        self, debian: Snapshot, server: Service, time: Time, tmp_path: Path
    ) -> None:
        server.fail("/srcfiles", Fault(status=429, headers={"Retry-After": "86400"}))
        refused(debian, tmp_path, "asks for a pause of 86400 seconds", VERSION)
        assert time.slept == []

    @pytest.mark.parametrize("said", ["", "soon", "-5", "1e9"])
    def test_strange_retry_after(
        self, debian: Snapshot, server: Service, time: Time, tmp_path: Path, said: str
    ) -> None:
        server.fail("/srcfiles", Fault(status=429, headers={"Retry-After": said}))
        debian.fetch_source("iproute2", VERSION, tmp_path / "out")
        assert time.slept == [2.0]

    def test_backs_off_and_gives_up(
        self, debian: Snapshot, server: Service, time: Time, tmp_path: Path
    ) -> None:
        server.fail("/srcfiles", Fault(status=502, times=FOREVER))
        error = refused(debian, tmp_path, "after 4 tries", VERSION)
        assert time.slept == [2.0, 4.0, 8.0]
        assert error.details.count("status 502") == 4 and error.hint

    @pytest.mark.parametrize("status", [400, 401, 403, 410, 451, 501])
    def test_what_does_not_pass_is_not_tried_again(
        self, debian: Snapshot, server: Service, time: Time, tmp_path: Path, status: int
    ) -> None:
        server.fail("/file/", Fault(status=status, times=FOREVER))
        refused(debian, tmp_path, f"status {status}", VERSION)
        assert len(server.asked("/file/")) == 1 and time.slept == []

    def test_hangs(self, debian: Snapshot, server: Service, time: Time, tmp_path: Path) -> None:
        server.fail("/file/", Fault(hang=True))
        debian.fetch_source("iproute2", VERSION, tmp_path / "out")
        assert time.slept == [2.0]

    def test_goes_on_where_it_stopped(
        self, debian: Snapshot, server: Service, tmp_path: Path, made: dict[str, Path]
    ) -> None:
        orig = made[VERSION].parent / ORIG
        path = f"/file/{hashlib.sha1(orig.read_bytes()).hexdigest()}"
        server.fail(path, Fault(cut=2 * PIECE + 100))
        server.fail(path, Fault(cut=PIECE + 100))
        whole(debian.fetch_source("iproute2", VERSION, tmp_path / "out"), made[VERSION])
        ranges = [h.get("Range") for p, h in server.log if p == path]
        assert ranges == [None, f"bytes={2 * PIECE}-", f"bytes={3 * PIECE}-"]

    def test_goes_on_in_the_next_run(
        self, debian: Snapshot, server: Service, tmp_path: Path, made: dict[str, Path]
    ) -> None:
        orig = made[VERSION].parent / ORIG
        path = f"/file/{hashlib.sha1(orig.read_bytes()).hexdigest()}"
        server.fail(path, Fault(cut=PIECE + 100))
        server.fail(path, Fault(status=503, times=3))
        refused(debian, tmp_path, "after 4 tries", VERSION)
        whole(debian.fetch_source("iproute2", VERSION, tmp_path / "out"), made[VERSION])
        assert [h.get("Range") for p, h in server.log if p == path][-1:] == [f"bytes={PIECE}-"]

    def test_server_without_ranges(
        self, debian: Snapshot, server: Service, tmp_path: Path, made: dict[str, Path]
    ) -> None:
        orig = made[VERSION].parent / ORIG
        path = f"/file/{hashlib.sha1(orig.read_bytes()).hexdigest()}"
        server.fail(path, Fault(cut=PIECE + 100))
        server.fail(path, Fault(ignore_range=True))
        whole(debian.fetch_source("iproute2", VERSION, tmp_path / "out"), made[VERSION])

    def test_spoilt_part_in_the_cache(
        self, debian: Snapshot, server: Service, tmp_path: Path, made: dict[str, Path]
    ) -> None:
        sha256 = hashlib.sha256((made[VERSION].parent / ORIG).read_bytes()).hexdigest()
        part = Cache(tmp_path / "cache").folder("partial") / sha256
        part.write_bytes(b"spoilt")
        whole(debian.fetch_source("iproute2", VERSION, tmp_path / "out"), made[VERSION])
        assert not part.exists()

    def test_wrong_bytes(
        self, debian: Snapshot, server: Service, time: Time, tmp_path: Path, made: dict[str, Path]
    ) -> None:
        orig = made[VERSION].parent / ORIG
        path = f"/file/{hashlib.sha1(orig.read_bytes()).hexdigest()}"
        server.fail(path, Fault(spoil=True, times=FOREVER))
        error = refused(debian, tmp_path, f"{ORIG} is not the file that", VERSION)
        assert "listed:" in error.details and "found:" in error.details
        assert len(server.asked(path)) == 1 and time.slept == []
        assert not any((tmp_path / "cache/partial").iterdir())

    @pytest.mark.parametrize("part", ["Sources", "InRelease", ".dsc"])
    def test_wrong_bytes_elsewhere(
        self, debian: Snapshot, server: Service, tmp_path: Path, made: dict[str, Path], part: str
    ) -> None:
        if part == ".dsc":
            part = f"/file/{hashlib.sha1(made[VERSION].read_bytes()).hexdigest()}"
        server.fail(part, Fault(spoil=True, times=FOREVER))
        refused(debian, tmp_path, "is not the file that|nothing vouches for", VERSION)

    def test_redirects_in_circles(
        self, debian: Snapshot, server: Service, time: Time, tmp_path: Path
    ) -> None:
        server.fail("/file/", Fault(status=302, headers={"Location": "/file/x"}, times=FOREVER))
        refused(debian, tmp_path, "redirects in circles", VERSION)
        assert time.slept == []

    def test_redirects_once(
        self, debian: Snapshot, server: Service, tmp_path: Path, made: dict[str, Path]
    ) -> None:
        sha1 = hashlib.sha1(made[VERSION].read_bytes()).hexdigest()
        server.put("/elsewhere", server.answers[f"/file/{sha1}"])
        server.fail(f"/file/{sha1}", Fault(status=302, headers={"Location": "/elsewhere"}))
        whole(debian.fetch_source("iproute2", VERSION, tmp_path / "out"), made[VERSION])

    def test_never_published(self, debian: Snapshot, tmp_path: Path) -> None:
        error = refused(debian, tmp_path, "never published iproute2 9.9-1", "9.9-1")
        assert "3 versions, the last of them: 5.10.0-4, 6.1.0-1, 6.1.0-3" in error.details

    def test_listed_and_lacking(
        self, debian: Snapshot, server: Service, tmp_path: Path, made: dict[str, Path]
    ) -> None:
        sha1 = hashlib.sha1((made[VERSION].parent / ORIG).read_bytes()).hexdigest()
        del server.answers[f"/file/{sha1}"]
        refused(debian, tmp_path, "status 404", VERSION)

    def test_no_signed_index_and_no_signature(
        self, debian: Snapshot, server: Service, tmp_path: Path, made: dict[str, Path]
    ) -> None:
        server.fail("InRelease", Fault(status=404, times=FOREVER))
        error = refused(debian, tmp_path, "nothing vouches for", VERSION)
        sha256 = hashlib.sha256(made[VERSION].read_bytes()).hexdigest()
        assert f"--accept-unsigned-source {sha256}" in error.hint

    def test_index_signed_by_a_stranger(
        self, server: Service, time: Time, tmp_path: Path, uploader: Signer
    ) -> None:
        service = service_of(server, time, tmp_path / "cache", uploader.keyring)
        refused(Snapshot(BOOKWORM, service), tmp_path, "nothing vouches for", VERSION)

    def test_unsigned_accepted_by_its_hash_alone(
        self, server: Service, time: Time, tmp_path: Path, made: dict[str, Path]
    ) -> None:
        other = service_of(server, time, tmp_path / "cache", accepted={"0" * 64: "accepted"})
        refused(Snapshot(BOOKWORM, other), tmp_path, "nothing vouches for", VERSION)
        named = service_of(server, time, tmp_path / "cache", accepted=accepted(made[VERSION]))
        source = Snapshot(BOOKWORM, named).fetch_source("iproute2", VERSION, tmp_path / "out")
        whole(source, made[VERSION])
        assert all("not verified: accepted by the user" in f.verified for f in source.files)

    def test_two_sources_of_one_version(
        self,
        server: Service,
        time: Time,
        tmp_path: Path,
        made: dict[str, Path],
        uploader: Signer,
    ) -> None:
        other = make_source(tmp_path / "other", version=VERSION, files={"README": "another\n"})
        signed = {"first": made[VERSION], "second": other}
        answers = []
        for folder, dsc in signed.items():
            here = tmp_path / folder / dsc.name
            here.parent.mkdir()
            for path in dsc.parent.glob("*.tar.*"):
                (here.parent / path.name).write_bytes(path.read_bytes())
            here.write_bytes(uploader.clearsign(dsc.read_text()))
            signed[folder] = here
            snapshot(server, here, VERSION)
            answers.append(json.loads(server.answers[f"/mr/package/iproute2/{VERSION}/srcfiles"]))
        both = {
            "result": answers[0]["result"] + answers[1]["result"],
            "fileinfo": answers[0]["fileinfo"] | answers[1]["fileinfo"],
        }
        server.put(f"/mr/package/iproute2/{VERSION}/srcfiles", both)
        keys = {"uploaders": (uploader.keyring,)}
        asked = Snapshot(BOOKWORM, service_of(server, time, tmp_path / "cache", **keys))
        error = refused(asked, tmp_path, "2 different sources that are iproute2 6.1.0-1", VERSION)
        hashes = [hashlib.sha256(dsc.read_bytes()).hexdigest() for dsc in signed.values()]
        assert all(sha256 in error.details for sha256 in hashes)
        service = service_of(
            server, time, tmp_path / "cache", accepted=dict.fromkeys(hashes[1:], "accepted"), **keys
        )
        source = Snapshot(BOOKWORM, service).fetch_source("iproute2", VERSION, tmp_path / "out")
        assert source.files[0].sha256 == hashes[1]

    @pytest.mark.parametrize(
        "answer",
        [
            [],
            "text",
            None,
            {},
            {"result": {}, "fileinfo": {}},
            {"result": [], "fileinfo": []},
            {"result": ["x"], "fileinfo": {}},
            {"result": [{"hash": "0" * 40}], "fileinfo": {"0" * 40: "x"}},
            {"result": [{"hash": "0" * 40}], "fileinfo": {"0" * 40: [{"name": 1}]}},
        ],
    )
    def test_answers_of_another_form(
        self, debian: Snapshot, server: Service, tmp_path: Path, answer: object
    ) -> None:
        server.put(f"/mr/package/iproute2/{VERSION}/srcfiles", answer)
        refused(debian, tmp_path, "documented form|has no .dsc", VERSION)

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("name", "../iproute2.dsc"),
            ("name", "a" * 300 + ".dsc"),
            ("archive_name", "../../etc"),
            ("first_seen", "today"),
        ],
    )
    def test_hostile_answers(
        self, debian: Snapshot, server: Service, tmp_path: Path, key: str, value: str
    ) -> None:
        path = f"/mr/package/iproute2/{VERSION}/srcfiles"
        answer = json.loads(server.answers[path])
        for infos in answer["fileinfo"].values():
            infos[0][key] = value
        server.put(path, answer)
        refused(debian, tmp_path, "not to be followed", VERSION)

    def test_object_in_place_of_a_list(
        self, debian: Snapshot, server: Service, tmp_path: Path, made: dict[str, Path]
    ) -> None:
        path = f"/mr/package/iproute2/{VERSION}/srcfiles"
        answer = json.loads(server.answers[path])
        answer["fileinfo"] = {sha1: infos[0] for sha1, infos in answer["fileinfo"].items()}
        server.put(path, answer)
        whole(debian.fetch_source("iproute2", VERSION, tmp_path / "out"), made[VERSION])

    def test_no_json(self, debian: Snapshot, server: Service, tmp_path: Path) -> None:
        server.put(f"/mr/package/iproute2/{VERSION}/srcfiles", b"<html>captive portal</html>")
        refused(debian, tmp_path, "does not answer in JSON", VERSION)

    def test_endless_answer(
        self,
        debian: Snapshot,
        server: Service,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setitem(web.Client.read.__kwdefaults__, "limit", 100)
        refused(debian, tmp_path, "sends more than 100 bytes", VERSION)

    def test_source_of_another_package(
        self, debian: Snapshot, server: Service, tmp_path: Path
    ) -> None:
        other = make_source(tmp_path / "other", name="bash", version=VERSION)
        snapshot(server, other, VERSION)
        refused(debian, tmp_path, "is that of bash 6.1.0-1, not of iproute2", VERSION)

    def test_nobody_there(self, time: Time, tmp_path: Path) -> None:
        with Service() as gone:
            service = service_of(gone, time, tmp_path / "cache")
        error = refused(Snapshot(BOOKWORM, service), tmp_path, "after 4 tries", VERSION)
        assert "proxy" in error.hint


class TestLaunchpad:
    def test_accepted(self, ubuntu: Launchpad, tmp_path: Path, made: dict[str, Path]) -> None:
        whole(ubuntu.fetch_source("iproute2", UBUNTU, tmp_path / "out"), made[UBUNTU])

    def test_refused_unless_accepted(
        self, server: Service, time: Time, tmp_path: Path, made: dict[str, Path]
    ) -> None:
        asked = Launchpad(JAMMY, service_of(server, time, tmp_path / "cache"))
        error = refused(asked, tmp_path, "nothing vouches for", UBUNTU)
        assert next(iter(accepted(made[UBUNTU]))) in error.hint

    def test_signed_by_its_uploader(
        self, server: Service, time: Time, tmp_path: Path, made: dict[str, Path], uploader: Signer
    ) -> None:
        dsc = tmp_path / "in" / made[UBUNTU].name
        dsc.parent.mkdir()
        for path in made[UBUNTU].parent.glob("*.tar.*"):
            (dsc.parent / path.name).write_bytes(path.read_bytes())
        dsc.write_bytes(uploader.clearsign(made[UBUNTU].read_text()))
        launchpad(server, dsc, UBUNTU)
        keys = (uploader.keyring,)
        asked = Launchpad(JAMMY, service_of(server, time, tmp_path / "cache", uploaders=keys))
        source = asked.fetch_source("iproute2", UBUNTU, tmp_path / "out")
        assert all(uploader.fingerprint in f.verified for f in source.files)
        strangers = service_of(server, time, tmp_path / "cache2", uploaders=())
        refused(Launchpad(JAMMY, strangers), tmp_path / "no", "no key at hand", UBUNTU)

    def test_pages(
        self, ubuntu: Launchpad, server: Service, tmp_path: Path, made: dict[str, Path]
    ) -> None:
        launchpad(server, made[UBUNTU], UBUNTU, pages=4)
        whole(ubuntu.fetch_source("iproute2", UBUNTU, tmp_path / "out"), made[UBUNTU])
        assert len(server.asked("getPublishedSources")) == 4

    @pytest.mark.parametrize("where", ["itself", "http://127.0.0.1:1/x", 7])
    def test_pages_that_lead_astray(
        self, ubuntu: Launchpad, server: Service, tmp_path: Path, where: object
    ) -> None:
        top = "/ubuntu/+archive/primary"
        if where == "itself":
            where = f"{server.url}{top}?ws.op=getPublishedSources"
        page = {"entries": [], "next_collection_link": where}
        server.queries[top, "getPublishedSources"] = json.dumps(page).encode()
        refused(ubuntu, tmp_path, "end of its pages|another service|documented form", UBUNTU)

    def test_never_published(self, ubuntu: Launchpad, server: Service, tmp_path: Path) -> None:
        refused(ubuntu, tmp_path, "Ubuntu never published iproute2 9.9", "9.9")
        page = b'{"total_size": 0, "start": 0, "entries": []}'
        server.queries["/ubuntu/+archive/primary", "getPublishedSources"] = page
        refused(ubuntu, tmp_path, "Ubuntu never published", UBUNTU)

    def test_in_another_series(
        self, server: Service, time: Time, tmp_path: Path, ubuntu: Launchpad
    ) -> None:
        asked = Launchpad(releases.find("noble"), service_of(server, time, tmp_path / "cache"))
        error = refused(asked, tmp_path, "was never in Ubuntu noble", UBUNTU)
        assert "jammy" in error.details

    @pytest.mark.parametrize(
        "answer", [{}, [], ["http://x/y.dsc"], [{"url": 1}], [{"url": "http://x/a.dsc"}]]
    )
    def test_answers_of_another_form(
        self, ubuntu: Launchpad, server: Service, tmp_path: Path, answer: object
    ) -> None:
        link = "/ubuntu/+archive/primary/+sourcepub/1"
        server.queries[link, "sourceFileUrls"] = json.dumps(answer).encode()
        refused(ubuntu, tmp_path, "documented form|has no .dsc|malformed", UBUNTU)

    def test_wrong_bytes(self, ubuntu: Launchpad, server: Service, tmp_path: Path) -> None:
        server.fail("/files/iproute2_5.15.0.orig", Fault(spoil=True, times=FOREVER))
        refused(ubuntu, tmp_path, "orig.tar.gz is not the file that", UBUNTU)

    def test_throttled(
        self, ubuntu: Launchpad, server: Service, time: Time, tmp_path: Path
    ) -> None:
        server.fail("getPublished", Fault(status=503, times=2))
        ubuntu.fetch_source("iproute2", UBUNTU, tmp_path / "out")
        assert time.slept == [2.0, 4.0]


def test_unpack_what_came(debian: Snapshot, tmp_path: Path) -> None:
    source = debian.fetch_source("iproute2", VERSION, tmp_path / "out")
    assert fetch.unpack(source, tmp_path / "tree").joinpath("README").exists()
