# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Somebody waits in the current directory for a tc that runs without being installed (--unpacked).

Its path may contain what the loader of libraries takes apart, and its package was perhaps built by
whoever wrote the source.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support import cli

from pipeline.errors import UsageError
from pipeline.files import elf
from pipeline.host.resources import render
from pipeline.runs import unpacked

ODD = ("tc-22:28", "a;b", "$ORIGIN", "x$LIB")


def made(directory: Path) -> Path:
    """Return the file that starts tc, with a loader that says what it was given."""
    (directory / "lib").mkdir(parents=True)
    loader, tc = directory / "lib/ld.so", directory / "tc"
    loader.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    tc.write_text(
        render("unpacked/wrapper.sh.j2", loader="ld.so", program="package/tc", plugins="")
    )
    for path in (loader, tc):
        path.chmod(0o755)
    return tc


@pytest.mark.attack
@pytest.mark.parametrize("name", ODD)
def test_a_path_that_the_loader_takes_apart(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="contains : ; or"):
        unpacked.check(tmp_path / name / "new")
    plain = made(tmp_path / "plain")
    done = subprocess.run([plain, "-V"], capture_output=True, text=True, check=True)
    assert f"--library-path\n{tmp_path}/plain/lib\n" in done.stdout
    (tmp_path / "plain").rename(tmp_path / name)
    done = subprocess.run(
        [tmp_path / name / "tc", "-V"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "its path must not contain" in done.stderr


@pytest.mark.attack
def test_a_program_that_needs_too_many_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "needs"
    argv: list[str | Path] = [
        "gcc",
        "-shared",
        "-nostdlib",
        "-o",
        program,
        "-Wl,--no-as-needed",
        "-lc",
        "-lm",
    ]
    subprocess.run(argv, check=True)
    assert len(elf.Elf(program.read_bytes()).needed) == 2
    monkeypatch.setattr(elf, "LIBRARIES", 1)
    with pytest.raises(elf.Broken, match="needs more than 1 libraries"):
        _ = elf.Elf(program.read_bytes()).needed
    monkeypatch.setattr(elf, "LIBRARIES", 2)
    monkeypatch.setattr(elf, "NAME", 4)
    with pytest.raises(elf.Broken, match="longer name"):
        _ = elf.Elf(program.read_bytes()).needed


@pytest.mark.bad_input
def test_the_command_refuses_it_before_anything_else(tmp_path: Path) -> None:
    words = ("run", "--release", "bookworm", "--unpacked", tmp_path / "a:b")
    said = cli.respin(*words, "--out", tmp_path / "out", cache=tmp_path / "cache")
    assert said.status == 2 and "takes apart" in " ".join(said.err.split())
