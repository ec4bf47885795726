# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A build, a container or a user sends data without end, so that respin runs out of memory.

Each case is measured in a separate process: how far its memory rises above that at its start.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from support import real

from pipeline.build import build
from pipeline.containers import base
from pipeline.errors import BuildError
from pipeline.host import outputs
from pipeline.host.cache import Cache
from pipeline.host.progress import QUIET
from pipeline.isolation.allowance import Allowance

MOST = 50e6
"""Bytes of memory that a process may have taken more at its end than at its start."""

MEASURED = """
import json, re, sys
from pathlib import Path
from pipeline.host import command, outputs
from pipeline.errors import BuildError, RespinError

def peak(reset=False):
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

before = peak(reset=True)
said = ""
try:
    exec(sys.argv[1])
except RespinError as e:
    said = f"{type(e).__name__}: {e.brief}: {e.details[:300]}"
print(json.dumps([peak() - before, said]))
"""
WRITING = "yes 'gcc -O2 -g -fstack-protector-strong -c -o main.o main.c' | head -c {}"


def measured(script: str, *, cwd: Path) -> tuple[int, str]:
    """Run a script; return the bytes that it took at most, and the error that it ended with."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, script],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    taken, said = json.loads(done.stdout.splitlines()[-1])
    return taken, said


@pytest.mark.attack
@pytest.mark.parametrize("status", [0, 1])
def test_a_build_that_writes_100_mb(tmp_path: Path, status: int) -> None:
    line = f"{WRITING.format(100_000_000)}; exit {status}"
    taken, said = measured(
        f"command.run(['sh', '-c', {line!r}], log=Path('build.log'), error=BuildError)",
        cwd=tmp_path,
    )
    assert taken < MOST
    assert ("exit status 1" in said) == bool(status)
    # The log has all of it, and the command that wrote it.
    assert (tmp_path / "build.log").stat().st_size > 100_000_000


@pytest.mark.attack
def test_a_build_that_fills_its_log(tmp_path: Path) -> None:
    """The log ends at its bound, says so, and has the end of the rest; the build goes on."""
    line = f"echo begin; {WRITING.format(30_000_000)}; echo end"
    taken, said = measured(
        f"outputs.LOG = 10_000_000; command.run(['sh', '-c', {line!r}], log=Path('build.log'))",
        cwd=tmp_path,
    )
    assert (taken < MOST, said) == (True, "")
    log = (tmp_path / "build.log").read_bytes()
    assert 10_000_000 < len(log) < 10_000_000 + outputs.LOG_END + 1000
    assert b"\nbegin\n" in log[:1000] and log.endswith(b"end\n")
    assert b"[respin: the log is full; 18" in log


@pytest.mark.attack
@pytest.mark.parametrize("to", ["memory", "file"])
def test_an_output_without_an_end_is_ended_at_its_limit(tmp_path: Path, to: str) -> None:
    more = "stdout=open('taken', 'wb')," if to == "file" else ""
    taken, said = measured(
        f"command.run(['cat', '/dev/zero'], {more} limit=20_000_000, error=BuildError)",
        cwd=tmp_path,
    )
    assert taken < MOST
    assert said.startswith("BuildError: cat failed: ")
    assert "it wrote more than 20000000 bytes" in said
    if to == "file":
        assert (tmp_path / "taken").stat().st_size <= 20_000_000


@pytest.mark.attack
def test_an_output_that_nobody_bounded_is_not_believed_in_part(tmp_path: Path) -> None:
    """What is read must be whole: with a part of it, another thing would be read."""
    line = WRITING.format(20_000_000)
    taken, said = measured(
        f"command.run(['sh', '-c', {line!r}], error=BuildError).text", cwd=tmp_path
    )
    assert taken < MOST
    assert said.startswith("BuildError: sh printed too much: 20000000 bytes")


@pytest.mark.fault
def test_a_log_on_a_full_disk_ends_the_command(tmp_path: Path) -> None:
    """And does not leave it waiting for a reader: /dev/full is that disk."""
    taken, said = measured(
        "command.run(['cat', '/dev/zero'], stdout=open('/dev/full', 'wb', buffering=0),"
        " error=BuildError)",
        cwd=tmp_path,
    )
    assert taken < MOST
    assert said.startswith("BuildError: cat failed: the disk is full")


# -- out of a container --------------------------------------------------------------------


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


AFTER = """#!/usr/bin/make -f
%:
\tdh $@
override_dh_builddeb:
\tdh_builddeb
\t{}
"""


@pytest.mark.attack
@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("ln -sf /dev/zero /build/ccache.stats", "could not read ccache's statistics"),
        ("rm -f ../ccache.stats; mkfifo ../ccache.stats", "could not read ccache's statistics"),
        ("truncate -s 64M ../tiny_1.0_amd64.deb", "larger than respin accepts"),
    ],
    ids=["statistics-zero", "statistics-fifo", "sparse-deb"],
)
def test_a_build_that_leaves_what_has_no_end(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch, harm: str, said: str
) -> None:
    """What it did is done after the .deb is made and before the .changes lists it."""
    monkeypatch.setattr(build, "STATS_SECONDS", 2.0)
    monkeypatch.setattr(base, "Allowance", lambda: Allowance(taken=32 << 20))
    dsc = real.tiny(tmp_path / "source", **{"debian/rules": AFTER.format(harm)})
    root = real.root()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BuildError, match=said):
        build.build(
            root,
            dsc,
            "1.0",
            1420070400,
            tmp_path / "debs",
            cache=cache,
            log_dir=tmp_path / "logs",
            stage=QUIET,
        )
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST / 1024
    assert not (tmp_path / "debs").exists()
    assert list(cache.directory("work").iterdir()) == []
