# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands around the night, as a user calls them, and what it tells the world."""

from __future__ import annotations

import fcntl
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support import cli, nights, onerelease, packages, standin
from support.archive import Signer
from support.nights import Distro
from support.onerelease import Here, respin

from pipeline.config import distros
from pipeline.config.config import load
from pipeline.errors import FetchError, PublishError
from pipeline.host.cache import Cache
from pipeline.host.disk import Space
from pipeline.nightly import prune
from pipeline.nightly.state import State
from pipeline.releases import releases

pytestmark = pytest.mark.needs("aptly")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with onerelease.begin(tmp_path) as begun:
        yield begun


def test_before_the_first_night(tmp_path: Path) -> None:
    """Each step that is missing is named with the command that makes up for it."""
    config = tmp_path / "respin.toml"
    config.write_text('[nightly]\nreleases = ["bookworm"]\nstate = "state"\n')

    def call(*args: str) -> cli.Said:
        return respin(config, tmp_path / "cache", *args)

    for line in ("status", "retry", "forget bookworm", "withdraw bookworm 1 --why bad"):
        said = call(*line.split())
        assert said.status == 2 and "respin nightly first" in said.err
        assert not (tmp_path / "state").exists()
    said = call("nightly")
    assert said.status == 2 and "respin key init" in said.err
    said = call("key", "init")
    assert said.status == 0 and len(said.out.strip()) == 40
    assert call("key", "init").status == 2
    # A night has begun, and found no archive.
    with State(tmp_path / "state", create=True):
        pass
    words = "run `respin nightly`, which watches the releases under [nightly] in respin.toml"
    for command in (["retry", "bookworm"], ["forget", "bookworm"], ["history", "bookworm"]):
        said = call(*command)
        assert said.status == 2 and "watches no release yet" in said.err and words in said.err
    said = call("status")
    assert said.status == 0 and said.out == f"respin watches no release yet: {words}\n"
    assert json.loads(call("status", "--json").out)["targets"] == []
    config.write_text('[nightly]\nstate = "state"\n')
    said = call("nightly")
    assert said.status == 2 and "debian:supported" in said.err
    config.write_text('[nightly]\nreleses = ["bookworm"]\n')
    said = call("nightly")
    assert said.status == 2 and "did you mean 'releases'" in said.err


def test_from_a_failure_to_a_withdrawal(here: Here) -> None:
    here.has("6.1.0-1", good=None)
    assert here.nights.night(0).code == 11
    said = here.respin("status")
    assert said.status == 0 and "unknown !" in said.out and "needs attention" in said.out
    (row,) = here.json("status")["targets"]
    assert (row["outcome"], row["ours"], row["code"]) == ("unknown", None, 11)
    assert row["next_retry"] and row["since"]
    # The night of the command line sees that nothing is due.
    said = here.respin("nightly")
    assert (said.status, said.err) == (0, "")
    assert said.out == (
        "respin nightly: 1 watched; wrong: bookworm (unknown); needs attention: bookworm\n"
    )
    assert here.respin("nightly", "--quiet").out == ""
    # It is understood now, and asked for.
    here.prepare("6.1.0-1")
    assert here.json("retry")["asked"] == ["bookworm"]
    done = here.nights.night(0)
    assert [(r.reason, r.outcome) for r in done.runs] == [("asked for", "fixed")]
    assert list(here.nights.offered("bookworm")) == ["6.1.0-1+bpf1"]
    runs = here.json("history")["runs"]
    assert [(r["reason"], r["outcome"]) for r in runs] == [
        ("new version", "unknown"),
        ("asked for", "fixed"),
    ]
    assert here.json("history", "bookworm")["runs"] == runs
    assert "asked for" in here.respin("history").out
    # What is offered is not forgotten; the failure is.
    assert here.json("forget", "bookworm")["forgotten"] == 1
    said = here.respin("forget", "bookworm")
    assert said.status == 2 and "respin withdraw" in said.err
    said = here.respin("withdraw", "bookworm", "6.1.0-1+bpf9", "--why", "bad")
    assert said.status == 2 and "it offers 6.1.0-1+bpf1" in said.err
    assert list(here.nights.offered("bookworm")) == ["6.1.0-1+bpf1"]
    said = here.respin("withdraw", "bookworm", "6.1.0-1+bpf1", "--why", "bad")
    assert said.status == 0 and "the package of the distro" in said.out
    assert here.nights.offered("bookworm") == {}
    # Forgotten, it counts as new, and its number is not used again.
    assert here.json("forget", "bookworm")["forgotten"] == 1
    (here.directory / "prepared/bookworm_6.1.0-1").rename(here.directory / "prepared/old")
    made = here.prepare("6.1.0-1", number=2)
    made.rename(here.directory / "prepared/bookworm_6.1.0-1")
    (run,) = here.nights.night(0).runs
    assert (run.number, run.ours) == (2, "6.1.0-1+bpf2")
    for wrong in ("retry", "forget", "history"):
        said = here.respin(wrong, "bokworm")
        assert said.status == 2 and "it watches bookworm" in said.err


