# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A run's directory is whole or absent, and nobody else's directory is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import BuildError, UsageError
from pipeline.host.cache import Cache
from pipeline.runs.directory import KEPT_LOGS, check, open_run

OURS = '{"tool": "iproute2-respin"}'


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def write(cache: Cache, out: Path, text: str = "new") -> None:
    with open_run(out, cache) as run:
        (run.path / "report.json").write_text(OURS)
        (run.path / "file").write_text(text)
        run.log("stage").write_text("log")


def test_a_run_is_there_with_its_logs(tmp_path: Path, cache: Cache) -> None:
    out = tmp_path / "deep" / "out"
    write(cache, out)
    assert (out / "logs/stage.log").read_text() == "log"
    assert [p.name for p in out.parent.iterdir()] == ["out"]


def test_a_failed_run_leaves_nothing_but_logs(tmp_path: Path, cache: Cache) -> None:
    out = tmp_path / "place" / "out"
    with pytest.raises(BuildError), open_run(out, cache) as run:
        run.log("stage").write_text("why")
        raise BuildError("no")
    assert not out.parent.exists()
    assert [p.read_text() for p in cache.directory("logs").rglob("*.log")] == ["why"]


def test_a_failed_run_leaves_the_older_one(tmp_path: Path, cache: Cache) -> None:
    out = tmp_path / "out"
    write(cache, out, "old")
    with pytest.raises(BuildError), open_run(out, cache):
        raise BuildError("no")
    assert (out / "file").read_text() == "old"


def test_a_newer_run_replaces_the_older(tmp_path: Path, cache: Cache) -> None:
    out = tmp_path / "place" / "out"
    write(cache, out, "old")
    write(cache, out, "new")
    assert (out / "file").read_text() == "new"
    assert [p.name for p in out.parent.iterdir()] == ["out"]


def test_kept_on_demand(tmp_path: Path, cache: Cache) -> None:
    out = tmp_path / "place" / "out"
    with pytest.raises(BuildError) as caught, open_run(out, cache, keep=True) as run:
        (run.path / "half").write_text("half")
        raise BuildError("no")
    (kept,) = out.parent.iterdir()
    assert str(kept) in caught.value.__notes__[0]
    assert (kept / "half").exists()


def test_what_is_being_written_or_was_kept_or_is_not_ours_stays(
    tmp_path: Path, cache: Cache
) -> None:
    out = tmp_path / "place" / "out"
    (out.parent / ".out.mine").mkdir(parents=True)
    with pytest.raises(BuildError), open_run(out, cache, keep=True) as kept:
        raise BuildError("no")
    with open_run(out, cache) as other:
        (other.path / "report.json").write_text(OURS)
        write(cache, out)
        assert kept.path.exists() and other.path.exists()
    assert {p.name for p in out.parent.iterdir()} == {"out", ".out.mine", kept.path.name}
    assert not (out / ".unfinished").exists()


@pytest.mark.parametrize("text", [None, "", "[]", '{"tool": "other"}', "{"])
def test_what_is_not_ours_is_left_alone(tmp_path: Path, cache: Cache, text: str | None) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious").write_text("mine")
    if text is not None:
        (out / "report.json").write_text(text)
    with pytest.raises(UsageError) as caught:
        write(cache, out)
    assert caught.value.exit_code == 2
    assert (out / "precious").read_text() == "mine"


def test_a_file_or_a_link_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "link"):
        with pytest.raises(UsageError):
            check(tmp_path / name)


def test_an_empty_directory_is_taken(tmp_path: Path, cache: Cache) -> None:
    (tmp_path / "out").mkdir()
    write(cache, tmp_path / "out")
    assert (tmp_path / "out/file").exists()


def test_logs_are_pruned(tmp_path: Path, cache: Cache) -> None:
    for _ in range(KEPT_LOGS + 5):
        write(cache, tmp_path / "out")
    assert len(list(cache.directory("logs").iterdir())) <= KEPT_LOGS + 1
