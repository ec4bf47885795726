# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Scratch directories of the cache: whose process was killed, and whose is at work."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import cli

from pipeline.host.cache import Cache
from pipeline.isolation.scratch import scratch, sweep
from pipeline.runs.directory import open_run

AT_WORK = """
import sys
from pathlib import Path
from pipeline.host.cache import Cache
from pipeline.isolation.scratch import scratch

with scratch(Cache(Path(sys.argv[1])), "test") as directory:
    (directory / "file").write_text("x")
    print(directory, flush=True)
    sys.stdin.read()
"""
MANY = """
import sys, tempfile, time
from pathlib import Path
from pipeline.host.cache import Cache
from pipeline.isolation.scratch import scratch, sweep

def slow(*, make=tempfile.mkstemp, **options):
    made = make(**options)
    time.sleep(0.005)
    return made

tempfile.mkstemp = slow
cache = Cache(Path(sys.argv[1]))
for _ in range(40):
    with scratch(cache, "test") as directory:
        sweep(cache)
        (directory / "file").write_text("x")
        sweep(cache)
        assert (directory / "file").read_text() == "x"
        assert directory.with_name(f"{directory.name}.lock").exists()
"""


def python(script: str, cache: Cache) -> subprocess.Popen[str]:
    argv = [sys.executable, "-W", "error", "-c", script, str(cache.root)]
    return subprocess.Popen(
        argv, cwd=cli.CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@contextmanager
def at_work(cache: Cache) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Yield a process that works in a scratch directory, and the directory."""
    with python(AT_WORK, cache) as process:
        assert process.stdout
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def left(cache: Cache) -> list[str]:
    return sorted(path.name for path in cache.directory("work").iterdir())


def test_a_directory_ends_with_its_block(cache: Cache) -> None:
    with pytest.raises(ZeroDivisionError), scratch(cache, "test") as directory:
        assert directory.stat().st_mode & 0o777 == 0o700
        (directory / "file").write_text("x")
        raise ZeroDivisionError
    assert left(cache) == []


def test_a_killed_process_s_directory_is_swept_and_a_living_one_s_is_not(cache: Cache) -> None:
    with at_work(cache) as (dead, gone), at_work(cache) as (alive, there):
        sweep(cache)
        assert (gone / "file").exists() and (there / "file").exists()
        dead.send_signal(signal.SIGKILL)
        dead.wait()
        assert (gone / "file").exists()
        sweep(cache)
        assert not gone.exists() and (there / "file").exists()
        alive.communicate("")
    assert left(cache) == []


def test_runs_that_begin_and_sweep_at_once(cache: Cache) -> None:
    processes = [python(MANY, cache) for _ in range(4)]
    assert [process.communicate() and process.returncode for process in processes] == [0] * 4
    assert left(cache) == []


def test_what_is_nobody_s_directory_is_left_alone(cache: Cache) -> None:
    (cache.directory("work") / "mine").mkdir()
    sweep(cache)
    assert left(cache) == ["mine"]


def test_gpgv_leaves_nothing_when_all_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files that it reads lie on no disk: neither here nor where it runs."""
    temporary, keyring = tmp_path / "tmp", tmp_path / "keyring"
    temporary.mkdir()
    keyring.write_bytes(b"")
    monkeypatch.setenv("TMPDIR", str(temporary))
    script = (
        "import os; from pathlib import Path\n"
        "from pipeline.host import command; from pipeline.archives import openpgp\n"
        "from pipeline.isolation import namespaces; namespaces.possible()\n"
        "command.run = lambda *argv, **options: os.kill(os.getpid(), 9)\n"
        f"openpgp.check(b'data', Path({str(keyring)!r}))"
    )
    killed = subprocess.run([sys.executable, "-c", script], cwd=cli.CHECKOUT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list(temporary.iterdir()) == []


RUN = """
import os, signal, sys
from pathlib import Path
from pipeline.host.cache import Cache
from pipeline.runs.directory import open_run

with open_run(Path(sys.argv[1]), Cache(Path(sys.argv[2]))) as run:
    (run.path / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_left_beside_its_place_goes_with_the_next(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    out = tmp_path / "place" / "o[u]t"
    subprocess.run([sys.executable, "-c", RUN, out, cache.root], check=False)
    (left,) = out.parent.iterdir()
    assert (left / "half").exists()
    with open_run(out, cache):
        assert not left.exists()
    assert [p.name for p in out.parent.iterdir()] == ["o[u]t"]
