# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The attacker is a mirror, a service or a webhook that never refuses and never finishes.

The aim is to hold up a night or a run for as long as it likes, with a byte now and then; or to fill
the disk and the memory with data that unpacks to more, has no end, or is listed a million times.
One mirror costs its own releases; the others go on.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support import history
from support.archive import Archive, Signer
from support.packages import make_source
from support.services import Service

from pipeline.archives import paragraphs
from pipeline.archives.apt import AptArchive
from pipeline.archives.conditional import Mirror
from pipeline.archives.snapshot import Snapshot
from pipeline.config import limits
from pipeline.config.nightly import Notifying
from pipeline.containers import roots
from pipeline.errors import BuildError, FetchError
from pipeline.host.cache import Cache
from pipeline.model import AptSource, Release
from pipeline.nightly import notify, watch
from pipeline.nightly.state import State
from pipeline.nightly.targets import Target
from pipeline.releases import releases
from pipeline.text.address import Address

pytestmark = pytest.mark.attack

LONG = 20.0
"""Seconds after which a test says that it was held; what drips would go on for ever."""
BOOKWORM = releases.find("bookworm")


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set limits that a test can wait for."""

    def few(**changes: float) -> None:
        least = {"watch": 4.0, "update": 2.0, "files": 2.0, "patience": 60.0} | changes
        monkeypatch.setattr(limits, "LIMITS", replace(limits.LIMITS, **least))  # type: ignore[arg-type]

    few()
    return few


@pytest.fixture
def took() -> Iterator[None]:
    """Hold that a test was not held."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < LONG


@pytest.fixture(scope="module")
def signer() -> Iterator[Signer]:
    with Signer("distro") as made:
        yield made


@pytest.fixture
def archives(tmp_path: Path, signer: Signer) -> Iterator[dict[str, Archive]]:
    """Two archives of one release each."""
    dsc = make_source(tmp_path / "made")
    with (
        Archive(tmp_path / "good", signer, suite="good") as good,
        Archive(tmp_path / "bad", signer, suite="bad") as bad,
    ):
        for each in (good, bad):
            each.add_source(dsc)
            each.publish()
        yield {"good": good, "bad": bad}


def source_of(archive: Archive, suite: str = "bookworm") -> AptSource:
    return AptSource(
        uri=Address(archive.url), suites=(suite,), components=("main",), keyring=archive.keyring
    )


def look(archives: dict[str, Archive]) -> dict[str, watch.TargetView]:
    """Watch both."""
    targets = [
        Target(
            name=name,
            release=Release(distro="debian", codename=name, version="12"),
            pockets=(releases.Pocket.RELEASE,),
        )
        for name in archives
    ]
    views = watch.watch(
        targets,
        lambda target: [source_of(archives[target.name], target.name)],
        {},
        package="iproute2",
        now=datetime.now(UTC),
    )
    return {view.target.name: view for view in views}


def held_up(archives: dict[str, Archive], words: str) -> None:
    """The bad archive is refused, with these words; the other one is read."""
    views = look(archives)
    assert views["good"].error is None and len(views["good"].sightings) == 1
    error = views["bad"].error
    assert error is not None and words in error.brief, error
    assert error.hint