def test_publishing_by_hand(here: Here) -> None:
    here.has("6.1.0-1", good=False)
    assert here.nights.night(0).code == 0
    directory = here.prepare("6.1.0-1", number=2)
    assert here.json("publish", directory)["published"] == "6.1.0-1+bpf2"
    assert list(here.nights.offered("bookworm")) == ["6.1.0-1+bpf2"]
    said = here.respin("publish", directory)
    assert said.status == 17 and "--number 3" in said.err
    # A night leaves it, and does not run it again.
    assert here.nights.night(0).runs == ()
    # Of a version that the archive's own would not sort above.
    three = here.prepare("6.1.0-1", number=3)
    here.distro.now_has(
        here.directory / "made/6.1.0-1/iproute2_6.1.0-1.dsc",
        packages.make_source(here.directory / "made/x", version="6.1.0-1+b0"),
    )
    said = here.respin("publish", three)
    assert said.status == 0, said.err
    (three / "debs").rename(three / "other")
    said = here.respin("publish", three)
    assert said.status == 17
    nothing = here.directory / "made"
    for to in ([], ["--to", "dput:x"]):
        said = here.respin("publish", *to, nothing)
        assert said.status == 2 and f"{nothing} is not the directory of a run" in said.err
        assert "make one with respin run\n" in said.err and "Errno" not in said.err
    (nothing / "report.json").write_text("{")
    said = here.respin("publish", nothing)
    assert said.status == 2 and "this version of respin cannot read" in said.err
    for wrong in (["--to", "ftp:x"], ["--to", "dput:"], ["--key", "x"]):
        assert here.respin("publish", *wrong, directory).status == 2


def test_one_at_a_time(here: Here) -> None:
    here.has("6.1.0-1", good=False)
    assert here.nights.night(0).code == 0
    lock = here.nights.world.directory / "lock"
    lock.write_text('{"pid": 4711, "host": "here", "doing": "nightly", "since": "noon"}')
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for command in ("nightly", "retry", "forget"):
            said = here.respin(command, *(["bookworm"] if command == "forget" else []))
            assert said.status == 18 and "process 4711 on here (nightly), since noon" in said.err
        assert here.respin("status").status == 0
    assert here.respin("nightly").status == 0


class Hook:
    """A webhook: what was posted, and what it answers."""

    def __init__(self) -> None:
        hook = self
        self.got: list[tuple[str, str | None, dict[str, Any]]] = []
        self.answer = 204

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.got.append((self.path, self.headers["Authorization"], json.loads(body)))
                self.send_response(hook.answer)
                self.end_headers()

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@dataclass(kw_only=True)
class Notes:
    """What a night says."""

    lines: list[str] = field(default_factory=list)

    def __call__(self, target: str, text: str) -> None:
        self.lines.append(f"{target}: {text}")


