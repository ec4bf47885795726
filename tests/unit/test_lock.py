# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""respin.lock: what is written is read again; what was edited by hand is refused in words."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ownpatches
from support.readers import file

from pipeline.archives import dsc_file
from pipeline.errors import BuildError, FetchError, UsageError
from pipeline.fixes.own_patch import OwnPatch
from pipeline.host.resources import package_data
from pipeline.model import GuestPackages, Package, Source, VerifiedFile
from pipeline.releases import releases
from pipeline.releases.releases import Pocket
from pipeline.runs import lockfile, lockfile_reader

SCHEMA = json.loads(package_data("pipeline.runs", "lock.schema.json").read_text())


def source(directory: Path, data: bytes = b"dsc") -> Source:
    files = []
    for number, name in enumerate(("iproute2_6.1.0-3.dsc", "iproute2_6.1.0.orig.tar.xz")):
        sha = f"{number}" * 64
        files.append(VerifiedFile(path=directory / name, size=len(data), sha256=sha, verified="so"))
    return Source(
        name="iproute2",
        version="6.1.0-3",
        release=releases.find("bookworm"),
        files=tuple(files),
        origin="bookworm at http://mirror.example.org/debian",
    )


def package(name: str) -> Package:
    return Package(name=name, version="12.2.0-14", architecture="amd64", sha256="a" * 64)


def made(directory: Path) -> lockfile.Lock:
    return lockfile.Lock(
        distro="debian",
        codename="bookworm",
        name="iproute2",
        version="6.1.0-3",
        kind="archive",
        origin="bookworm at http://mirror.example.org/debian",
        files=lockfile.files(source(directory)),
        fixes=("stt-object",),
        number=2,
        time="20261122T105600Z",
        pockets=(Pocket.RELEASE, Pocket.BACKPORTS),
        root=(package("gcc-12"),),
        guest=GuestPackages(root=(package("dpkg"),), kernel=(package("linux-image-6.1"),)),
        control=package("iproute2"),
    )


def written(directory: Path) -> Path:
    return lockfile.write(made(directory), directory)


def value(directory: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(written(directory).read_text())
    return read


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = written(tmp_path)
    jsonschema.validate(json.loads(path.read_text()), SCHEMA)
    found = lockfile_reader.read(path)
    assert found == replace(made(tmp_path), path=path)
    lockfile.check_source(found, source(tmp_path))


def edited(directory: Path, change: str, new: object) -> dict[str, Any]:
    """Change the value at a path such as ``source.files.0.name``; ``new`` ... removes it."""
    whole = value(directory)
    *parents, last = change.split(".")
    at: Any = whole
    for key in parents:
        at = at[int(key)] if isinstance(at, list) else at[key]
    if new is ...:
        del at[last]
    else:
        at[int(last) if isinstance(at, list) else last] = new
    return whole


@pytest.mark.parametrize(
    ("change", "new", "named"),
    [
        ("schema", 1, "schema"),
        ("time", "yesterday", "time"),
        ("time", "20261322T105600Z", "time"),
        ("pockets", ["proposed"], "pockets"),
        ("pockets", [[]], "pockets"),
        ("schema", True, "schema"),
        ("tool", "dpkg", "tool"),
        ("release", [], "release"),
        ("release.codename", 7, "release.codename"),
        ("release.colour", "red", "release: there is no key 'colour'"),
        ("source.version", ..., "source: the key 'version' is missing"),
        (
            "source.version",
            "6.1 ; reboot",
            'expected the version of a package, found "6.1 ; reboot"',
        ),
        ("source.version", "6.1\n", "source.version"),
        ("source.version", "6.1-", "source.version"),
        ("source.version", "1:2:3", "source.version"),
        ("source.name", "../x", "source.name: expected the name of a package"),
        ("source.kind", "ftp", "source.kind"),
        ("source.origin", "x" * 5000, "source.origin"),
        ("source.files", {}, "source.files"),
        ("source.files", [], "source.files"),
        ("source.files.0.name", "../evil.dsc", "expected a plain file name"),
        ("source.files.0.name", "evil.tar.xz", "expected the name of a .dsc"),
        ("source.files.0.size", "3", "files[0].size: expected a size"),
        ("source.files.0.size", -3, "files[0].size"),
        ("source.files.0.size", 3.0, "files[0].size"),
        ("source.files.0.size", True, "files[0].size"),
        ("source.files.0.size", 1 << 60, "files[0].size"),
        ("source.files.0.size", 10**400, "found a number beyond measure"),
        ("source.files.0.size", float("nan"), "it is not JSON"),
        ("source.files.0.sha256", "0" * 63, "files[0].sha256: expected a SHA-256"),
        ("source.files.1.sha256", "0" * 63, "files[1].sha256: expected a SHA-256"),
        ("source.files.1.name", "iproute2_6.1.0-3.dsc", "two files have one name"),
        ("source.origin", "\ud800", "source.origin"),
        ("source.origin", "a\x1b[2J", "source.origin"),
        ("number", 0, "number"),
        ("number", 1.5, "number: expected a whole number from 1 to 999, found 1.5"),
        ("fixes", "stt-object", "fixes"),
        ("root.0", "gcc", "root[0]"),
        ("root.0.version", "$(x)", "root[0]"),
        ("root.0.architecture", "amd64;", "root[0]"),
        ("root.0.sha256", "", "root[0]"),
        ("root.0.sha256", ..., "root[0]"),
        ("guest", [], "guest"),
        ("guest.kernel", [], "guest"),
        ("guest.root.0.name", "../x", "guest.root[0]"),
        ("control", ["iproute2"], "control"),
        ("control.version", "6.1 ", "control"),
        ("root", [{}] * 5001, "root"),
    ],
)
def test_edited_by_hand(tmp_path: Path, change: str, new: object, named: str) -> None:
    whole = edited(tmp_path, change, new)
    path = tmp_path / "respin.lock"
    path.write_text(json.dumps(whole))
    with pytest.raises(UsageError) as caught:
        lockfile_reader.read(path)
    assert named in caught.value.brief and str(path) in caught.value.brief
    assert caught.value.exit_code == 2 and caught.value.hint


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"[]", b"{", b"7", b"[" * 100000, b" " * 5000000]
)
def test_what_is_no_lock(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "respin.lock"
    path.write_bytes(data)
    with pytest.raises(UsageError):
        lockfile_reader.read(path)
    with pytest.raises(UsageError, match="cannot be read"):
        lockfile_reader.read(tmp_path / "none")


@given(st.data())
def test_any_edit_is_refused_or_written_again_as_it_was_read(data: st.DataObject) -> None:
    whole = copy.deepcopy(EXAMPLE)
    places = list(_places(whole))
    at, key = data.draw(st.sampled_from(places))
    at[key] = data.draw(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.just([]))
    )
    with file(json.dumps(whole).encode()) as path:
        try:
            found = lockfile_reader.read(path)
        except UsageError:
            return
        assert json.loads(lockfile.write(found, path.parent).read_text()) == whole


