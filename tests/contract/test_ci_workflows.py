# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The workflows that `respin init` writes, held against the CIs' published schemas.

check-jsonschema ships these schemas, so no network is needed. test_ci_night.py runs them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from support import engines

from pipeline.cli.init import init
from pipeline.errors import UsageError

SCHEMAS = {"github": "vendor.github-workflows", "gitlab": "vendor.gitlab-ci"}
ALL = pytest.mark.parametrize("ci", SCHEMAS)


def write(ci: str, out: Path, *more: str) -> list[Path]:
    """Let `respin init` write the files of a CI; return those in YAML."""
    words = [ci, "--repository", engines.USUAL["repository"], "--ref", engines.USUAL["ref"]]
    words += ["--image", engines.USUAL["image"]] if ci == "gitlab" else []
    done = CliRunner().invoke(init, [*words, "--out", str(out), *more], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    written = [Path(line) for line in done.stdout.splitlines()]
    assert out / "night.sh" in written
    return [path for path in written if path.suffix == ".yml"]


def valid(ci: str, path: Path) -> bool:
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMAS[ci], str(path)]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


@ALL
def test_is_valid_under_the_published_schema(ci: str, tmp_path: Path) -> None:
    options = ["--rsync-to", "www@apt.example.org:/srv/apt", "--s3-bucket", "apt"]
    for more in ([], options):
        for path in write(ci, tmp_path / str(len(more)), *more):
            assert valid(ci, path)
            key = "runs-on" if ci == "github" else "script" if "script:" in path.read_text() else ""
            path.write_text(path.read_text().replace(f"{key}:", f"{key}-not:"))
            assert not valid(ci, path), "the schema refuses nothing"


@ALL
def test_writes_over_nothing_but_itself(ci: str, tmp_path: Path) -> None:
    paths = write(ci, tmp_path)
    assert write(ci, tmp_path) == paths
    with pytest.raises(UsageError, match="already exists"):
        write(ci, tmp_path, "--s3-bucket", "other")


@ALL
@pytest.mark.parametrize("bad", ["$(reboot)", "https://x/y z", "../x", "https://x/`id`", ""])
def test_nothing_that_a_shell_would_run_gets_in(ci: str, bad: str) -> None:
    with pytest.raises(UsageError):
        engines.written(ci, repository=bad)
    with pytest.raises(UsageError):
        engines.written(ci, ref=bad or "a b")
