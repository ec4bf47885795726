# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A night in three verbs: the plan, runs made anywhere, and what is collected of them."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support import cli, onerelease, packages, sealed
from support.onerelease import Here

from pipeline.build import distro_package
from pipeline.errors import SmokeFailed
from pipeline.files import schema
from pipeline.host.cache import file_sha256
from pipeline.nightly import night
from pipeline.nightly.context import GIVEN
from pipeline.nightly.runs import Runs
from pipeline.proof import envelope
from pipeline.publish import keys
from pipeline.publish.keys import Key
from pipeline.runs import single_stage
from pipeline.runs.report import Outcome, Report
from pipeline.runs.report_reader import read
from pipeline.runs.request import Request

pytestmark = pytest.mark.needs("aptly")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with onerelease.begin(tmp_path) as begun:
        yield begun


def plan(here: Here) -> list[dict[str, Any]]:
    """Return the runs in the plan, which has the form that its schema says."""
    said = here.respin("nightly", "--plan")
    assert said.status == 0, said.err
    value = json.loads(said.out)
    schema.hold(value, "pipeline.nightly", "plan.schema.json")
    assert value["runs"] or said.err == "respin nightly: nothing is due\n"
    found: list[dict[str, Any]] = value["runs"]
    return found


def content(here: Here) -> dict[str, list[Any]]:
    """Return all tables of the state, but for what was seen of the archives."""
    with closing(sqlite3.connect(here.nights.world.directory / "state.sqlite")) as db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        return {
            name: db.execute(f"SELECT * FROM {name}").fetchall()
            for name in names
            if name not in ("indexes", "targets")
        }


def test_a_plan_says_what_is_due_and_changes_nothing_else(here: Here) -> None:
    here.has("6.1.0-1")
    first = plan(here)
    (run,) = first
    assert (run["release"], run["version"], run["reason"]) == ("bookworm", "6.1.0-1", "new version")
    assert run["name"].startswith("bookworm-amd64-6.1.0-1-")
    assert re.fullmatch(r"[a-z0-9][a-z0-9.+_-]*", run["name"])
    assert run["command"] == [
        *("respin", "run", "--release", "bookworm", "--version", "6.1.0-1"),
        *("--architecture", "amd64", "--number", "1", "--expect-dsc", run["dsc_sha256"]),
    ]
    before = content(here)
    # What nobody delivers is due again, under the same name.
    assert plan(here) == first
    assert content(here) == before and before["runs"] == []
    assert not (here.nights.world.directory / "public").exists()
    # The night makes what the plan says; then nothing is due.
    assert [r.version for r in here.nights.night(0).runs] == ["6.1.0-1"]
    assert plan(here) == []
    here.has("6.1.0-2~rc1", good=None)
    (run,) = plan(here)
    assert run["name"].startswith("bookworm-amd64-6.1.0-2_rc1-")
    assert run["minutes"] == 1  # as long as the last one took


def test_a_plan_needs_no_key(here: Here) -> None:
    """Whoever only plans has no secret."""
    here.has("6.1.0-1")
    (here.nights.world.directory / "gnupg").rename(here.directory / "away")
    assert len(plan(here)) == 1
    said = here.respin("nightly")
    assert said.status == 2 and "respin key init" in said.err


def test_a_plan_of_an_archive_that_cannot_be_read_is_not_empty(here: Here) -> None:
    here.has("6.1.0-1")
    here.distro.corrupt("InRelease", "remove")
    said = here.respin("nightly", "--plan")
    assert said.status == 10 and "nothing is due" not in said.err
    assert json.loads(said.out)["runs"] == [] and said.err.startswith("bookworm: ")


