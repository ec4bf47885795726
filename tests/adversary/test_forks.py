# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The attacker opens a pull request at the repository whose CI plays the nights, or reads its logs.
The aim is to learn a key.

tests/contract/test_ci_night.py looks for the keys in what the jobs print and leave.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from ruamel.yaml import YAML
from support import engines

WORKFLOW = ".github/workflows/iproute2.yml"
SECRET = re.compile(r"\$\{\{ secrets\.(\w+) \}\}")


def load(text: str) -> Any:
    return YAML(typ="safe").load(text)


@pytest.mark.attack
def test_what_a_fork_changes_meets_no_secret_of_github() -> None:
    """No event of a pull request starts it, and each job and step has only what it needs."""
    text = engines.written("github", rsync_to="h:/x", s3_bucket="b")[WORKFLOW]
    values = load(text)
    assert set(values["on"]) == {"schedule", "workflow_dispatch"}
    assert values["permissions"] == {}
    assert {name: job["permissions"] for name, job in values["jobs"].items()} == {
        "plan": {"contents": "read"},
        "run": {"contents": "read"},
        "collect": {"contents": "write"},
        "pages": {"pages": "write", "id-token": "write"},
    }
    found = {}
    for name, job in values["jobs"].items():
        for step in job["steps"]:
            if secrets := SECRET.findall(str(step)):
                found[name, step["run"]] = set(secrets)
                assert secrets == SECRET.findall(str(step["env"])), "a shell is never given one"
    keys = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert found == {
        ("run", 'sh night.sh run "$RUN"'): {"RESPIN_WORKER_KEY"},
        ("collect", "sh night.sh collect"): {"RESPIN_KEY", "RESPIN_SSH_KEY", *keys},
    }
    assert len(SECRET.findall(text)) == 5
    # What comes from the plan is no part of a shell's text, either.
    assert not any(
        "${{" in s["run"] for j in values["jobs"].values() for s in j["steps"] if "run" in s
    )


@pytest.mark.attack
def test_what_a_fork_changes_meets_no_secret_of_gitlab() -> None:
    """A pipeline begins by a schedule or by hand; a key belongs to the environment of one job."""
    written = engines.written("gitlab")
    first, night = (load(written[name]) for name in (".gitlab-ci.yml", ".gitlab/night.yml"))
    (rule,) = first["workflow"]["rules"]
    assert set(re.findall(r'"(\w+)"', rule["if"])) == {"schedule", "web"}
    assert night[".run"]["environment"]["name"] == "worker"
    assert night["collect"]["environment"]["name"] == "apt"
    assert "environment" not in first["plan"] and "environment" not in night["pages"]
