# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A night on Buildbot: a real master and two real workers, of which one is killed in a build.

What `respin init buildbot` writes is used as it is. The night has the small package in three
releases for two architectures; its packages are made up (tests/support/worker.py). The repository
and the state have to be those of the same night by `respin nightly` alone.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner
from support import published, threereleases
from support.threereleases import Three

from pipeline.cli.init import init

pytestmark = [pytest.mark.e2e, pytest.mark.needs("aptly")]

BIN = Path(sys.executable).parent
WORKERS = {"one": "amd64", "two": "arm64"}
SUCCESS, FAILURE, RETRY = 0, 2, 5  # buildbot.process.results
PATIENCE = 240.0
SOON = 25
"""Seconds in which a master has started, also beside other tests."""
T = TypeVar("T")


@dataclass(kw_only=True)
class Farm:
    """A master, its workers, and what the master has recorded."""

    directory: Path
    environment: Mapping[str, str]
    port: int
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def master(self) -> Path:
        """The master's directory."""
        return self.directory / "master"

    def call(self, program: str, *args: str | Path) -> None:
        """Run one of Buildbot's programs to its end."""
        subprocess.run([BIN / program, *args], check=True, capture_output=True)

    def start(self, name: str, program: str, **more: str) -> None:
        """Start the master, or a worker, in its directory."""
        with (self.directory / f"{name}.out").open("wb") as out:
            self.running[name] = subprocess.Popen(
                [BIN / program, "start", "--nodaemon", "."],
                cwd=self.directory / name,
                env={**self.environment, **more},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def end(self) -> None:
        """Kill what still runs, each by its process id."""
        for process in self.running.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=60)

    def rows(self, sql: str) -> list[Any]:
        """Ask the master's database."""
        with closing(sqlite3.connect(self.master / "state.sqlite", timeout=60)) as db:
            return db.execute(sql).fetchall()

    def builds(self) -> list[tuple[str, str, int | None]]:
        """Return the builder, the worker and the result of each build."""
        return self.rows(
            "SELECT b.name, w.name, u.results FROM builds u JOIN builders b ON b.id = u.builderid"
            " JOIN workers w ON w.id = u.workerid ORDER BY u.id"
        )

    def night(self) -> int | None:
        """Return the result of the night, once it has ended."""
        results = [result for name, _, result in self.builds() if name == "nightly"]
        return results[0] if results else None

    def wait(self, what: Callable[[], T | None]) -> T:
        """Wait until something is there; return it."""
        until = time.monotonic() + PATIENCE
        while (found := what()) is None:
            for name, process in self.running.items():
                gone = process.poll() is not None and process.returncode != -signal.SIGKILL
                assert not gone, (self.directory / f"{name}.out").read_text()[-3000:]
            assert time.monotonic() < until, self.rows("SELECT * FROM steps")
            time.sleep(0.5)
        return found


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def farm(directory: Path, three: Three, configuration: Path) -> Iterator[Farm]:
    """Yield a master that plays a night soon, with workers that have not been started."""
    made = Farm(directory=directory, environment=three.environment, port=free_port())
    directory.mkdir()
    made.call("buildbot", "create-master", made.master)
    at = time.strftime("%H:%M", time.localtime(time.time() + SOON + 60))
    words = ["buildbot", *(f"--worker={n}={a}" for n, a in WORKERS.items())]
    words += ["--config", str(configuration), "--program", str(three.program), "--at", at]
    words += ["--listen", f"tcp:{made.port}:interface=127.0.0.1", "--out", str(made.master)]
    done = CliRunner().invoke(init, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    secrets = made.master / "secrets"
    secrets.mkdir(mode=0o700)
    for name in WORKERS:
        (secrets / f"worker-{name}").touch(mode=0o600)
        (secrets / f"worker-{name}").write_text(f"word-of-{name}\n")
        address = f"127.0.0.1:{made.port}"
        made.call(
            *("buildbot-worker", "create-worker", directory / name, address, name),
            f"word-of-{name}",
        )
    try:
        made.start("master", "buildbot")
        yield made
    finally:
        made.end()


def stalled(path: Path) -> int | None:
    """Return the process id of the run that waits to be killed."""
    with suppress(FileNotFoundError, ValueError):
        return int(path.read_text())
    return None


def parent(pid: int) -> int:
    """Return the process id of a process's parent (proc(5))."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_night_whose_worker_is_killed(tmp_path: Path) -> None:
    with threereleases.begin(tmp_path) as three:
        # The workers' key is another one than the master's, which trusts it.
        workers = three.configure(tmp_path / "workers")
        trust = f'\n[trust]\nkeys = ["{threereleases.key(three, workers)}"]\n'
        master = three.configure(tmp_path / "here", more=trust)
        alone = three.configure(tmp_path / "alone", more=trust)
        threereleases.key(three, master)
        threereleases.same_key(master, alone)
        stalls = tmp_path / "stalls"
        stalls.touch()
        with farm(tmp_path / "farm", three, master) as made:
            more = {"RESPIN_CONFIG": str(workers), "RESPIN_TEST_STALLS": str(stalls)}
            for name in WORKERS:
                made.start(name, "buildbot-worker", **more)
            three.respin(alone, "nightly")  # while the master waits for its time
            pid = made.wait(lambda: stalled(tmp_path / "stalls.pid"))
            (killed,) = (n for n in WORKERS if made.running[n].pid == parent(pid))
            made.running[killed].kill()
            os.kill(pid, signal.SIGKILL)
            assert made.wait(made.night) == SUCCESS, made.rows("SELECT name, results FROM steps")
            check_builds(made, killed)
            (steps,) = made.rows("SELECT urls_json FROM steps WHERE name = 'collect'")
            assert json.loads(steps[0]) == [
                {"name": "status page", "url": "http://apt.example.org/respin/index.html"}
            ]
            assert list((made.master / "incoming").iterdir()) == []
            logs = [made.master / "twistd.log", made.master / "state.sqlite"]
            logs += [made.directory / f"{name}.out" for name in made.running]
            assert not any(b"word-of-" in path.read_bytes() for path in logs)
        found, wanted = threereleases.ended(master), threereleases.ended(alone)
        assert len(wanted["runs"]) == 6  # type: ignore[arg-type]
        assert found == wanted
        # Each run is signed by who made it.
        public = master.parent / "state/public"
        made_by = {
            json.loads(what)[0][0]
            for path, what in published.files(public, threereleases.VERSIONS).items()
            if threereleases.signers(path)
        }
        assert made_by == {fingerprint(workers)}


def fingerprint(configuration: Path) -> str:
    """Return the fingerprint of the key in the state of a configuration."""
    words = ("gpg", "--with-colons", "--show-keys", str(configuration.with_name("key.asc")))
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return next(line.split(":")[9] for line in done.stdout.splitlines() if line.startswith("fpr:"))


def check_builds(made: Farm, killed: str) -> None:
    """Hold that the build of the lost worker was made again by the other, and each other once."""
    builds = [each for each in made.builds() if each[0] != "nightly"]
    assert [each for each in builds if each[2] == RETRY] == [
        each for each in builds if each[1] == killed and each[2] != SUCCESS
    ]
    (lost,) = (each for each in builds if each[2] == RETRY)
    good = [each for each in builds if each[2] == SUCCESS]
    assert len(good) == 6 and len(builds) == 7
    assert [each for each in good if each[0] == lost[0]]
    # Each had a worker of its own architecture, until that was lost.
    for name, worker, _ in good:
        architecture = name.split()[-1]
        assert worker != killed or WORKERS[worker] == architecture