def test_another_source_than_the_expected_one_is_not_run(here: Here, tmp_path: Path) -> None:
    here.has("6.1.0-1")
    (run,) = plan(here)
    words = [*run["command"][1:-1], "0" * 64, "--out", tmp_path / "out"]
    said = here.respin(*words)
    assert said.status == 10 and "is not the one that this run is for" in said.err, said.err
    assert not (tmp_path / "out").exists()
    said = here.respin("run", "--expect-dsc", "abc")
    assert said.status == 2 and "64 hexadecimal digits" in said.err


SAME = {
    "etc/iproute2/x": "the same\n",
    "DEBIAN/templates": "the same\n",
}
"""What the distro's package has."""


# -- collect ----------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Worker:
    """A worker with a key of its own, which the machine that collects trusts."""

    here: Here
    key: Key
    other: Key

    def run(
        self,
        version: str,
        *,
        key: Key | None = None,
        change: Callable[[Path], object] = lambda directory: None,
    ) -> Path:
        """Make the run of a version: its directory has the name that the plan gives it.

        ``change`` is what the worker does before it signs.
        """
        (name,) = (run["name"] for run in plan(self.here) if run["version"] == version)
        made = self.here.directory / "delivered" / name
        shutil.copytree(self.here.directory / f"prepared/bookworm_{version}", made)
        (made / envelope.NAME).unlink()
        change(made)
        return sealed.seal(made, key or self.key)


@pytest.fixture(scope="module")
def worker_keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Key, Key]:
    """Return the worker's key, and somebody else's."""
    top = tmp_path_factory.mktemp("keys")
    return sealed.key(top / "worker")[0], sealed.key(top / "somebody")[0]


@pytest.fixture
def worker(here: Here, worker_keys: tuple[Key, Key]) -> Worker:
    """Return a worker, and a release with a version and the distro's package of it."""
    key, other = worker_keys
    (here.directory / "worker.asc").write_bytes(key.public())
    with (here.directory / "respin.toml").open("a") as file:
        file.write('\n[trust]\nkeys = ["worker.asc"]\n')
    has(here, "6.1.0-1")
    return Worker(here=here, key=key, other=other)


def has(here: Here, version: str) -> None:
    """Let the release have a version, and the distro's package of it; prepare its run."""
    here.prepare_source(version)
    debs = here.directory / "distro"
    debs.mkdir(exist_ok=True)
    files = {**SAME, "usr/share/iproute2": "iproute2\n"}
    deb = packages.make_deb(debs, "iproute2", version, architecture="amd64", files=files)
    here.distro.add_deb(deb, suite="bookworm")
    here.distro.now_has(here.dsc(version))
    here.prepare(version)


def collect(here: Here, *directories: Path | str) -> tuple[cli.Said, list[dict[str, Any]]]:
    """Collect directories; return what respin said, and what it says of each."""
    said = here.respin("nightly", "--collect", "--json", *directories)
    return said, json.loads(said.out)["collected"]


def refused(here: Here, directory: Path, sentence: str, *, recorded: bool = True) -> None:
    """Hold that a directory is refused for a reason, and what is remembered of that."""
    before = here.nights.runs()
    said, (one,) = collect(here, directory)
    assert said.status == one["code"] == 17 and not one["taken"], said
    assert sentence in f"{one['why']}\n{one['details']}", one
    assert "Traceback" not in said.err and ".given" not in said.out
    runs = here.nights.runs()[len(before) :]
    assert [(r.id, r.outcome, r.brief) for r in runs] == [
        (one["run"], "failed", one["why"]) for _ in range(recorded)
    ]
    assert not list(here.nights.world.directory.glob("runs/.given*"))
    assert "6.1.0-1+bpf1" not in here.nights.offered("bookworm")


