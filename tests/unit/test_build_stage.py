# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the build stage makes of what a build says: names, logs, archives; no process."""

from __future__ import annotations

import errno
import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.build import build
from pipeline.containers import base, multiarch, roots
from pipeline.errors import BuildError
from pipeline.isolation import namespaces
from pipeline.model import AptSource, Package, Release
from pipeline.text.address import Address

CHANGES = """Format: 1.8
Source: tiny
Version: {version}
Checksums-Sha256:
{files}
"""
SUM = "0" * 64
RELEASE = Release(distro="debian", codename="bookworm", version="12")


def changes(tmp_path: Path, *names: str, version: str = "1:1.0-1+bpf1") -> Path:
    path = tmp_path / "tiny_1.0-1+bpf1_amd64.changes"
    files = "\n".join(f" {SUM} 10 {name}" for name in names)
    path.write_text(CHANGES.format(version=version, files=files))
    return path


def test_changes_names_the_packages(tmp_path: Path) -> None:
    path = changes(tmp_path, "tiny_1.0-1+bpf1_amd64.deb", "tiny_1.0-1+bpf1_amd64.buildinfo")
    names = build.names_in(path, "1:1.0-1+bpf1")
    assert names == ["tiny_1.0-1+bpf1_amd64.deb", "tiny_1.0-1+bpf1_amd64.buildinfo"]


def test_changes_of_another_version(tmp_path: Path) -> None:
    path = changes(tmp_path, "a.deb", "a.buildinfo", version="1:1.0-1")
    with pytest.raises(BuildError, match=r"version 1:1\.0-1 instead of 1:1\.0-1\+bpf1"):
        build.names_in(path, "1:1.0-1+bpf1")


@pytest.mark.parametrize("names", [(), ("a.deb",), ("a.buildinfo",), ("a.udeb", "a.buildinfo")])
def test_changes_without_a_package(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(BuildError, match="lists no package"):
        build.names_in(changes(tmp_path, *names), "1:1.0-1+bpf1")


def log_of(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "build.log"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_failed_compilation_shows_its_error_and_the_end(tmp_path: Path) -> None:
    noise = [f"line {n}" for n in range(300)]
    log = log_of(tmp_path, "x.c:1:1: error: expected ';'", *noise, "make: *** [x.o] Error 1")
    error = build.explain("tiny", "1.0", 2, log)
    assert "the build of tiny 1.0 failed" in error.brief and "status 2" in error.brief
    lines = error.details.splitlines()
    assert lines[0] == "x.c:1:1: error: expected ';'"
    assert lines[-2:] == ["make: *** [x.o] Error 1", f"The whole log: {log}"]
    assert len(lines) < 60


@pytest.mark.parametrize("said", [os.strerror(errno.ENOSPC), "x: No space left on device"])
def test_a_full_disk_is_called_that(tmp_path: Path, said: str) -> None:
    log = log_of(tmp_path, f"fatal error: cannot write: {said}", "make: *** [x.o] Error 1")
    assert "disk filled up" in build.explain("tiny", "1.0", 2, log).brief
    assert "disk filled up" not in build.explain("tiny", "1.0", 2, log_of(tmp_path, "x")).brief


def test_ccache_s_own_counters() -> None:
    text = b"# tiny.c\ndirect_cache_hit\nlocal_storage_hit\n# a b.c\ndirect_cache_hit\n"
    assert build.ccache_counters(text) == {"direct_cache_hit": 2, "local_storage_hit": 1}
    assert build.ccache_counters(b"") == {}


def stream(*members: tuple[str, bytes, bytes]) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data), "/etc/passwd"
            tar.addfile(info, io.BytesIO(data))
    out.seek(0)
    return out


def test_takes_regular_files(tmp_path: Path) -> None:
    taken = base.take(stream(("./a b", tarfile.REGTYPE, b"\0x")), frozenset({"a b"}), tmp_path)
    assert taken == {"a b"} and (tmp_path / "a b").read_bytes() == b"\0x"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, b"3", b"6"])
