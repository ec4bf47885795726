# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A run stage by stage, each from the directory that the one before left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support import cli, real, wholerun

from pipeline.host.resources import package_data

CACHE = real.cache().root
SCHEMA = json.loads(package_data("pipeline.runs", "report.schema.json").read_text())


def part(out: Path, *args: str | Path) -> dict[str, Any]:
    said = cli.respin(*args, "--json", "--out", out, cache=CACHE)
    assert said.status == 0, said.err
    report: dict[str, Any] = json.loads(said.out)
    jsonschema.validate(report, SCHEMA)
    return report


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory of ``respin fetch``."""
    out = tmp_path_factory.mktemp("fetch") / "fetched"
    report = part(out, "fetch", "--release", "bookworm")
    assert (report["outcome"], report["findings"]) == ("fetched", [])
    assert all("signed by" in file["verified"] for file in report["source"]["files"])
    return out


def test_each_stage_from_the_one_before(
    fetched: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory, whole = wholerun.debian_12(tmp_path_factory)
    patched = part(tmp_path / "patched", "patch", fetched)
    assert patched["outcome"] == "patched"
    assert patched["patched"]["sha256"] == whole["patched"]["sha256"]
    assert patched["source"] == whole["source"]
    again = part(tmp_path / "again", "patch", directory)
    assert (again["outcome"], again["patched"]["sha256"]) == (
        "patched",
        whole["patched"]["sha256"],
    )
    built = part(tmp_path / "built", "build", tmp_path / "patched")
    assert (built["outcome"], built["smoke"]) == ("built", None)
    assert built["built"]["debs"] == whole["built"]["debs"]
    proven = part(tmp_path / "proven", "prove", tmp_path / "built")
    assert proven["outcome"] == "fixed"
    assert proven["built"] == built["built"]
    assert set(built["archives"]) <= set(proven["archives"])
    seen = {
        (c["case"], c["way"]): (c["before"]["seen"], c["after"]["seen"])
        for c in proven["smoke"]["cases"]
    }
    assert seen["pinned-hash", "tc"] == ("refused", "loads")


def test_what_was_changed_meanwhile_is_refused(fetched: Path, tmp_path: Path) -> None:
    shutil.copytree(fetched, tmp_path / "mine")
    (dsc,) = (tmp_path / "mine/source").glob("*.dsc")
    dsc.write_bytes(dsc.read_bytes() + b"\n")
    said = cli.respin("patch", tmp_path / "mine", "--out", tmp_path / "out", cache=CACHE)
    assert said.status == 10
    assert "has changed since its run" in said.err
    assert not (tmp_path / "out").exists()


def test_a_stage_without_the_one_before(fetched: Path, tmp_path: Path) -> None:
    for stage in ("build", "prove"):
        said = cli.respin(stage, tmp_path, "--out", tmp_path / "out", cache=CACHE)
        assert (said.status, "is not the directory of a run" in said.err) == (2, True)
    said = cli.respin("build", fetched, "--out", tmp_path / "out", cache=CACHE)
    assert (said.status, "has no patched source" in said.err) == (2, True)
    said = cli.respin("prove", fetched, "--out", tmp_path / "out", cache=CACHE)
    assert (said.status, "was not diagnosed" in said.err) == (2, True)
    for option, value in (("--release", "trixie"), ("--at", "20230610T000000Z")):
        said = cli.respin("patch", fetched, option, value, cache=CACHE)
        assert (said.status, f"{option} cannot be used with it" in said.err) == (2, True)
    assert list(tmp_path.iterdir()) == []