@given(st.text(alphabet="0a:.+~-\n", max_size=12))
def test_the_schema_takes_the_versions_that_a_dsc_may_have(text: str) -> None:
    whole = copy.deepcopy(EXAMPLE)
    whole["source"]["version"] = text
    with file(json.dumps(whole).encode()) as path:
        try:
            lockfile_reader.read(path)
        except UsageError:
            assert not dsc_file.version_text(text)
        else:
            assert dsc_file.version_text(text)


PACKAGE = {"name": "gcc", "version": "1", "architecture": "amd64", "sha256": "a" * 64}

EXAMPLE: dict[str, Any] = {
    "schema": 2,
    "tool": "iproute2-respin",
    "time": "20261122T105600Z",
    "pockets": ["backports"],
    "release": {"distro": "debian", "codename": "bookworm"},
    "source": {
        "name": "iproute2",
        "version": "1-1",
        "kind": "dsc",
        "origin": "/x",
        "files": [{"name": "x.dsc", "size": 3, "sha256": "0" * 64}],
    },
    "fixes": ["stt-object"],
    "number": 1,
    "root": [dict(PACKAGE)],
    "guest": {"root": [dict(PACKAGE)], "kernel": [dict(PACKAGE)]},
    "control": dict(PACKAGE),
}


def _places(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in list(items):
        yield value, key
        if isinstance(each, dict | list):
            yield from _places(each)


def test_a_container_with_other_packages_is_refused(tmp_path: Path) -> None:
    found = made(tmp_path)
    lockfile.check_root(found, [package("gcc-12")])
    with pytest.raises(BuildError) as caught:
        lockfile.check_root(found, [package("gcc-13")])
    assert caught.value.details.splitlines() == [
        "lacking: gcc-12 12.2.0-14",
        "not in the lock: gcc-13 12.2.0-14",
    ]


def test_what_is_gone_is_named(tmp_path: Path) -> None:
    found = lockfile_reader.read(written(tmp_path))
    with pytest.raises(FetchError, match=r"iproute2_6\.1\.0-3\.dsc of .* is gone"):
        lockfile.check_source(found, source(tmp_path, b"other"))
    fewer = source(tmp_path)
    fewer = Source(
        name=fewer.name,
        version=fewer.version,
        release=fewer.release,
        files=fewer.files[:1],
        origin=fewer.origin,
    )
    with pytest.raises(FetchError, match=r"orig\.tar\.xz of .* is gone"):
        lockfile.check_source(found, fewer)
    with pytest.raises(FetchError, match="is gone"):
        lockfile.local_dsc(found)


MINE = OwnPatch(name="mine.patch", content=ownpatches.GOOD.encode(), optional=True)
LOCKED = lockfile.LockedPatch(name="mine.patch", sha256=MINE.sha256, optional=True)


def test_the_users_patches_are_beside_it(tmp_path: Path) -> None:
    path = lockfile.write(replace(made(tmp_path), patches=(LOCKED,)), tmp_path, [MINE])
    jsonschema.validate(json.loads(path.read_text()), SCHEMA)
    found = lockfile_reader.read(path)
    assert found.patches == (LOCKED,)
    assert lockfile.own_patches(found) == (MINE,)
    there = tmp_path / "user-patches/mine.patch"
    there.write_bytes(MINE.content + b" ")
    with pytest.raises(FetchError, match="has other content"):
        lockfile.own_patches(found)
    there.unlink()
    with pytest.raises(FetchError, match=r"user-patches/mine\.patch.* cannot be read"):
        lockfile.own_patches(found)


@pytest.mark.parametrize("name", ["../mine.patch", "a/b", ".", "a\nb", ""])
def test_a_patch_elsewhere_is_not_read(tmp_path: Path, name: str) -> None:
    there = replace(LOCKED, name="mine.patch")
    path = lockfile.write(replace(made(tmp_path), patches=(there,)), tmp_path, [MINE])
    path.write_text(path.read_text().replace('"mine.patch"', json.dumps(name)))
    with pytest.raises(UsageError, match="the name of a patch"):
        lockfile_reader.read(path)
