# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad input, as a user meets it: a sentence, its exit code, no traceback, nothing half-written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import cli
from support.archive import Archive, Signer
from support.packages import make_deb, make_source
from support.real import checked

GOLDEN = Path(__file__).parents[1] / "golden/fixes"


@pytest.fixture(scope="module", autouse=True)
def _no_installation_left() -> Iterator[None]:
    yield
    cli.remove_installed()


@pytest.fixture(scope="module")
def signer() -> Iterator[Signer]:
    with Signer("distro") as made:
        yield made


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path) -> None:
    checked(tmp_path / "cache")


@pytest.fixture
def archive(tmp_path: Path, signer: Signer) -> Iterator[Archive]:
    with Archive(tmp_path / "archive", signer) as serving:
        tree = GOLDEN / "v4.20-fixed/in"
        files = {str(p.relative_to(tree)): p.read_text() for p in tree.rglob("*.[ch]")}
        serving.add_source(make_source(tmp_path / "source", files=files))
        serving.publish()
        yield serving


def refused(tmp_path: Path, *args: str | Path, code: int) -> str:
    """Call ``respin`` in a place of its own; return its words when it refused as it must."""
    place = tmp_path / "place"
    place.mkdir(exist_ok=True)
    before = sorted(place.rglob("*"))
    said = cli.respin(*args, cache=tmp_path / "cache", cwd=place, timeout=120)
    assert said.status == code, said.err
    assert said.out == ""
    assert said.err.startswith("respin: ")
    assert "Traceback" not in said.err
    assert sorted(place.rglob("*")) == before
    return said.err


def from_archive(archive: Archive, keyring: Path | None = None) -> list[str | Path]:
    return [
        "--release",
        "bookworm",
        "--mirror",
        archive.url,
        "--keyring",
        keyring or archive.keyring,
    ]


def test_the_archive_of_these_tests_is_good(archive: Archive, tmp_path: Path) -> None:
    """The control of all that follows: nothing refuses, and there is nothing to fix."""
    said = cli.respin(
        *("run", *from_archive(archive), "--json", "--out", tmp_path / "out"),
        cache=tmp_path / "cache",
    )
    assert said.status == 0, said.err
    report = json.loads(said.out)
    assert report["outcome"] == "not-needed"
    assert [f["verdict"] for f in report["findings"]] == ["absent", "absent", "fixed"]
    assert report["built"] is report["smoke"] is report["patched"] is None


def test_unknown_release(tmp_path: Path) -> None:
    words = refused(tmp_path, "run", "--release", "bokworm", code=2)
    assert "bookworm" in words


def test_version_not_in_the_release(archive: Archive, tmp_path: Path) -> None:
    args = [*from_archive(archive), "--version", "6.1.0-99"]
    words = refused(tmp_path, "run", *args, code=10)
    assert "6.1.0-3" in words


def test_a_version_that_the_archive_has_gone_beyond(archive: Archive, tmp_path: Path) -> None:
    """Ours has to replace what is there: 6.1.0-4+bpf1 would not replace 6.1.0-4+bpf2."""
    tree = GOLDEN / "v4.10-three-functions/in"
    files = {str(p.relative_to(tree)): p.read_text() for p in tree.rglob("*.[ch]")}
    archive.add_source(make_source(tmp_path / "newer", version="6.1.0-4", files=files))
    archive.add_deb(make_deb(tmp_path, "iproute2", "6.1.0-4+bpf2"))
    archive.add_deb(make_deb(tmp_path, "iproute2", "6.1.0-5"), suite="bookworm-updates")
    archive.publish()
    here = tmp_path / "newer/iproute2_6.1.0-4.dsc"
    for own in ([], ["--dsc", str(here)]):  # a source of the user's is held against it, too
        words = refused(tmp_path, "patch", *from_archive(archive), *own, code=12)
        assert "6.1.0-4+bpf2" in words
    said = cli.respin(
        *("patch", *from_archive(archive), "--number", "3", "--out", tmp_path / "out"),
        cache=tmp_path / "cache",
    )
    assert said.status == 0, said.err