class TestNight:
    """What a night watches."""

    @pytest.mark.parametrize("name", ["InRelease", "Sources.gz"])
    @pytest.mark.parametrize("where", ["headers", "body"])
    def test_a_byte_now_and_then(
        self,
        archives: dict[str, Archive],
        patience: Callable[..., None],
        took: None,
        name: str,
        where: str,
    ) -> None:
        archives["bad"].drips[name] = where
        held_up(archives, "is too slow: it has not answered completely after 4 s")

    def test_too_few_bytes_a_second(
        self, archives: dict[str, Archive], patience: Callable[..., None], took: None
    ) -> None:
        """Long before its time is up."""
        patience(watch=600.0, patience=1.0)
        archives["bad"].drips["InRelease"] = "body"
        held_up(archives, "it has sent fewer than 1024 bytes per second")

    def test_a_redirect_to_where_it_drips(
        self,
        archives: dict[str, Archive],
        patience: Callable[..., None],
        took: None,
        tmp_path: Path,
    ) -> None:
        bad = archives["bad"]
        bad.drips["elsewhere"] = "headers"
        bad.elsewhere["/dists/bad/InRelease"] = f"{bad.url}/elsewhere"
        held_up(archives, "is too slow")

    def test_all_of_its_suites_drip(
        self, archives: dict[str, Archive], patience: Callable[..., None], took: None
    ) -> None:
        """They have one time together, not one each."""
        bad = archives["bad"]
        bad.drips["InRelease"] = "body"
        names = tuple(f"bad{n}" for n in range(40))
        target = Target(name="bad", release=BOOKWORM, pockets=(releases.Pocket.RELEASE,))
        source = replace(source_of(bad), suites=names)
        (view,) = watch.watch(
            [target], lambda _: [source], {}, package="iproute2", now=datetime.now(UTC)
        )
        assert view.error is not None and "is too slow" in view.error.brief

    def test_ctrl_c_waits_for_nobody(self, archives: dict[str, Archive], took: None) -> None:
        bad = archives["bad"]
        bad.drips["InRelease"] = "headers"
        mirror = Mirror()
        threading.Timer(1.0, mirror.stop).start()
        with pytest.raises(FetchError, match="it was stopped"):
            mirror.get(Address(bad.url) / "dists/bad/InRelease", limit=1 << 20)

    def test_an_index_without_end(
        self,
        archives: dict[str, Archive],
        patience: Callable[..., None],
        took: None,
    ) -> None:
        patience(release=1 << 20)
        (archives["bad"].root / "dists/bad/InRelease").write_bytes(b"a" * (2 << 20))
        held_up(archives, "sends more than 1048576 bytes")

    def test_a_list_that_unpacks_to_more(
        self,
        archives: dict[str, Archive],
        patience: Callable[..., None],
        took: None,
        signer: Signer,
    ) -> None:
        """The index is signed: a private archive may have been broken into."""
        patience(listing=4 << 20)
        plain = b"Package: a\nX: " + b"a" * (8 << 20) + b"\n\n"
        listed(archives["bad"], signer, {"main/source/Sources.gz": gzip.compress(plain)})
        held_up(archives, "unpacks to more than 4 MiB")

    def test_a_line_without_end(
        self,
        archives: dict[str, Archive],
        patience: Callable[..., None],
        took: None,
        signer: Signer,
    ) -> None:
        plain = b"Package: iproute2\nX: " + b"a" * (100 << 20) + b"\n\n"
        listed(archives["bad"], signer, {"main/source/Sources.gz": gzip.compress(plain, 1)})
        held_up(archives, f"a paragraph is longer than {paragraphs.LONGEST} bytes")

    def test_a_source_that_is_listed_a_million_times(
        self,
        archives: dict[str, Archive],
        patience: Callable[..., None],
        took: None,
        signer: Signer,
    ) -> None:
        patience(watch=60.0)
        plain = gzip.decompress(
            (archives["bad"].root / "dists/bad/main/source/Sources.gz").read_bytes()
        )
        bomb = gzip.compress((plain + b"\n") * 100_000, 1)
        listed(archives["bad"], signer, {"main/source/Sources.gz": bomb})
        held_up(archives, "is listed more than 1000 times")


def listed(archive: Archive, signer: Signer, files: dict[str, bytes], suite: str = "bad") -> None:
    """Let a suite list these files in place of those of their kind, signed."""
    directory = archive.root / "dists" / suite
    signed = (directory / "InRelease").read_text()
    text = signed.partition("\n\n")[2].partition("-----BEGIN PGP SIGNATURE")[0]
    kinds = {name.partition(".")[0] for name in files}
    lines = [line for line in text.splitlines() if not any(kind in line for kind in kinds)]
    for kind in kinds:
        for path in (directory / kind).parent.glob(f"{Path(kind).name}*"):
            path.unlink()
    for name, data in files.items():
        (directory / name).write_bytes(data)
        lines.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}")
    (directory / "InRelease").write_bytes(signer.clearsign("\n".join((*lines, ""))))


