# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is written for Kubernetes and for Buildbot, apart from a night of theirs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from support import engines
from support.engines import Master

from pipeline.cli import engines as known
from pipeline.errors import UsageError
from pipeline.host.resources import project_data

TOP = project_data("templates", "engines")
ODD = 'it\'s $(id) `id` %s; \\ "x"'


def plan(path: Path, count: int = 2, **changes: Any) -> str:
    """Write a plan; return its path."""
    run = {
        **{"release": "bookworm", "version": "6.1.0-3", "architecture": "amd64", "reason": "x"},
        **{"dsc_sha256": "0" * 64, "minutes": 8, "disk_mb": 4000},
        "command": ["respin", "run", "--release", "bookworm", ODD],
        **changes,
    }
    runs = [{"name": f"bookworm-amd64-{n}", **run} for n in range(count)]
    path.write_text(json.dumps({"schema": 1, "made": "2026-01-02T03:04:05Z", "runs": runs}))
    return str(path)


def test_an_engine_is_a_directory() -> None:
    """Each file of templates/engines belongs to one, and no code names one."""
    used = {f"{engine.name}/engine.toml" for engine in known.engines()}
    used |= {text for engine in known.engines() for text in engine.files.values()}
    assert used == {str(p.relative_to(TOP)) for p in TOP.rglob("*") if p.is_file()}
    code = "".join(p.read_text() for p in Path(known.__file__).parent.glob("*.py"))
    assert not [name for name in engines.NAMES if f'"{name}"' in code]
    page = (project_data("templates").resolve().parent / "docs/scale.md").read_text()
    assert all(f"`{name}" in page or f"init {name}" in page for name in engines.NAMES)


def job(tmp_path: Path, **more: Any) -> list[Any]:
    """Return the documents that are printed with a plan."""
    chosen = {"plan": plan(tmp_path / "plan.json"), **more}
    return list(yaml.safe_load_all(engines.written("kubernetes", **chosen)["-"]))


def test_an_indexed_job_of_a_plan(tmp_path: Path) -> None:
    words, runs, volume = found = job(tmp_path, sign_with="A" * 40, parallel="3")
    for each in found:
        kubernetes_validate.validate(each, "1.28", strict=True)
    spec = runs["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 2, 3)
    (claim,) = (v for v in spec["template"]["spec"]["volumes"] if "persistentVolumeClaim" in v)
    assert claim["persistentVolumeClaim"]["claimName"] == volume["metadata"]["name"]
    assert words["data"].keys() == {"0", "1"}
    spec["completionMode"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(runs, "1.28", strict=True)


def test_a_pod_runs_the_words_of_its_entry(tmp_path: Path) -> None:
    """The line of a shell in it, with the variables that the cluster sets."""
    *_, words, runs, _ = job(tmp_path, sign_with="A" * 40)
    (container,) = runs["spec"]["template"]["spec"]["containers"]
    (tmp_path / "plan").mkdir()
    for name, text in words["data"].items():
        (tmp_path / "plan" / name).write_text(text)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/respin"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        container["command"],
        env={
            **{"PATH": f"{program.parent}:{os.environ['PATH']}", "ENTRY": "1"},
            **{"PLAN": str(tmp_path / "plan"), "KEY": str(tmp_path / "none")},
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        *("run", "--release", "bookworm", ODD, "--out", "/var/lib/respin-runs/bookworm-amd64-1"),
        *("--sign-with", "A" * 40),
    ]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"schema": 2, "made": "2026-01-02T03:04:05Z", "runs": []}'],
)
def test_what_is_no_plan(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(UsageError, match="is not a plan"):
        engines.written("kubernetes", plan=str(tmp_path / "plan.json"))


@pytest.mark.parametrize(
    ("worker", "said"),
    [
        (("fast=amd",), "not a worker and an architecture that respin knows"),
        (("fast=amd64", "fast=arm64"), "names 'fast' twice"),
    ],
)
def test_workers_that_cannot_be(worker: tuple[str, ...], said: str) -> None:
    assert engines.written("buildbot", worker=("fast=amd64", "arm=arm64"))
    with pytest.raises(UsageError, match=said):
        engines.written("buildbot", worker=worker)


def test_a_plan_that_is_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        engines.written("kubernetes", plan=str(tmp_path / "none"))
    with pytest.raises(UsageError, match="has no run"):
        engines.written("kubernetes", plan=plan(tmp_path / "plan.json", 0))


@pytest.mark.needs("shellcheck")
@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_the_script_of_the_jobs_is_sound(ci: str, tmp_path: Path) -> None:
    script = tmp_path / "night.sh"
    script.write_text(engines.written(ci)["night.sh"])
    done = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


CHOOSE = """
from types import SimpleNamespace as N
one, two = (N(worker=N(workername=name)) for name in ("one", "two"))
choose = values["native_first"]("arm64")
for there, ready in (((one, two), (one, two)), ((one, two), (one,)), ((one,), (one,)), ((), ())):
    found = choose(N(workers=list(there)), list(ready), None)
    print(found and found.worker.workername)
"""


def test_a_worker_of_the_architecture_comes_first(tmp_path: Path) -> None:
    """One that is connected is waited for; without one, any other makes a cross build."""
    assert Master(tmp_path).call(CHOOSE).split() == ["two", "None", "one", "None"]


def test_the_master_accepts_its_configuration(tmp_path: Path) -> None:
    Master(tmp_path)
    argv = [str(Path(sys.executable).with_name("buildbot")), "checkconfig", "master.cfg"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (tmp_path / "workers.toml").write_text('[one]\nmachine = "amd64"\n')
    assert subprocess.run(argv, cwd=tmp_path, capture_output=True, check=False).returncode != 0