def test_what_a_worker_made_is_published(worker: Worker) -> None:
    """The control of all tests below: nobody has changed it."""
    here = worker.here
    directory = worker.run("6.1.0-1")
    said, (one,) = collect(here, directory)
    assert said.status == 0, said
    assert (one["taken"], one["name"], one["not_compared"]) == (True, directory.name, [])
    (run,) = here.nights.runs()
    assert (run.outcome, run.reason, run.id) == ("fixed", "new version", one["run"])
    assert list(here.nights.offered("bookworm")) == ["6.1.0-1+bpf1"]
    assert here.nights.events() == [("new-package", "bookworm")]
    assert (run.folder / envelope.NAME).read_bytes() == (directory / envelope.NAME).read_bytes()
    # The night has nothing left to do, and neither has a plan.
    assert plan(here) == [] and here.nights.night(0).runs == ()


def test_nothing_delivered_is_a_night_that_signs_again(worker: Worker) -> None:
    here = worker.here
    collect(here, worker.run("6.1.0-1"))
    release = here.nights.world.public / "bookworm/dists/bookworm/InRelease"
    before = release.read_bytes()
    said = here.respin("nightly", "--collect")
    assert said.status == 0 and said.out == "respin nightly: 1 watched; nothing new\n"
    assert release.read_bytes() != before


@pytest.mark.attack
@pytest.mark.parametrize("lost", ["report.json", "debs/iproute2_6.1.0-1+bpf1_amd64.deb", "logs"])
def test_a_directory_that_was_half_copied(worker: Worker, lost: str) -> None:
    directory = worker.run("6.1.0-1")
    gone = directory / lost
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    refused(worker.here, directory, lost)
    # It is a failure like any other, and tried again.
    (row,) = worker.here.nights.rows().values()
    assert row.outcome == "failed" and row.next_retry
    assert worker.here.nights.events() == [("failure", "bookworm")]


def test_a_directory_that_is_not_there_was_not_delivered(worker: Worker) -> None:
    name = plan(worker.here)[0]["name"]
    refused(worker.here, worker.here.directory / name, "could not copy", recorded=False)
    assert plan(worker.here)[0]["name"] == name


@pytest.mark.attack
def test_a_directory_that_is_collected_twice(worker: Worker) -> None:
    here = worker.here
    directory = worker.run("6.1.0-1")
    again = shutil.copytree(directory, here.directory / "again")
    said, (one, other) = collect(here, directory, again)
    assert said.status == 17 and (one["taken"], other["taken"]) == (True, False)
    assert other["why"].startswith("it was collected before: bookworm 6.1.0-1 for amd64")
    said, (one,) = collect(here, directory)
    assert said.status == 17 and "it was collected before" in one["why"] and one["run"] is None
    assert [run.outcome for run in here.nights.runs()] == ["fixed"]
    assert list(here.nights.offered("bookworm")) == ["6.1.0-1+bpf1"]


@pytest.mark.attack
def test_a_directory_of_an_older_plan(worker: Worker) -> None:
    here = worker.here
    old = worker.run("6.1.0-1")
    has(here, "6.1.0-2")
    refused(here, old, "it is no run that is due: bookworm 6.1.0-1 for amd64", recorded=False)
    # A good one beside it is taken.
    said, (one, other) = collect(here, old, worker.run("6.1.0-2"))
    assert said.status == 17 and (one["taken"], other["taken"]) == (False, True)
    assert list(here.nights.offered("bookworm")) == ["6.1.0-2+bpf1"]


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _report(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Return what changes a directory's report."""

    def write(directory: Path) -> None:
        path = directory / "report.json"
        values = json.loads(path.read_text())
        change(values)
        path.write_text(json.dumps(values))

    return write


AFTER: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit in a package": (
        lambda d: _flip(next((d / "debs").glob("*.deb"))),
        "iproute2_6.1.0-1+bpf1_amd64.deb: has changed",
    ),
    "a flipped bit in the signed statements": (
        lambda d: _flip(d / envelope.NAME),
        "nobody who is trusted here vouches for this run",
    ),
    "a file more": (lambda d: (d / "debs/x.deb").write_text("x"), "debs/x.deb: was added"),
    "no signature": (
        lambda d: sealed.seal(d, None),
        "nobody who is trusted here vouches for this run",
    ),
    "a link to something of ours": (
        lambda d: (d / "logs/passwd").symlink_to("/etc/passwd"),
        "is a symbolic link",
    ),
}