def test_takes_nothing_but_regular_files(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(BuildError):
        base.take(stream(("./a", kind, b"")), frozenset({"a"}), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../a", "/tmp/a", "b", "./../a", "./d/a"])
def test_takes_no_file_that_was_not_asked_for(tmp_path: Path, name: str) -> None:
    dest = tmp_path / "dest"
    dest.mkdir()
    with pytest.raises(BuildError):
        base.take(stream((name, tarfile.REGTYPE, b"x")), frozenset({"a"}), dest)
    assert list(tmp_path.iterdir()) == [dest] and list(dest.iterdir()) == []


def test_takes_no_file_twice(tmp_path: Path) -> None:
    twice = stream(("./a", tarfile.REGTYPE, b"1"), ("./a", tarfile.REGTYPE, b"2"))
    with pytest.raises(BuildError):
        base.take(twice, frozenset({"a"}), tmp_path)


def package(name: str, version: str = "1") -> Package:
    return Package(name=name, version=version, architecture="amd64")


KEYRING = Path(__file__)
"""Of a keyring only the content counts here."""
NAMES = st.lists(st.from_regex(r"[a-z][a-z0-9+.-]{1,8}", fullmatch=True), unique=True, min_size=1)


def sources_at(*uris: str) -> list[AptSource]:
    more: Any = {"suites": ("b",), "components": ("main",), "keyring": KEYRING}
    return [AptSource(uri=Address(uri), **more) for uri in uris]


@given(NAMES, st.randoms())
def test_a_root_is_kept_by_what_it_contains(names: list[str], random: object) -> None:
    (source,) = sources_at("http://a")
    key = [package(name) for name in names]

    def of(packages: list[Package]) -> str:
        return roots.entry_key([source], RELEASE, [], packages)

    shuffled = list(key)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert of(shuffled) == of(key)
    assert of([*key[1:], package(key[0].name, "2")]) != of(key)
    assert of([*key, package("another-one")]) != of(key)


def test_a_root_of_the_same_files_is_the_same_from_any_archive() -> None:
    one, two = sources_at("http://a", "http://b")

    def of(source: AptSource, *sums: str) -> str:
        key = [replace(package(f"p{n}"), sha256=sha256) for n, sha256 in enumerate(sums)]
        return roots.entry_key([source], RELEASE, [], key)

    first, second = "1" * 64, "2" * 64
    assert of(one, first, second) == of(two, first, second)
    assert of(one, first, second) != of(two, first, first)
    # What an index did not tell apart is not taken for the same.
    assert of(one, first, "") != of(two, first, "")


STATUS = """Package: a
Status: install ok installed
Version: 1
Architecture: amd64

Package: gone
Status: deinstall ok config-files
Version: 1
Architecture: amd64
"""


def test_a_root_with_other_packages_is_refused(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text(STATUS)
    roots.compare(status, [package("a")])
    with pytest.raises(BuildError) as caught:
        roots.compare(status, [package("a", "2"), package("b")])
    assert caught.value.details.splitlines() == [
        "missing: a 2 amd64",
        "missing: b 1 amd64",
        "not requested: a 1 amd64",
    ]


def test_a_root_for_a_cross_build_names_what_is_foreign(tmp_path: Path) -> None:
    dpkg, library, doc = package("dpkg"), package("library"), package("doc")
    other = replace(library, architecture="arm64")
    independent = replace(doc, architecture="all")
    names = multiarch.named([dpkg, library, other, independent])
    assert names == ["dpkg=1", "library=1", "library:arm64=1", "doc=1"]
    assert multiarch.foreign([dpkg, library, other, independent]) == ("arm64",)
    # A root of one architecture, whichever it is, has none.
    foreign = [replace(dpkg, architecture="arm64"), other, independent]
    assert multiarch.foreign(foreign) == multiarch.foreign([dpkg, library, independent]) == ()
    assert multiarch.named(foreign) == ["dpkg=1", "library=1", "doc=1"]
    status = tmp_path / "status"
    status.write_text(STATUS)
    with pytest.raises(BuildError, match="does not contain"):
        roots.compare(status, [replace(package("a"), architecture="arm64")])


def test_a_failed_cross_build_is_called_that(tmp_path: Path) -> None:
    log = log_of(tmp_path, "x.c:1:1: error: expected ';'")
    error = build.explain("tiny", "1.0", 2, log, foreign="arm64")
    assert error.brief.startswith("the cross build of tiny 1.0 for arm64 failed: ")
    assert "with the architecture arm64" in error.hint and error.exit_code == 13
    assert "cross" not in build.explain("tiny", "1.0", 2, log).brief


def test_build_tools_run_as_nobody_s_number() -> None:
    number = int(base.User.BUILD)
    assert number != 0 and number not in range(1000, 65520)


def test_roots_that_are_made_at_once_share_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would find the memory free that the others have not taken yet."""
    monkeypatch.setattr(namespaces, "possible", lambda: True)
    monkeypatch.setattr(roots, "_memory_available", lambda: 7 << 30)
    with roots._place() as first, roots._place() as second, roots._place() as third:
        assert (first, second, third) == ("1536m", "1536m", "disk")
    with roots._place() as again:
        assert again == "1536m"
