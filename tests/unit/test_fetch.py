# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A source package that the user has: what is taken, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.archives import apt_errors, dsc_file, resolve
from pipeline.errors import FetchError
from pipeline.releases import releases
from pipeline.source import fetch

BOOKWORM = releases.find("bookworm")
FILES = {"iproute2_6.1.0.orig.tar.xz": b"upstream", "iproute2_6.1.0-3.debian.tar.xz": b"debian"}


def write(
    directory: Path,
    *,
    name: str = "iproute2",
    version: str = "6.1.0-3",
    rename: dict[str, str] | None = None,
    extra: str = "",
    files: dict[str, bytes] = FILES,
) -> Path:
    """Write a .dsc with its files; ``rename`` changes names in the .dsc alone."""
    directory.mkdir(parents=True, exist_ok=True)
    sums = []
    for file, data in files.items():
        (directory / file).write_bytes(data)
        listed = (rename or {}).get(file, file)
        sums.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {listed}\n")
    dsc = directory / "iproute2_6.1.0-3.dsc"
    dsc.write_text(
        f"Format: 3.0 (quilt)\nSource: {name}\nVersion: {version}\n{extra}"
        f"Checksums-Sha256:\n{''.join(sums)}"
    )
    return dsc


def test_local(tmp_path: Path) -> None:
    dsc = write(tmp_path / "in", version="1:6.1.0-3")
    source = fetch.local(dsc, tmp_path / "out", BOOKWORM)
    assert (source.name, source.version, source.release) == ("iproute2", "1:6.1.0-3", BOOKWORM)
    assert [f.path.name for f in source.files] == ["iproute2_6.1.0-3.dsc", *FILES]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {f.path.name for f in source.files}
    assert {p.name for p in (tmp_path / "in").iterdir()} == {f.path.name for f in source.files}
    for file in source.files:
        data = file.path.read_bytes()
        assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert "the .dsc given by the user (not signed)" in file.verified
    assert source.dsc.read_bytes() == dsc.read_bytes()
    assert source.origin == str(dsc)


def refused(dsc: Path, directory: Path, match: str) -> FetchError:
    with pytest.raises(FetchError, match=match) as caught:
        fetch.local(dsc, directory / "out", BOOKWORM)
    assert not (directory / "out").exists()
    assert {p.name for p in directory.iterdir()} <= {"in"}
    return caught.value


def test_missing_file_is_named(tmp_path: Path) -> None:
    dsc = write(tmp_path / "in")
    (dsc.parent / "iproute2_6.1.0.orig.tar.xz").unlink()
    error = refused(dsc, tmp_path, "not beside it: iproute2_6.1.0.orig.tar.xz")
    assert error.hint


@pytest.mark.parametrize("data", [b"Upstream", b"upstrea", b"upstream!", b""])
def test_changed_file(tmp_path: Path, data: bytes) -> None:
    dsc = write(tmp_path / "in")
    (dsc.parent / "iproute2_6.1.0.orig.tar.xz").write_bytes(data)
    refused(dsc, tmp_path, "iproute2_6.1.0.orig.tar.xz")


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/passwd", "sub/file", "..", ".", ".hidden", "-o", "a\\b", "a;b"]
)
def test_name_outside_the_directory(tmp_path: Path, name: str) -> None:
    dsc = write(tmp_path / "in", rename={"iproute2_6.1.0.orig.tar.xz": name})
    refused(dsc, tmp_path, "lists a file outside its directory")


def test_another_package(tmp_path: Path) -> None:
    refused(write(tmp_path / "in", name="bash"), tmp_path, "source of bash, not of iproute2")


@pytest.mark.parametrize(
    "fields",
    [
        {"version": "6.1 .0"},
        {"version": "$(reboot)"},
        {"version": ""},
        {"name": "Iproute2/.."},
        {"files": {}},
        {"extra": "Files:\n d41d8cd98f00b204e9800998ecf8427e 0 other.tar.xz\n"},
        {"rename": {"iproute2_6.1.0-3.debian.tar.xz": "iproute2_6.1.0.orig.tar.xz"}},
    ],
)
def test_unsound_dsc(tmp_path: Path, fields: dict[str, str]) -> None:
    refused(write(tmp_path / "in", **fields), tmp_path, "not a .dsc|Checksums-Sha256")  # type: ignore[arg-type]