@pytest.mark.attack
@pytest.mark.parametrize("how", AFTER)
def test_a_directory_that_somebody_forged(worker: Worker, how: str) -> None:
    """On its way, that is, without the worker's key."""
    forge, sentence = AFTER[how]
    directory = worker.run("6.1.0-1")
    forge(directory)
    refused(worker.here, directory, sentence, recorded="package" in how or "file" in how)


@pytest.mark.attack
def test_a_directory_that_a_stranger_signed(worker: Worker) -> None:
    directory = worker.run("6.1.0-1", key=worker.other)
    sentence = "nobody who is trusted here vouches for this run"
    refused(worker.here, directory, sentence, recorded=False)


def _rebuilt(
    directory: Path, debug: Mapping[str, str] | None = None, depends: str = "", **kwargs: Any
) -> None:
    """Build the package otherwise, with files that name it; ``debug`` symbols as well."""
    debs = directory / "debs"
    shutil.rmtree(debs)
    debs.mkdir()
    own = {"architecture": "amd64", "files": SAME, **kwargs}
    made = [packages.make_deb(debs, "iproute2", "6.1.0-1+bpf1", **own)]
    if debug:
        fields = {"Source": "iproute2", "Depends": depends or "iproute2 (= 6.1.0-1+bpf1)"}
        own = {"architecture": "amd64", "files": debug, "fields": fields}
        made.append(packages.make_deb(debs, "iproute2-dbgsym", "6.1.0-1+bpf1", **own))
    for path in debs.glob(".iproute2*"):
        shutil.rmtree(path)
    dsc = next((directory / "patched").glob("*.dsc"))
    changes = packages.make_upload(debs, dsc, info_dsc=False)
    found = {
        "debs": made,
        "changes": [changes],
        "buildinfo": [changes.with_suffix(".buildinfo")],
    }

    def put(values: dict[str, Any]) -> None:
        for key, paths in found.items():
            each = [
                {
                    "path": f"debs/{path.name}",
                    "size": path.stat().st_size,
                    "sha256": file_sha256(path),
                }
                for path in paths
            ]
            values["built"][key] = each if key == "debs" else each[0]

    _report(put)(directory)


LYING: dict[str, tuple[Callable[[Path], object], str]] = {
    "the same": (_rebuilt, ""),
    "debug symbols": (
        lambda d: _rebuilt(d, debug={"usr/lib/debug/.build-id/00/x.debug": "x"}),
        "",
    ),
    "a file that the distro's package does not have": (
        lambda d: _rebuilt(d, files={**SAME, "etc/cron.d/x": "x"}),
        "the file ./etc/cron.d/",
    ),
    "a dependency": (lambda d: _rebuilt(d, fields={"Depends": "backdoor"}), "Depends: backdoor"),
    "a control field": (lambda d: _rebuilt(d, fields={"Essential": "yes"}), "Essential: yes"),
    "another file in the control archive": (
        lambda d: _rebuilt(d, files={**SAME, "DEBIAN/shlibs": "x"}),
        "the file shlibs in its control archive",
    ),
    "another script of the maintainer": (
        lambda d: _rebuilt(d, files={**SAME, "DEBIAN/templates": "x"}),
        "DEBIAN/templates has another content",
    ),
    "another content of a file": (
        lambda d: _rebuilt(d, files={**SAME, "etc/iproute2/x": "a back door\n"}),
        "etc/iproute2/x has another content",
    ),
    "debug symbols that are more": (
        lambda d: _rebuilt(d, debug={"etc/cron.d/x": "x"}),
        "has more than debug symbols: ./etc/ as",
    ),
    "debug symbols that want more": (
        lambda d: _rebuilt(d, debug={"usr/lib/debug/x": "x"}, depends="backdoor"),
        "has more than debug symbols: Depends: backdoor",
    ),
    "findings that are not": (
        _report(lambda v: v["findings"][0]["sites"][0].update(reason="believe me")),
        "its report is not what this respin finds in that source",
    ),
    "other patches than the source has": (
        lambda d: (d / "patched/patches/respin-stt-object.patch").write_text("future\n"),
        "it differs in its patches/",
    ),
    "a .changes about other packages": (
        lambda d: _report(
            lambda v: v["built"]["changes"].update(sha256="0" * 64),
        )(d),
        "has changed since its run",
    ),
    "another source under the same version": (
        lambda d: _resourced(d),
        "is not what this respin makes from 6.1.0-1",
    ),
    "another version of respin": (
        _report(lambda v: v.update(tool_version="0.0.9")),
        "it was made by respin 0.0.9",
    ),
    "a smoke test that proves nothing": (
        _report(lambda v: v["smoke"]["cases"][0]["after"].update(ok=False)),
        "proves nothing",
    ),
    "what needs no fix": (
        _report(lambda v: v.update(outcome="not-needed")),
        "that it is patched at all",
    ),
}


