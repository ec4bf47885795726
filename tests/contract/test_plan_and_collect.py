# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A night in three verbs: the plan, runs made anywhere, and what is collected of them."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support import onerelease
from support.onerelease import Here

from pipeline.files import schema

pytestmark = pytest.mark.needs("aptly")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with onerelease.begin(tmp_path) as begun:
        yield begun


def plan(here: Here) -> list[dict[str, Any]]:
    """Return the runs in the plan, which has the form that its schema says."""
    said = here.respin("nightly", "--plan")
    assert said.status == 0, said.err
    value = json.loads(said.out)
    schema.hold(value, "pipeline.nightly", "plan.schema.json")
    assert value["runs"] or said.err == "respin nightly: nothing is due\n"
    found: list[dict[str, Any]] = value["runs"]
    return found


def content(here: Here) -> dict[str, list[Any]]:
    """Return all tables of the state, but for what was seen of the archives."""
    with closing(sqlite3.connect(here.nights.world.directory / "state.sqlite")) as db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        return {
            name: db.execute(f"SELECT * FROM {name}").fetchall()
            for name in names
            if name not in ("indexes", "targets")
        }


def test_a_plan_says_what_is_due_and_changes_nothing_else(here: Here) -> None:
    here.has("6.1.0-1")
    first = plan(here)
    (run,) = first
    assert (run["release"], run["version"], run["reason"]) == ("bookworm", "6.1.0-1", "new version")
    assert run["name"].startswith("bookworm-amd64-6.1.0-1-")
    assert re.fullmatch(r"[a-z0-9][a-z0-9.+_-]*", run["name"])
    assert run["command"] == [
        *("respin", "run", "--release", "bookworm", "--version", "6.1.0-1"),
        *("--architecture", "amd64", "--number", "1", "--expect-dsc", run["dsc_sha256"]),
    ]
    before = content(here)
    # What nobody delivers is due again, under the same name.
    assert plan(here) == first
    assert content(here) == before and before["runs"] == []
    assert not (here.nights.world.directory / "public").exists()
    # The night makes what the plan says; then nothing is due.
    assert [r.version for r in here.nights.night(0).runs] == ["6.1.0-1"]
    assert plan(here) == []
    here.has("6.1.0-2~rc1", good=None)
    (run,) = plan(here)
    assert run["name"].startswith("bookworm-amd64-6.1.0-2_rc1-")
    assert run["minutes"] == 1  # as long as the last one took


def test_a_plan_needs_no_key(here: Here) -> None:
    """Whoever only plans has no secret."""
    here.has("6.1.0-1")
    (here.nights.world.directory / "gnupg").rename(here.directory / "away")
    assert len(plan(here)) == 1
    said = here.respin("nightly")
    assert said.status == 2 and "respin key init" in said.err


def test_a_plan_of_an_archive_that_cannot_be_read_is_not_empty(here: Here) -> None:
    here.has("6.1.0-1")
    here.distro.corrupt("InRelease", "remove")
    said = here.respin("nightly", "--plan")
    assert said.status == 10 and "nothing is due" not in said.err
    assert json.loads(said.out)["runs"] == [] and said.err.startswith("bookworm: ")


def test_another_source_than_the_expected_one_is_not_run(here: Here, tmp_path: Path) -> None:
    here.has("6.1.0-1")
    (run,) = plan(here)
    words = [*run["command"][1:-1], "0" * 64, "--out", tmp_path / "out"]
    said = here.respin(*words)
    assert said.status == 10 and "is not the one that this run is for" in said.err, said.err
    assert not (tmp_path / "out").exists()
    said = here.respin("run", "--expect-dsc", "abc")
    assert said.status == 2 and "64 hexadecimal digits" in said.err