@pytest.mark.parametrize("data", [b"", b"\x7fELF\x00\xff", b"hello", b"a" * (2 << 20)])
def test_what_is_no_dsc(tmp_path: Path, data: bytes) -> None:
    dsc = write(tmp_path / "in")
    dsc.write_bytes(data)
    refused(dsc, tmp_path, r"\.dsc")


def test_no_such_dsc(tmp_path: Path) -> None:
    error = refused(tmp_path / "in" / "none.dsc", tmp_path, "cannot be read")
    assert error.exit_code == 10
    (tmp_path / "in").mkdir()
    refused(tmp_path / "in", tmp_path, "cannot be read|not a .dsc")


CROSS = f"""Source: small
Version: 1:1.0-1
Package-List:
 small deb net optional arch=linux-any
 small-doc deb doc optional arch=all profile=!nodoc
 small-udeb udeb debian-installer optional arch=all
Build-Depends: library-dev, generator:any <!nocheck>
Build-Depends-Arch: other-dev
Build-Depends-Indep: documenter
Build-Conflicts: old-dev
Build-Conflicts-Indep: worse-dev
Checksums-Sha256:
 {"0" * 64} 1 small_1.0.orig.tar.gz
"""


def test_what_a_cross_build_asks_apt_for(tmp_path: Path) -> None:
    """Our tools are this machine's; the rest is as written, without what only -Indep needs."""
    dsc = tmp_path / "small.dsc"
    dsc.write_text(CROSS)
    assert dsc_file.read(dsc).independent == ("small-doc",)
    text = resolve.cross_source(["fakeroot", "ccache", "base-files=12.4"], dsc)
    assert text.splitlines() == [
        "Format: 1.0",
        "Source: small",
        "Version: 1:1.0-1",
        "Binary: unused",
        "Architecture: any",
        "Build-Depends: fakeroot, ccache:native, base-files:native (= 12.4), library-dev, "
        "generator:any <!nocheck>, other-dev",
        "Build-Conflicts: old-dev, worse-dev",
    ]
    native = resolve.dependencies(["fakeroot"], dsc)
    assert native[0].endswith(", other-dev, documenter") and ":native" not in native[0]


@given(st.binary(max_size=300))
def test_any_bytes_are_a_dsc_or_an_error(data: bytes) -> None:
    try:
        fields = dsc_file.parse(data, "x")
    except FetchError:
        return
    assert fields.files and all("/" not in f.name for f in fields.files)


@given(st.text(max_size=80))
def test_any_field_is_sound_or_an_error(text: str) -> None:
    sums = f" {'0' * 64} 1 {text}\n"
    data = f"Source: iproute2\nVersion: 1\nChecksums-Sha256:\n{sums}".encode("utf-8", "replace")
    try:
        fields = dsc_file.parse(data, "x")
    except FetchError:
        return
    assert all(Path(f.name).name == f.name for f in fields.files)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("E: Failed to fetch http://m/a  Hash Sum mismatch", "not the one"),
        ("E: Failed to fetch http://m/a  404  Not Found [IP: ::1 80]", "lacks a file"),
        ("Could not connect to m:80 (::1). - connect (111: Connection refused)", "reached"),
        ("Temporary failure resolving 'm'", "reached"),
        ("E: Failed to fetch http://m/a  503  Service Unavailable [IP: ::1 80]", "with an error"),
        ("E: You don't have enough free space", "apt failed"),
    ],
)
def test_words_of_apt(said: str, meant: str) -> None:
    error = apt_errors.explain(FetchError("x", details=said), "doing it")
    assert error.brief.startswith("doing it: ") and meant in error.brief
    assert error.details == said


def test_at_a_time_another_mirror_is_no_advice() -> None:
    """``--at`` takes everything from snapshot, and refuses ``--mirror``."""
    refused = "Could not connect to m:80. - connect (111: Connection refused)"
    absent = "E: The repository 'http://m x Release' does not have a Release file."
    for said in (refused, absent, "something else"):
        failed = FetchError("x", details=said)
        assert "--mirror" in apt_errors.explain(failed, "updating the indexes of http://m/d").hint
        at = "updating the indexes of http://m/archive/debian-security/20230610T000000Z"
        hint = apt_errors.explain(failed, at).hint
        assert "--mirror" not in hint and "snapshot" in hint


def test_missing_suites() -> None:
    said = (
        "E: The repository 'http://m/debian x-updates Release' does not have a Release file.\n"
        "E: The repository 'http://m/debian x-security InRelease' is not signed.\n"
    )
    assert apt_errors.missing_suites(said) == {("http://m/debian", "x-updates")}
