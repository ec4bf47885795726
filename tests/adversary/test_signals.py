# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A user or a service manager ends a run at the worst moment, and then once more.

What respin then says is true: nothing is left, or it names what is left, or the run had ended and
is complete. The second signal never interrupts the cleaning up that the first one began.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import cli, packages
from support.archive import Archive, Signer

from pipeline.host import leftovers, temporary
from pipeline.host.cache import Cache
from pipeline.runs.directory import OLD, REPORT, open_run

SCRIPT = Path(cli.__file__).with_name("signalled.py")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NOTHING = "respin: interrupted; nothing was left behind\n"
OURS = '{"tool": "iproute2-respin"}'

Play = Callable[[int, signal.Signals, int, signal.Signals], dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def _signals_as_in_a_terminal() -> Iterator[None]:
    """Let no program here inherit that a signal is ignored: `make test &` and nohup have it so."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is signal.SIG_IGN:
            usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, usual)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@contextmanager
def player(directory: Path, *more: str) -> Iterator[Play]:
    """Yield what plays the work of tests/support/signalled.py with two signals."""
    (directory / "tmp").mkdir()
    path = ":".join(filter(None, [str(SCRIPT.parents[1]), *sys.path]))
    with subprocess.Popen(
        [sys.executable, SCRIPT, directory, *more],
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(directory / "tmp")},
        cwd=cli.CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin and process.stdout

        def play(first: int, one: signal.Signals, later: int, two: signal.Signals) -> Any:
            assert process.stdin and process.stdout
            print(first, int(one), later, int(two), file=process.stdin, flush=True)
            return json.loads(process.stdout.readline())

        yield play
        process.stdin.close()


def count_of(play: Play, directory: Path) -> int:
    """Play it without a signal; return how many moments it has, with a cache that is warm."""
    for _ in range(2):
        shutil.rmtree(directory / "place", ignore_errors=True)
        whole = play(0, signal.SIGINT, 0, signal.SIGINT)
        assert (whole["status"], whole["said"]) == (0, "")
    shutil.rmtree(directory / "place")
    assert int(whole["moments"]) > 40
    return int(whole["moments"])


@pytest.mark.fault
def test_two_signals_at_any_moment(tmp_path: Path, count: Callable[[str, int], None]) -> None:
    chance = random.Random("two signals")
    with player(tmp_path) as play:
        moments = count_of(play, tmp_path)
        endings = set()
        for first in range(1, moments + 1):
            one, two = chance.choice(SIGNALS), chance.choice(SIGNALS)
            later = chance.choice((0, 1, 1, 2, 3, 5, 8))
            done = play(first, one, later, two)
            where = f"{one.name} at {first}, {two.name} {later} later: {done}"
            assert done["status"] == 128 + one, where
            said = re.sub(r"respin: stopping and cleaning up; .*\n", "", done["said"])
            endings.add(said.split(";")[0].split(",")[0])
            if said != NOTHING:
                assert "The run had finished: it is complete" in said, where
                assert (tmp_path / "place/deep/out/file").exists(), where
                shutil.rmtree(tmp_path / "place")
            assert not (tmp_path / "place").exists(), where
            assert list((tmp_path / "tmp").iterdir()) == [], where
            assert list((tmp_path / "cache/work").iterdir()) == [], where
    assert len(endings) == 2  # both kinds were seen
    count("fault", moments)


@pytest.mark.fault
def test_what_is_kept_is_named(tmp_path: Path) -> None:
    """With --keep, the unfinished directory is there, and the message says where."""
    with player(tmp_path, "keep") as play:
        moments = count_of(play, tmp_path)
        for first in range(moments // 3, moments, 3):
            shutil.rmtree(tmp_path / "place", ignore_errors=True)
            done = play(first, signal.SIGINT, 1, signal.SIGINT)
            parts = list((tmp_path / "place/deep").glob("*")) if "/" in done["said"] else []
            assert done["status"] == 130
            named = re.findall(r"is kept in (\S+)|it is complete, in (\S+)", done["said"])
            assert [str(part) for part in parts] == ["".join(pair) for pair in named], done
            assert ("nothing was left behind" in done["said"]) == (not named), done


@contextmanager
def killing(process: subprocess.Popen[str]) -> Iterator[None]:
    """Let a process not outlive the block."""
    try:
        yield
    finally:
        process.kill()


STUBBORN = """
import sys
from pathlib import Path
from pipeline.cli import ending
from pipeline.host import command, deadlines
from pipeline.host.cache import Cache
from pipeline.runs.directory import open_run

deadlines.GRACE = 1.0

def work():
    with open_run(Path("out"), Cache(Path("cache"))):
        command.run(["sh", "-c", "trap '' TERM; touch begun; while :; do sleep 0.1; done"])

ending.run(work)
"""


@pytest.mark.fault
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_second_one_while_a_command_will_not_end(tmp_path: Path, number: signal.Signals) -> None:
    """It is answered with a sentence; the clean-up comes to its end."""
    with (
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", STUBBORN],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(cli.CHECKOUT)},
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
        killing(process),
    ):
        deadline = time.monotonic() + 60
        while not (tmp_path / "begun").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for _ in range(3):
            process.send_signal(number)
            time.sleep(0.2)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert said.count("respin: stopping and cleaning up") == 2
    assert said.endswith(NOTHING)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["begun", "cache"]


UNREMOVABLE = """
from pathlib import Path
from pipeline.cli import ending
from pipeline.host import leftovers

def work():
    def remove(path):
        raise OSError("no")
    with leftovers.directory(Path.cwd(), "stubborn-", remove):
        raise KeyboardInterrupt

ending.run(work)
"""


@pytest.mark.fault
def test_what_cannot_be_removed_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", UNREMOVABLE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(cli.CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    (left,) = tmp_path.iterdir()
    assert done.returncode == 130
    assert done.stderr == (
        f"respin: interrupted\n  respin could not remove {left}; you can delete it\n"
    )


# -- the real process ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    directory = tmp_path_factory.mktemp("archive")
    with Signer("distro") as signer, Archive(directory, signer) as serving:
        tree = cli.CHECKOUT / "tests/golden/fixes/v4.10-three-functions/in"
        files = {str(p.relative_to(tree)): p.read_text() for p in tree.rglob("*.[ch]")}
        serving.add_source(packages.make_source(directory / "source", files=files))
        serving.publish()
        yield serving


AT = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
"""
"""A Python in which a Ctrl-C comes when a module is about to be imported."""


@pytest.mark.fault
@pytest.mark.parametrize("program", [["-m", "pipeline"], [str(cli.CHECKOUT / "respin")]])
@pytest.mark.parametrize("name", ["pipeline.cli", "click", "pipeline.model", "pipeline.cli.state"])
def test_a_signal_while_respin_is_being_imported(
    program: list[str], name: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(AT.format(name=name))
    path = os.pathsep.join([str(tmp_path), str(cli.CHECKOUT)])
    done = subprocess.run(
        [sys.executable, *program, "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", NOTHING)


@pytest.mark.fault
@pytest.mark.parametrize(
    ("after", "pause"),
    [("fetch: took", 0.0), ("diagnose: took", 0.0), ("diagnose: took", 0.2), ("patch: took", 0.0)],
)
def test_two_signals_to_a_real_run(
    archive: Archive, tmp_path: Path, after: str, pause: float
) -> None:
    place, tmp = tmp_path / "place", tmp_path / "tmp"
    for directory in (place, tmp):
        directory.mkdir()
    argv = ["patch", "--release", "bookworm", "--mirror", archive.url]
    argv += ["--keyring", str(archive.keyring)]
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline", *argv, "-v", "--out", place / "out"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(cli.CHECKOUT),
            "TMPDIR": str(tmp),
            "RESPIN_CACHE": str(tmp_path / "cache"),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr
        with killing(process):
            for line in process.stderr:
                if line.startswith(after):
                    break
            time.sleep(pause)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
                os.killpg(process.pid, number)
                time.sleep(0.05)
            _, said = process.communicate(timeout=60)
    assert "Traceback" not in said
    assert process.returncode == 130, said
    if "it is complete" not in said:
        assert NOTHING in said
        assert list(place.iterdir()) == []
    assert list(tmp.iterdir()) == []
    assert list((tmp_path / "cache/work").iterdir()) == []


# -- killed: the next run ------------------------------------------------------------------


@pytest.mark.fault
def test_killed_between_two_names_the_older_run_comes_back(tmp_path: Path) -> None:
    """A run replaces an older one by two renames; between them there is none."""
    cache, out = Cache(tmp_path / "cache"), tmp_path / "place/out"
    aside = out.parent / ".out.old.abcd1234"
    (aside / OLD).mkdir(parents=True)
    (aside / OLD / REPORT).write_text(OURS)
    with pytest.raises(ZeroDivisionError), open_run(out, cache):
        _ = 1 / 0
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert (out / REPORT).read_text() == OURS


@pytest.mark.fault
def test_killed_before_a_directory_was_marked_it_goes_with_a_later_run(tmp_path: Path) -> None:
    cache, out = Cache(tmp_path / "cache"), tmp_path / "out"
    old, young = tmp_path / ".out.abcd1234", tmp_path / ".out.abcd1235"
    other = tmp_path / ".out.mine"
    for directory in (old, young, other):
        directory.mkdir()
    for directory in (old, other):
        os.utime(directory, (0, 0))
    with pytest.raises(ZeroDivisionError), open_run(out, cache):
        _ = 1 / 0
    assert sorted(tmp_path.glob(".out.*")) == [young, other]


@pytest.mark.fault
def test_killed_with_temporary_files_they_go_with_a_later_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with temporary.own():
        (mine,) = tmp_path.iterdir()
        old, young = (tmp_path / f"respin-{os.geteuid()}-{name}" for name in ("old", "young"))
        for directory in (old, young):
            directory.mkdir()
            (directory / "file").write_text("x")
        for directory in (old, mine):
            os.utime(directory, (0, 0))
        temporary.sweep()
        assert sorted(tmp_path.iterdir()) == sorted([mine, young])
    assert list(tmp_path.iterdir()) == [young]
    assert leftovers.clear_all() == ()