def _resourced(directory: Path) -> None:
    """Put another source in the place of the patched one, and build what names it."""
    shutil.rmtree(directory / "patched")
    made = packages.make_source(
        directory / "patched", version="6.1.0-1+bpf1", rules=f"{packages.RULES}# a back door\n"
    )
    for path in made.parent.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    _report(lambda v: v["patched"].update(sha256=file_sha256(made), patches=[]))(directory)
    _rebuilt(directory)


@pytest.mark.attack
@pytest.mark.parametrize("how", LYING)
def test_a_worker_whose_key_is_trusted_and_that_lies(worker: Worker, how: str) -> None:
    """It signs what it says; what can be made or fetched here is not believed."""
    forge, sentence = LYING[how]
    directory = worker.run("6.1.0-1", change=forge)
    if not sentence:
        assert collect(worker.here, directory)[0].status == 0
    else:
        refused(worker.here, directory, sentence)


def test_a_run_that_needs_no_fix_is_collected(worker: Worker) -> None:
    here = worker.here
    here.prepare_source("6.1.0-2")
    here.distro.now_has(here.dsc("6.1.0-2"))
    here.prepare("6.1.0-2", good=False)
    said, (one,) = collect(
        here, worker.run("6.1.0-2", change=_report(lambda v: v.update(architecture="amd64")))
    )
    assert (said.status, one["taken"]) == (0, True), said
    assert [run.outcome for run in here.nights.runs()] == ["not-needed"]


def test_a_package_that_the_archive_has_in_another_version_only(worker: Worker) -> None:
    """What cannot be compared yet is not taken yet."""
    here = worker.here
    here.prepare_source("6.1.0-2")
    here.distro.now_has(here.dsc("6.1.0-2"))
    here.prepare("6.1.0-2")
    refused(here, worker.run("6.1.0-2"), "does not have iproute2 6.1.0-2 yet, to compare with")


@pytest.mark.attack
def test_a_directory_that_is_named_after_another_run(worker: Worker) -> None:
    """Nobody lets another release's run fail with a directory that he, too, can make."""
    here = worker.here
    old = worker.run("6.1.0-1")
    has(here, "6.1.0-2")
    (name,) = (run["name"] for run in plan(here))
    named = old.rename(old.with_name(name))
    _flip(next((named / "debs").glob("*.deb")))
    refused(here, named, "has changed", recorded=False)