class TestRun:
    """What a run reads by apt, and by mmdebstrap."""

    def opened(self, archive: Archive, directory: Path, suite: str = "bad") -> AptArchive:
        release = replace(BOOKWORM, codename=suite)
        return AptArchive(
            release, (source_of(archive, suite),), Cache(directory / "cache"), log=directory / "log"
        )

    @pytest.mark.parametrize("where", ["headers", "body"])
    @pytest.mark.parametrize("name", ["InRelease", "Sources.gz"])
    def test_a_byte_now_and_then(
        self,
        archives: dict[str, Archive],
        patience: Callable[..., None],
        took: None,
        name: str,
        where: str,
        tmp_path: Path,
    ) -> None:
        archives["bad"].drips[name] = where
        with pytest.raises(FetchError, match="too slow: it was not done in time") as caught:
            self.opened(archives["bad"], tmp_path).update()
        assert caught.value.hint

    def test_a_byte_now_and_then_of_a_source(
        self,
        archives: dict[str, Archive],
        patience: Callable[..., None],
        took: None,
        tmp_path: Path,
    ) -> None:
        archives["bad"].drips["iproute2_6.1.0-3.dsc"] = "body"
        with pytest.raises(FetchError, match="too slow: it was not done in time"):
            self.opened(archives["bad"], tmp_path).fetch_source("iproute2", None, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_byte_now_and_then_for_mmdebstrap(
        self,
        archives: dict[str, Archive],
        patience: Callable[..., None],
        took: None,
        tmp_path: Path,
    ) -> None:
        archives["bad"].drips["InRelease"] = "body"
        with pytest.raises(BuildError) as caught:
            roots.root_tree(
                (source_of(archives["bad"], "bad"),),
                replace(BOOKWORM, codename="bad"),
                ["base"],
                Cache(tmp_path / "cache"),
                key=(),
                log=None,
            )
        assert "stopped after 2 s" in caught.value.details
        assert not list((tmp_path / "cache/roots").glob("[!.]*"))

    def test_a_list_that_unpacks_to_more(
        self,
        archives: dict[str, Archive],
        patience: Callable[..., None],
        took: None,
        signer: Signer,
        tmp_path: Path,
    ) -> None:
        """apt unpacks it before it looks at what came of it."""
        patience(listing=4 << 20, update=60.0)
        plain = b"Package: a\nX: " + b"a" * (64 << 20) + b"\n\n"
        files = {"main/source/Sources.xz": lzma.compress(plain, preset=0)}
        listed(archives["bad"], signer, {**files, "main/source/Sources": plain})
        (archives["bad"].root / "dists/bad/main/source/Sources").unlink()
        with pytest.raises(FetchError, match="larger than any archive's"):
            self.opened(archives["bad"], tmp_path).update()
        largest = max(p.stat().st_size for p in (tmp_path / "cache").rglob("*") if p.is_file())
        assert largest <= 4 << 20

    def test_a_million_packages(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(paragraphs, "MOST", 1000)
        path = tmp_path / "Packages"
        path.write_text("".join(f"Package: p{n}\n\n" for n in range(1001)))
        text = paragraphs.Paragraphs(path, "it")
        for question in (
            lambda: text.matching("p1"),
            lambda: list(text.named(f"p{n}" for n in range(20))),
        ):
            with pytest.raises(FetchError, match="it lists more than 1000 packages"):
                question()


def test_a_service_that_drips(
    patience: Callable[..., None], took: None, tmp_path: Path, signer: Signer
) -> None:
    """snapshot, whose every answer is tried again: all tries together have a time."""
    patience(answer=1.0, service=2.0)
    with Service() as server, Archive(tmp_path, signer) as dripping:
        dripping.drips["srcfiles"] = "headers"
        service = history.service_of(server, history.Time(), tmp_path / "cache")
        asked = replace(service, url=Address(dripping.url))
        error = history.refused(Snapshot(BOOKWORM, asked), tmp_path, "is too slow", history.VERSION)
    assert "it has not finished after 1 s" in error.details


def test_a_webhook_that_drips(
    patience: Callable[..., None],
    took: None,
    tmp_path: Path,
    signer: Signer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten are waiting; the night goes on, and they are sent with the next."""
    patience(hook=1.0, hooks=2.0)
    with Archive(tmp_path, signer) as dripping, State(tmp_path / "state", create=True) as state:
        dripping.drips["hook"] = "headers"
        monkeypatch.setenv("RESPIN_WEBHOOK", f"{dripping.url}/hook")
        monkeypatch.setattr("support.archive._Handler.do_POST", _post, raising=False)
        state.tell("bookworm", "{}", 1000, [{"event": "failure"}] * 10)
        troubles = list(notify.send(state, Notifying(), 1000))
        assert "could not be reached" in troubles[0] and len(troubles) <= 4
        assert len(state.outbox()) == 10


def _post(handler: object) -> None:
    handler._drip("headers")  # type: ignore[attr-defined]
