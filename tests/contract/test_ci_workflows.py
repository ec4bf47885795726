# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The workflows that `respin init` writes, held against the CIs' published schemas.

check-jsonschema ships these schemas, so no network is needed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from pipeline.cli import ci_workflow
from pipeline.cli.init import init
from pipeline.errors import UsageError
from pipeline.releases import releases

URL = "https://git.example.org/tools/iproute2-respin.git"
REF = "3f786850e387550fdab836ed7e6dc881de23001b"
SCHEMAS = {"github": "vendor.github-workflows", "gitlab": "vendor.gitlab-ci"}
ALL = pytest.mark.parametrize("ci", SCHEMAS)


def write(ci: str, out: Path, *more: str) -> Path:
    done = CliRunner().invoke(
        init,
        [ci, "--repository", URL, "--ref", REF, "--out", str(out), *more],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    assert Path(done.stdout.strip()) == out / ci_workflow.PATHS[ci]
    return out / ci_workflow.PATHS[ci]


def valid(ci: str, path: Path) -> bool:
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMAS[ci], str(path)]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def releases_of(ci: str, path: Path) -> list[tuple[str, str]]:
    values = YAML(typ="safe").load(path.read_text())
    if ci == "github":
        rows = values["jobs"]["deb"]["strategy"]["matrix"]["include"]
        return [(row["distro"], row["release"]) for row in rows]
    return [(r["DISTRO"], r["RELEASE"]) for r in values["iproute2"]["parallel"]["matrix"]]


@ALL
def test_is_valid_under_the_published_schema(ci: str, tmp_path: Path) -> None:
    path = write(ci, tmp_path)
    assert valid(ci, path)
    key = "runs-on" if ci == "github" else "script"
    path.write_text(path.read_text().replace(f"{key}:", f"{key}-not:"))
    assert not valid(ci, path), "the schema refuses nothing"


@ALL
def test_builds_what_is_supported_and_affected_or_what_was_named(ci: str, tmp_path: Path) -> None:
    usual = releases_of(ci, write(ci, tmp_path / "usual"))
    assert ("debian", "trixie") in usual and ("ubuntu", "noble") in usual
    assert not {"sid", "bullseye", "jammy", "bionic"} & {codename for _, codename in usual}
    named = write(ci, tmp_path / "named", "--release", "bionic", "--release", "12")
    assert releases_of(ci, named) == [("ubuntu", "bionic"), ("debian", "bookworm")]


@ALL
def test_writes_over_nothing_but_itself(ci: str, tmp_path: Path) -> None:
    path = write(ci, tmp_path)
    assert write(ci, tmp_path) == path
    with pytest.raises(UsageError, match="already exists"):
        write(ci, tmp_path, "--release", "bionic")


@ALL
@pytest.mark.parametrize("bad", ["$(reboot)", "https://x/y z", "../x", "https://x/`id`", ""])
def test_nothing_that_a_shell_would_run_gets_in(ci: str, bad: str) -> None:
    with pytest.raises(UsageError):
        ci_workflow.workflow(ci, bad, "main", [releases.find("bookworm")])
    with pytest.raises(UsageError):
        ci_workflow.workflow(ci, URL, bad or "a b", [releases.find("bookworm")])