def test_a_webhook_is_told_of_changes_and_its_secrets_stay_so(here: Here) -> None:
    hook = Hook()
    try:
        secret = f"http://127.0.0.1:{hook.server.server_port}/SECRET-path"
        (here.directory / "address").write_text(secret + "\n")
        (here.directory / "token").write_text("SECRET-token\n")
        path = here.directory / "respin.toml"
        text = path.read_text().partition("[notify]")
        rest = text[2].partition("\n[release")
        path.write_text(
            f'{text[0]}[notify]\nwebhook-file = "address"\ntoken-file = "token"\n[release{rest[2]}'
        )
        notes = Notes()
        here.nights.world = replace(here.nights.world, config=load(path), note=notes)
        here.has("6.1.0-1", good=None)
        hook.answer = 500
        assert here.nights.night(0).code == 11
        assert "notify: the webhook answered with status 500" in notes.lines
        hook.answer = 204
        here.nights.night(0)
        here.nights.night(0)
        assert [(p, a) for p, a, _ in hook.got] == [("/SECRET-path", "Bearer SECRET-token")] * 2
        body = hook.got[-1][2]
        assert hook.got[0][2] == body
        assert (body["event"], body["target"], body["code"]) == ("failure", "bookworm", 11)
        here.has("6.1.0-2")
        here.nights.night(0)
        assert [b["event"] for _, _, b in hook.got[2:]] == ["recovery", "new-package"]
        assert hook.got[-1][2]["our_version"] == "6.1.0-2+bpf1"
    finally:
        hook.close()
    # Now nobody listens; what is to be said stays, and no secret is in any word of it.
    here.has("6.1.0-3")
    here.nights.night(0)
    assert "notify: the webhook could not be reached: ConnectionError" in notes.lines
    with State(here.nights.world.directory) as state:
        assert [each.body["our_version"] for each in state.outbox()] == ["6.1.0-3+bpf1"]
    said = here.respin("nightly", "--verbose")
    for words in (*notes.lines, said.out, said.err):
        assert "SECRET" not in words
    for file in here.nights.world.directory.rglob("*"):
        assert not file.is_file() or b"SECRET" not in file.read_bytes(), file


def test_one_release_that_fails_holds_up_no_other(here: Here) -> None:
    """Also if it is a bug of ours, which is recorded as such."""

    def broken(request: object, out: Path) -> Any:
        raise ZeroDivisionError("a bug")

    here.has("6.1.0-1")
    good = here.nights.world.run
    done = here.nights.night(0, run=broken)
    assert done.code == 1 and "ZeroDivisionError" in done.runs[0].details
    assert (here.nights.world.public / "bookworm/dists").exists()

    def unreachable(request: object, out: Path) -> Any:
        raise FetchError("not there")

    assert here.nights.night(1, run=unreachable).code == 10
    assert here.nights.night(1, run=good).code == 0


def test_a_status_page_that_cannot_be_written_holds_up_nothing(here: Here) -> None:
    here.has("6.1.0-1")
    page = here.nights.world.public / "index.html"
    (page / "somebody's").mkdir(parents=True)
    done = here.nights.night(0)
    assert (done.code, done.published) == (PublishError.exit_code, ("bookworm",))
    assert "new-package" in here.nights.notifications.read_text()
    said = here.respin("nightly")
    assert said.status == 17 and "page: respin could not write the status page: " in said.err
    shutil.rmtree(page)
    assert here.nights.night(0).code == 0 and page.is_file()


def test_a_run_directory_that_is_gone_is_a_problem_of_its_release(here: Here) -> None:
    here.has("6.1.0-1")
    (run,) = here.nights.night(0).runs
    shutil.rmtree(run.folder)
    done = here.nights.night(0)
    assert (done.code, done.rows[0].outcome) == (17, "problem")
    assert "is not the directory of a run" in done.rows[0].why
    assert list(here.nights.offered("bookworm")) == ["6.1.0-1+bpf1"]


