# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A terminal of 80 columns: no line is wider, so the terminal breaks no hash and no path."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import termios
from pathlib import Path

import pytest
from support import cli
from support.filled import filled

from pipeline.nightly.state import RunRow, State, TargetState

COLUMNS = 80
HASH = "0123456789abcdef" * 4


def screen(*args: str | Path, config: Path, cache: Path) -> list[str]:
    """Return the lines that respin writes to a terminal, without the colours."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    with subprocess.Popen(
        [*cli.python(None, cache, config), "-m", "pipeline", *map(str, args)],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ):
        os.close(theirs)
        said = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # EIO: the last writer has closed it
                break
            said += piece
        os.close(ours)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.decode())
    return plain.replace("\r\n", "\n").rstrip("\n").split("\n")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a configuration whose state has a release that failed, and its run."""
    state = tmp_path / "state"
    failed = f"the build failed: {tmp_path}/runs/bookworm-security/000001/logs/build.log {HASH}"
    with State(state, create=True) as begun:
        begun.save_target(
            filled(
                TargetState,
                name="bookworm-security",
                distro="debian",
                codename="bookworm",
                architectures=("ppc64el",),
                version="6.1.0-3+deb12u1",
                dsc=HASH,
                pocket="security",
                since=1_700_000_000,
            )
        )
        run = begun.begin_run(
            filled(
                RunRow,
                target="bookworm-security",
                architecture="ppc64el",
                version="6.1.0-3+deb12u1",
                dsc=HASH,
                reason="new version",
                folder=tmp_path,
                started=1_700_000_000,
            )
        )
        begun.update_run(run.id, ended=1_700_000_100, outcome="failed", brief=failed, code=13)
    config = tmp_path / "respin.toml"
    config.write_text(f'[nightly]\nreleases = ["bookworm"]\nstate = "{state}"\n')
    return config


@pytest.mark.parametrize("command", ["doctor", "releases", "releases --all", "smoke --list"])
def test_lists(command: str, config: Path, tmp_path: Path) -> None:
    lines = screen(*command.split(), config=config, cache=tmp_path / "cache")
    wide = [line for line in lines if len(line) > COLUMNS and "apt-get" not in line]
    assert len(lines) > 10 and not wide


@pytest.mark.parametrize("command", ["status", "history"])
def test_state(command: str, config: Path, tmp_path: Path) -> None:
    lines = screen(command, config=config, cache=tmp_path / "cache")
    # The path of the log may be longer than a line; then it has one of its own.
    assert all(len(line) <= COLUMNS or len(line.split()) == 1 for line in lines)
    words = [word for line in lines for word in line.split()]
    assert "6.1.0-3+deb12u1" in words and HASH in words
    assert any(word.endswith("/logs/build.log") for word in words)
    assert any(re.fullmatch(r"2023-11-14T22:1[35]:\d\dZ", word) for word in words)


def test_a_path_in_an_error(config: Path, tmp_path: Path) -> None:
    tree = tmp_path / "a-directory-with-a-long-name" / HASH
    tree.mkdir(parents=True)
    lines = screen("diagnose", "--tree", tree, config=config, cache=tmp_path / "cache")
    assert str(tree) in {word for line in lines for word in line.split()}


def test_no_terminal_gets_whole_lines(config: Path, tmp_path: Path) -> None:
    """A program reads a table by lines, as before."""
    said = cli.respin("status", config=config, cache=tmp_path / "cache")
    head, row, *_ = said.out.splitlines()
    assert head.startswith("RELEASE") and row.split()[2] == "6.1.0-3+deb12u1"