def test_no_network(tmp_path: Path, signer: Signer) -> None:
    args = ["--release", "bookworm", "--mirror", "http://127.0.0.1:9/debian"]
    refused(tmp_path, "run", *args, "--keyring", signer.keyring, code=10)


def test_index_signed_by_the_wrong_key(archive: Archive, tmp_path: Path) -> None:
    with Signer("stranger") as stranger:
        words = refused(tmp_path, "run", *from_archive(archive, stranger.keyring), code=10)
    assert "key" in words


@pytest.mark.parametrize("how", ["bytes", "truncate", "remove", "cut"])
def test_a_file_that_is_not_what_the_index_lists(
    archive: Archive, tmp_path: Path, how: str
) -> None:
    archive.corrupt("iproute2_6.1.0.orig.tar.gz", how)
    refused(tmp_path, "run", *from_archive(archive), code=10)


def test_a_dsc_that_lacks_a_file(tmp_path: Path) -> None:
    dsc = make_source(tmp_path / "source")
    (dsc.parent / "iproute2_6.1.0.orig.tar.gz").unlink()
    words = refused(tmp_path, "run", "--dsc", dsc, code=10)
    assert "iproute2_6.1.0.orig.tar.gz" in words


def test_a_tree_without_the_loader(tmp_path: Path) -> None:
    (tmp_path / "tree/lib").mkdir(parents=True)
    words = refused(tmp_path, "diagnose", "--tree", tmp_path / "tree", code=11)
    assert "lib/bpf_legacy.c" in words


def test_a_source_in_a_shape_that_is_not_known(tmp_path: Path) -> None:
    tree = GOLDEN / "unknown-second-test/in"
    files = {str(p.relative_to(tree)): p.read_text() for p in tree.rglob("*.[ch]")}
    dsc = make_source(tmp_path / "source", files=files)
    said = cli.respin("diagnose", "--dsc", dsc, "--json", cache=tmp_path / "cache")
    assert said.status == 11
    assert "bpf_map_num_sym (lib/bpf.c:" in said.err
    assert "STT_OBJECT" in said.err  # the text that was not understood
    (stt,) = (f for f in json.loads(said.out)["fixes"] if f["fix"] == "stt-object")
    assert stt["verdict"] == "unknown"


def test_the_cache_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words = refused(tmp_path, "run", "--cache", tmp_path / "file/cache", code=2)
    assert "--cache" in words


def test_out_exists_and_is_not_ours(archive: Archive, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "letter").write_text("dear")
    words = refused(tmp_path, "run", *from_archive(archive), "--out", out, code=2)
    assert "--out" in words
    assert (out / "letter").read_text() == "dear"


def test_an_object_that_is_not_there_is_told_before_anything_is_built(tmp_path: Path) -> None:
    words = refused(tmp_path, "run", "--object", "nowhere.o:tc", code=2)
    assert "nowhere.o" in words


def test_a_case_that_is_none_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    words = refused(tmp_path, "run", "--case", "pinned-hsh", code=2)
    assert "pinned-hash" in words


def test_a_way_that_is_none_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    words = refused(tmp_path, "run", "--way", "tcp", code=2)
    assert "tcp is not an attach type" in words


def test_an_object_that_is_none_is_told_before_anything_is_built(tmp_path: Path) -> None:
    (tmp_path / "text.o").write_text("no object")
    words = refused(tmp_path, "run", "--object", tmp_path / "text.o", code=2)
    assert "text.o" in words


@pytest.mark.parametrize(
    "args",
    [["run", "--nonsense"], ["nonsense"], ["run", "--number", "0"]],
    ids=" ".join,
)
def test_a_command_line_that_is_wrong(tmp_path: Path, args: list[str]) -> None:
    said = cli.respin(*args, cache=tmp_path / "cache")
    assert said.status == 2
    assert said.err.startswith("respin: ")
    assert "Traceback" not in said.err
