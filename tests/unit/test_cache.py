# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache: entries are whole or absent, and made once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.host.cache import Cache, digest, file_sha256


def test_an_entry_is_made_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    made = []

    def make(part: Path) -> None:
        made.append(part)
        part.write_text("whole")

    assert cache.entry("kind", "key", make).read_text() == "whole"
    assert cache.entry("kind", "key", make).read_text() == "whole"
    assert len(made) == 1


def test_two_at_once_make_it_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    inside, go, made = threading.Event(), threading.Event(), []

    def slow(part: Path) -> None:
        inside.set()
        go.wait(30)
        made.append("slow")
        part.write_text("slow")

    def second(part: Path) -> None:
        made.append("second")
        part.write_text("second")

    results: list[str] = []
    one = threading.Thread(target=lambda: results.append(cache.entry("k", "e", slow).read_text()))
    one.start()
    inside.wait(30)
    other = Cache(tmp_path / "cache")
    two = threading.Thread(target=lambda: results.append(other.entry("k", "e", second).read_text()))
    two.start()
    go.set()
    one.join()
    two.join()
    assert (made, results) == (["slow"], ["slow", "slow"])


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")

    def fail(part: Path) -> None:
        part.mkdir()
        (part / "half").write_text("half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        cache.entry("kind", "key", fail)
    assert [p.name for p in (cache.root / "kind").iterdir()] == [".seals"]
    assert list((cache.root / "kind/.seals").iterdir()) == []
    assert cache.entry("kind", "key", lambda part: part.mkdir()).is_dir()


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    (cache.directory("kind") / "key.part").mkdir()
    assert cache.entry("kind", "key", lambda part: part.write_text("x")).is_file()


def test_it_is_marked(tmp_path: Path) -> None:
    tag = Cache(tmp_path / "cache").root / "CACHEDIR.TAG"
    assert tag.read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")


def test_no_place_for_it_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError) as caught:
        Cache(tmp_path / "file" / "cache")
    assert "--cache" in caught.value.hint


@pytest.mark.parametrize("name", ["/dev/shm/respin", "/dev/respin"])
def test_it_is_not_below_dev(tmp_path: Path, name: str) -> None:
    """A new root has the machine's /dev, so it cannot be in there itself."""
    link = tmp_path / "link"
    link.symlink_to(name)
    for path in (Path(name), link):
        with pytest.raises(UsageError, match="is below /dev"):
            Cache(path)
    assert not Path(name).exists()


@given(st.lists(st.text()), st.lists(st.text()))
def test_digests_tell_lists_apart(a: list[str], b: list[str]) -> None:
    assert (digest(*a) == digest(*b)) == (a == b)


def test_file_digest(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert file_sha256(tmp_path / "f").startswith("ba7816bf8f01cfea")