@pytest.mark.attack
def test_a_worker_whose_key_has_expired(worker: Worker, tmp_path: Path) -> None:
    here = worker.here
    key, _ = sealed.key(tmp_path / "expiring")
    directory = worker.run("6.1.0-1", key=key)
    (here.directory / "worker.asc").write_bytes(sealed.expire(key, 1))
    refused(here, directory, "the key that signed it has expired", recorded=False)


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("./usr/lib/debug/../../../etc/x", "-rw-r--r-- root/root "),
        ("./usr/lib/debug//x", "-rw-r--r-- root/root "),
        ("./usr/lib/debug/x", "-rwsr-xr-x root/root "),
        ("./usr/lib/debug/x", "-rw-r--r-- nobody/root "),
        ("./usr/lib/debug/x", "lrwxrwxrwx root/root  -> /etc"),
        ("./usr/lib/debug/x", "hrw-r--r-- root/root  link to ./etc/shadow"),
        ("./usr/share/doc/iproute2-dbgsym", "lrwxrwxrwx root/root  -> /etc"),
        ("./usr/share/doc/x", "-rw-r--r-- root/root "),
        ("./etc/", "drwxr-xr-x root/root "),
        ("./usr/", "drwxrwxrwx root/root "),
    ],
)
def test_files_that_are_no_debug_symbols(path: str, what: str) -> None:
    good = {
        "./usr/lib/debug/.build-id/0b/x.debug": "-rw-r--r-- root/root ",
        "./usr/share/doc/": "drwxr-xr-x root/root ",
        "./usr/share/doc/iproute2-dbgsym": "lrwxrwxrwx root/root  -> iproute2",
    }
    for name, kind in good.items():
        assert distro_package._is_debug(name, kind, "iproute2", "iproute2-dbgsym")
    assert not distro_package._is_debug(path, what, "iproute2", "iproute2-dbgsym")


def test_what_cannot_be_compared_is_said(here: Here, worker_keys: tuple[Key, Key]) -> None:
    """The archive has the source, and not yet the package."""
    key, _ = worker_keys
    (here.directory / "worker.asc").write_bytes(key.public())
    with (here.directory / "respin.toml").open("a") as file:
        file.write('\n[trust]\nkeys = ["worker.asc"]\n')
    here.has("6.1.0-1")
    directory = Worker(here=here, key=key, other=key).run("6.1.0-1")
    said = here.respin("nightly", "--collect", directory)
    words = "(not compared with the distro's iproute2, which the archive lacks)"
    assert said.status == 0 and said.out.startswith(f"collected  {directory} {words}\n"), said


