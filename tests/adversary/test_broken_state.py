# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of `respin nightly` is damaged or somebody else's, or the user has no home directory.

The causes are a disk that loses data, a power cut, or an administrator who inspects a service.
Each command says in a sentence what is wrong, ends with its exit code, and changes nothing.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support import cli, onerelease
from support.onerelease import Here

from pipeline.files.state_lock import NAME as LOCK
from pipeline.nightly.state import NAME as DATABASE

pytestmark = pytest.mark.needs("aptly")

COMMANDS = (
    "nightly",
    "status",
    "history",
    "retry",
    "forget bookworm",
    "withdraw bookworm 6.1.0-1+bpf1 --why bad",
    "publish {directory}",
)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    """One release, of which one version is offered."""
    with onerelease.begin(tmp_path) as begun:
        begun.has("6.1.0-1")
        assert begun.nights.night(0).code == 0
        yield begun


def database(here: Here) -> Path:
    return here.nights.world.directory / DATABASE


def said_of(here: Here, words: str, but: str = "none") -> None:
    """Hold every command, ``but`` one, to a sentence with these words."""
    before = {p: p.stat().st_mtime_ns for p in here.nights.world.public.rglob("*")}
    directory = here.directory / "prepared/bookworm_6.1.0-1"
    for command in COMMANDS:
        if command == but:
            continue
        said = here.respin(*command.format(directory=directory).split())
        assert (said.status, said.out) == (2, ""), (command, words, said)
        assert words in said.err and "Traceback" not in said.err, (command, said.err)
        assert said.err.startswith("respin: ") and "→" in said.err
    assert before == {p: p.stat().st_mtime_ns for p in here.nights.world.public.rglob("*")}


def _torn(path: Path) -> None:
    """Lose the second half of a write."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _another_page(path: Path) -> None:
    """Put a page of an index where the runs are."""
    with closing(sqlite3.connect(path)) as opened:
        page = opened.execute("PRAGMA page_size").fetchone()[0]
        roots = dict(opened.execute("SELECT name, rootpage FROM sqlite_master"))
    data = bytearray(path.read_bytes())
    to, of = (page * (roots[name] - 1) for name in ("runs", "runs_of"))
    data[to : to + page] = data[of : of + page]
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "another file": lambda p: p.write_text("dear diary\n" * 1000),
    "a torn write": _torn,
    "a page in the wrong place": _another_page,
}


@pytest.mark.fault
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file(here: Here, damage: str) -> None:
    """It is said what mends it, and that does."""
    good = here.respin("history").out
    DAMAGE[damage](database(here))
    said_of(here, "is damaged")
    copy = database(here).with_name(f"{DATABASE}.bak")
    assert copy.name in here.respin("status").err
    copy.rename(database(here))
    assert here.respin("history").out == good
    assert here.respin("nightly").status == 0


ROWS = {
    "no JSON": "UPDATE targets SET versions = '[\"6.1'",
    "other JSON": "UPDATE targets SET versions = '{\"a\": 1}'",
    "numbers for words": "UPDATE targets SET versions = '[1, 2]'",
    "a time that has no name": "UPDATE targets SET since = 9e15",
    "a time before all times": "UPDATE targets SET since = -1",
    "text that is none": "UPDATE targets SET version = CAST(x'ff00ff' AS TEXT)",
    "a run without inputs": "UPDATE runs SET inputs = '[]'",
    "a run of the year 10000": "UPDATE runs SET started = 253402300800",
    "deep nesting": "UPDATE targets SET versions = '" + "[" * 100_000 + "'",
}


@pytest.mark.fault
def test_a_row_that_holds_something_else(here: Here, count: Callable[[str, int], None]) -> None:
    whole = database(here).read_bytes()
    for name, statement in ROWS.items():
        with closing(sqlite3.connect(database(here))) as opened:
            opened.execute(statement)
            opened.commit()
        said_of(here, "is damaged", but="history" if " targets " in statement else "none")
        database(here).write_bytes(whole)
        assert here.respin("status").status == 0, name
    count("fault", len(ROWS))


@pytest.mark.fault
def test_what_is_no_file(here: Here) -> None:
    """A FIFO would be waited for, and what lies behind a link is another's."""
    path = database(here)
    path.rename(path.with_name("aside"))
    os.mkfifo(path)
    said_of(here, "is not a file")
    path.unlink()
    path.symlink_to("aside")
    said_of(here, "is not a file")
    path.unlink()
    path.with_name("aside").rename(path)
    lock = here.nights.world.directory / LOCK
    lock.unlink()
    os.mkfifo(lock)
    said = here.respin("nightly")
    assert said.status == 2 and "does not belong to respin" in said.err
    lock.unlink()
    lock.symlink_to(here.directory / "victim")
    said = here.respin("nightly")
    assert said.status == 2 and "does not belong to respin" in said.err
    assert not (here.directory / "victim").exists()


@pytest.mark.fault
def test_two_who_write_at_once(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for nothing is told that another one is at it; who only looks need not wait."""
    monkeypatch.setattr("pipeline.nightly.database.PATIENCE", 0.1)
    with closing(sqlite3.connect(database(here), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        said = here.respin("retry", "bookworm")
        assert said.status == 18 and "another process is writing to" in said.err
        assert here.respin("status").status == 0


@pytest.fixture
def by_all() -> Iterator[Path]:
    """Return a directory that every user can enter."""
    directory = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    directory.chmod(0o755)
    yield directory
    subprocess.run(["chmod", "-R", "u+w", directory], check=True)
    shutil.rmtree(directory)


@pytest.mark.fault
def test_who_may_only_read(by_all: Path) -> None:
    """An administrator looks at the state of a service, also while a night goes on."""
    user = "nobody" if os.geteuid() == 0 else None
    with onerelease.begin(by_all) as here:
        here.has("6.1.0-1")
        assert here.nights.night(0).code == 0
        state = here.nights.world.directory
        for path in (state, *state.rglob("*")):
            if not path.is_symlink() and path.name != "gnupg":
                path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))

        def look(command: str) -> cli.Said:
            nowhere = by_all / "nowhere"
            config = by_all / "respin.toml"
            return cli.respin(command, user=user, cache=nowhere, config=config, timeout=60)

        for command in ("status", "history"):
            said = look(command)
            assert said.status == 0 and "6.1.0-1+bpf1" in said.out, said
        assert not (by_all / "nowhere").exists()
        if user:
            with closing(sqlite3.connect(database(here), isolation_level=None)) as night:
                night.execute("UPDATE targets SET since = since + 1")
                assert database(here).with_name(f"{DATABASE}-wal").exists()
                assert look("status").status == 0
        state.chmod(0o700 if user else 0)
        said = look("status")
        assert said.status == 2 and "could not read" in said.err, said
        state.chmod(0o755)


@pytest.mark.fault
@pytest.mark.parametrize("home", [[], ["HOME="]], ids=["no HOME", "an empty HOME"])
def test_a_service_has_no_home(tmp_path: Path, home: list[str]) -> None:
    """Coccinelle fails without one: the source was said to be in an unknown shape."""
    tree = Path(__file__).parents[1] / "golden/fixes/v4.20-fixed/in"
    program = cli.python(None, tmp_path / "cache")
    words = [word for word in program if not word.startswith("HOME=")]
    at = words.index("-i") + 1
    argv = [*words[:at], *home, *words[at:], "-m", "pipeline", "diagnose", "--tree", str(tree)]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [p.name for p in tmp_path.iterdir() if p.name != "cache"] == []