def test_the_disk_is_bounded(here: Here) -> None:
    """Old runs go; never what is offered, nor the newest; the history stays."""
    world = here.nights.world
    settings = replace(world.settings, keep_runs=timedelta(days=50))
    here.nights.world = replace(world, config=replace(world.config, nightly=settings))
    for number in range(1, 6):
        here.has(f"6.1.0-{number}")
        assert here.nights.night(15).code == 0
    directories = {run.ours: run.folder.exists() for run in here.nights.runs()}
    assert directories == {
        "6.1.0-1+bpf1": False,
        "6.1.0-2+bpf1": True,  # not old enough
        "6.1.0-3+bpf1": True,
        "6.1.0-4+bpf1": True,
        "6.1.0-5+bpf1": True,
    }
    settings = replace(settings, runs_size=0)
    with State(here.nights.world.directory) as state:
        prune.runs(state, here.nights.world.directory, settings, 3, here.nights.world.now())
    left = [run.ours for run in here.nights.runs() if run.folder.exists()]
    assert left == ["6.1.0-3+bpf1", "6.1.0-4+bpf1", "6.1.0-5+bpf1"]
    assert sorted(here.nights.offered("bookworm")) == left
    assert here.nights.night(1).code == 0  # what is offered can be made again from them
    cache = here.nights.world.cache
    for name, size in (("old", 10), ("large", 1 << 20), ("new", 10)):
        (cache.directory("downloads") / name).write_bytes(b"x" * size)
    now = (cache.root / "downloads/new").stat().st_mtime + 2 * 24 * 3600
    prune.cache(cache, replace(settings, cache_size=1 << 30), now)
    assert (cache.root / "downloads/large").exists()
    prune.cache(cache, replace(settings, cache_size=1 << 19), now)
    assert not (cache.root / "downloads/large").exists()
    assert prune.size_of(cache.root) < 1 << 20


def test_what_needs_a_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is on the page at once, said once for all releases, and no longer when it is done."""
    absent = tmp_path / "ubuntu-archive-keyring.gpg"
    monkeypatch.setattr(distros.Ubuntu, "keyring", absent)
    config = tmp_path / "respin.toml"

    def said(*args: str) -> cli.Said:
        return respin(config, tmp_path / "cache", *args)

    with Signer("distro") as signer, Distro(tmp_path, signer, "bookworm") as distro:
        dsc = packages.make_source(tmp_path / "made")
        release = releases.find("bookworm")
        standin.make(tmp_path / "prepared/bookworm_6.1.0-3", dsc, release, good=False)
        distro.now_has(dsc)
        played = nights.begin(
            tmp_path,
            [distro],
            Cache(tmp_path / "cache"),
            standin.runner(tmp_path / "prepared"),  # type: ignore[arg-type]
            releases=["bookworm", "jammy", "noble"],
        )
        full = Space(device=1, used=95, free=5)
        done = played.night(0, space=lambda path: full)
        assert done.code == 2 and {need.about for need in done.needs} == {
            "keys ubuntu",
            f"disk {played.world.directory}",
        }
        assert sorted(played.events(), key=str) == [
            ("failure", "jammy"),
            ("failure", "noble"),
            ("needs-person", None),
        ]
        page = played.page()
        people = page.partition('id="people"')[2].partition("</ul>")[0]
        assert people.count("ubuntu-keyring") == 1 and "95 % full" in people
        assert people.count("<li>") == 2 and "Nothing needs attention" not in page
        assert "2 need attention, and 1 other thing does." in page
        shown = said("status").out
        assert shown.count("ubuntu-keyring") == 1 and "! jammy, noble: this machine" in shown
        assert [n["about"] for n in json.loads(said("status", "--json").out)["attention"]] == [
            need.about for need in done.needs
        ]
        tonight = said("nightly")
        assert tonight.status == 2 and tonight.err.count("ubuntu-keyring") == 1, tonight.err
        assert tonight.err.count("this machine does not have the keys") == 1
        # The same is told once; what has come back is told again.
        full = Space(device=1, used=5, free=95)
        assert played.night(0, space=lambda path: full).code == 2 and played.events() == []
        full = Space(device=1, used=95, free=5)
        played.night(0, space=lambda path: full)
        assert played.events() == [("needs-person", None)]
        # Without those releases, and with room, nobody is needed.
        full = Space(device=1, used=5, free=95)
        config.write_text(config.read_text().replace('"bookworm", "jammy", "noble"', '"bookworm"'))
        done = played.night(0, space=lambda path: full, config=load(config))
        assert (done.code, done.needs) == (0, ()) and "Nothing needs attention" in played.page()