def test_proven_again(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails the smoke test here is not taken, with the exit code of a smoke test."""
    here, proven = worker.here, []

    def prove(request: Request, earlier: Path, debs: None, out: Path) -> Report:
        assert (earlier / "report.json").exists()
        proven.append((request.version, request.target, [fix.name for fix in request.fixes]))
        if len(proven) == 1:
            raise SmokeFailed("made up: it loads nothing")
        done = read(earlier)
        return replace(done, outcome=Outcome.UNHARMED) if len(proven) == 2 else done

    monkeypatch.setattr(single_stage, "prove_only", prove)
    directory = worker.run("6.1.0-1")
    said = here.respin("nightly", "--collect", "--prove-again", directory)
    assert said.status == 14 and f"refused    {directory}: made up: it loads" in said.out, said
    assert here.respin("retry", "bookworm").status == 0
    said = here.respin("nightly", "--collect", "--prove-again", directory)
    assert said.status == 17 and "its outcome is fixed there, and unharmed here" in said.out
    assert here.respin("retry", "bookworm").status == 0
    assert here.respin("nightly", "--collect", "--prove-again", directory).status == 0
    # With the fixes that the run applied, not with all that there are.
    assert proven == [("6.1.0-1", "amd64", ["stt-object"])] * 3


@pytest.mark.bad_input
def test_options_that_do_not_go_together(here: Here) -> None:
    for words in ("--plan --collect", "--plan x", "--prove-again", "--plan --jobs 2", "x"):
        said = here.respin("nightly", *words.split())
        assert said.status == 2 and said.err.startswith("respin: "), said
    assert not (here.nights.world.directory / "state.sqlite").exists()


# -- a state that is lost ---------------------------------------------------------------------


def lose(here: Here) -> None:
    """Lose the state: what stays is what was published, and the directories of the runs."""
    for path in here.nights.world.directory.glob("state.sqlite*"):
        path.unlink()


def test_a_lost_state_is_made_whole(here: Here, tmp_path: Path) -> None:
    """After a night that built, one that failed, a withdrawal: the decisions stay the same."""
    here.has("6.1.0-1")
    here.nights.night(0)
    here.has("6.1.0-2")
    here.nights.night(0)
    assert here.respin("withdraw", "bookworm", "6.1.0-2+bpf1", "--why", "it is bad").status == 0
    here.prepare_source("6.1.0-3")
    here.prepare_source("6.1.0-4")
    here.prepare("6.1.0-4")
    here.distro.now_has(here.dsc("6.1.0-2"), here.dsc("6.1.0-3"), here.dsc("6.1.0-4"))
    assert here.nights.night(0).code == 11
    here.nights.events()
    rows, runs, had = here.nights.rows(), here.nights.runs(), content(here)
    offered = here.nights.offered("bookworm")
    assert [r.outcome for r in runs] == ["fixed", "fixed", "unknown", "fixed"]
    assert sorted(offered) == ["6.1.0-1+bpf1", "6.1.0-4+bpf1"]
    lose(here)
    said = here.respin("nightly", "--plan")
    assert said.status == 0 and json.loads(said.out)["runs"] == [], said
    assert said.err.startswith("state: it was lost, and is made from what was published at ")
    assert (here.nights.rows(), here.nights.runs(), content(here)) == (rows, runs, had)
    # What was withdrawn is not built again, and what failed waits; nobody hears of it again.
    lose(here)
    assert here.nights.night(0.01).runs == ()
    assert here.nights.offered("bookworm") == offered and here.nights.events() == []
    # The failure is retried when it was due, and a directory's number is not used twice.
    lose(here)
    (run,) = here.nights.night(0.1).runs
    assert (run.version, run.reason, run.id) == ("6.1.0-3", "retry", 5)


def test_a_withdrawal_is_published_at_once(here: Here) -> None:
    here.has("6.1.0-1")
    here.nights.night(0)
    assert here.respin("withdraw", "bookworm", "6.1.0-1+bpf1", "--why", "it is bad").status == 0
    lose(here)
    assert here.nights.night(0).runs == () and here.nights.offered("bookworm") == {}


def test_who_only_plans_does_not_keep_a_state_that_others_may_have_signed(here: Here) -> None:
    here.has("6.1.0-1")
    here.nights.night(0)
    home = here.nights.world.directory / "gnupg"
    settings = here.nights.world.settings.publish
    public = keys.find(here.nights.world.directory, settings).public()
    lose(here)
    home.rename(here.directory / "away")
    said = here.respin("nightly", "--plan")
    assert said.status == 2 and "is not believed" in said.err
    (here.directory / "repository.asc").write_bytes(public)
    with (here.directory / "respin.toml").open("a") as file:
        file.write('\n[trust]\nkeys = ["repository.asc"]\n')
    said = here.respin("nightly", "--plan")
    assert said.status == 0 and json.loads(said.out)["runs"] == []
    assert not list(here.nights.world.directory.glob("state.sqlite*"))


@pytest.mark.attack
def test_a_forged_state_is_not_believed(here: Here, worker_keys: tuple[Key, Key]) -> None:
    """Whoever can write where it is published cannot undo a withdrawal, nor can a worker."""
    here.has("6.1.0-1")
    here.nights.night(0)
    path = here.nights.world.public / "state.json"
    good = path.read_bytes()
    (signed,) = envelope.read(good, "x")
    value = json.loads(signed.payload)
    value["tables"]["runs"] = []
    payload = envelope.canonical(value)
    key, _ = worker_keys
    (here.directory / "worker.asc").write_bytes(key.public())
    with (here.directory / "respin.toml").open("a") as file:
        file.write('\n[trust]\nkeys = ["worker.asc"]\n')
    forged = [
        envelope.to_bytes([envelope.Envelope(payload=payload, signatures=signed.signatures)]),
        envelope.to_bytes(envelope.sign([payload], None)),
        envelope.to_bytes(envelope.sign([payload], key)),
        next(here.nights.world.directory.glob("runs/*/*/provenance.json")).read_bytes(),
        good[: len(good) // 2],
    ]
    lose(here)
    for data in forged:
        path.write_bytes(data)
        said = here.respin("nightly")
        assert said.status == 2 and "is not believed" in said.err, said
        assert not (here.nights.world.directory / "state.sqlite").exists()
    path.write_bytes(good)
    assert here.respin("nightly").status == 0
    assert [run.ours for run in here.nights.runs()] == ["6.1.0-1+bpf1"]


# -- several at once --------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_runs_are_made_at_once(here: Here, jobs: int) -> None:
    """Each waits for another one to begin, so one alone fails."""
    for version in ("6.1.0-1", "6.1.0-2"):
        here.prepare_source(version)
        here.prepare(version)
    here.distro.now_has(here.dsc("6.1.0-1"), here.dsc("6.1.0-2"))
    both, make = threading.Barrier(2), here.nights.world.run

    def run(request: Request, out: Path) -> Report:
        both.wait(20 if jobs == 2 else 0.1)
        return make(request, out)

    done = night.nightly(replace(here.nights.world, run=run), jobs)
    assert sorted(r.version for r in done.runs) == ["6.1.0-1", "6.1.0-2"]
    assert {r.outcome for r in done.runs} == {"fixed" if jobs == 2 else "failed"}
    if jobs == 2:
        assert sorted(here.nights.offered("bookworm")) == ["6.1.0-1+bpf1", "6.1.0-2+bpf1"]


def test_one_that_fails_stops_no_other_and_a_signal_stops_all(here: Here) -> None:
    for version in ("6.1.0-1", "6.1.0-2"):
        here.prepare_source(version)
    here.prepare("6.1.0-2")
    here.distro.now_has(here.dsc("6.1.0-1"), here.dsc("6.1.0-2"))
    make = here.nights.world.run

    def stopped(request: Request, out: Path) -> Report:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        night.nightly(replace(here.nights.world, run=stopped), 2)
    assert {r.ended for r in here.nights.runs()} == {None}
    done = night.nightly(replace(here.nights.world, run=make), 2)
    assert {(r.version, r.reason, r.outcome) for r in done.runs} == {
        ("6.1.0-1", "killed while it ran", "unknown"),
        ("6.1.0-2", "killed while it ran", "fixed"),
    }


@pytest.mark.parametrize("moment", ["before it is in place", "before that is noted"])
def test_killed_while_it_collected(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Nothing is lost and nothing is there twice, whoever collects it again."""
    here, end = worker.here, Runs.end
    directory = worker.run("6.1.0-1")

    rename = Path.rename

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    def placed(path: Path, target: Path) -> Path:
        if path.name == GIVEN:  # others are renamed before it
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", placed) if "place" in moment else None
        patch.setattr(Runs, "end", killed)
        said = here.respin("nightly", "--collect", directory)
        assert said.status == 130, said
    assert [run.ended for run in here.nights.runs()] == [None] and Runs.end is end
    said, (one,) = collect(here, directory)
    if "place" in moment:
        assert one["taken"] and said.status == 0
        assert [run.outcome for run in here.nights.runs()] == ["interrupted", "fixed"]
    else:
        assert "it was collected before" in one["why"]
        assert [run.outcome for run in here.nights.runs()] == ["fixed"]
    assert list(here.nights.offered("bookworm")) == ["6.1.0-1+bpf1"]
