# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Ids, the filter's table, what processes use: the parts of a wall that need no process."""

from __future__ import annotations

import ast
import ctypes
import errno
import json
import os
import pwd
import struct
import tomllib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from pipeline.errors import BuildError
from pipeline.host.resources import package_data
from pipeline.isolation import calls, enter, ids, mounts, processes, rights, seccomp
from pipeline.isolation.allowance import GIB, MIB, Allowance, words
from pipeline.isolation.ids import BASE, COUNT
from pipeline.isolation.order import Bind, Order, WallKind

WHOLE = "         0          0 4294967295\n"


def machine(directory: Path, outer: str, subid: str = "") -> tuple[Path, Path]:
    """Return a directory in /proc and an /etc of a machine on which root has these ids."""
    for kind in ("uid", "gid"):
        (directory / f"{kind}_map").write_text(outer)
        (directory / f"sub{kind}").write_text(subid)
    return directory, directory


@pytest.mark.parametrize("module", [enter, calls, mounts, rights])
def test_nothing_is_imported_behind_the_wall(module: ModuleType) -> None:
    """What is found there may be hostile. From Python 3.14 on, ctypes imports to make a class."""
    assert module.__file__
    tree = ast.parse(Path(module.__file__).read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    kinds = (ast.Import, ast.ImportFrom, ast.ClassDef)
    assert functions
    assert not [n for f in functions for n in ast.walk(f) if isinstance(n, kinds)]


def test_root_gets_ids_that_nobody_has(tmp_path: Path) -> None:
    found = ids.of_root(*machine(tmp_path, WHOLE, "anna:100000:65536\n"))
    assert found.uid == found.gid == ((0, BASE, COUNT),)
    assert found.owner == (BASE, BASE) and not found.words
    # Above containers and below the foreign ones, as systemd allocates them (UIDS-GIDS).
    assert BASE > 1879048191 and BASE + COUNT <= 2147352576


def test_root_gets_the_ids_that_an_administrator_gave_it(tmp_path: Path) -> None:
    given = "root:9000:10\nroot:500000:65536\n0:1000000:1000\n"
    assert ids.of_root(*machine(tmp_path, WHOLE, given)).uid == ((0, 500000, COUNT),)


@pytest.mark.parametrize("given", ["root:500000:1000\n", "root:x:y\n", "root\n", ":::\n", "\0\n"])
def test_a_range_that_is_too_small_or_none(tmp_path: Path, given: str) -> None:
    assert ids.of_root(*machine(tmp_path, WHOLE, given)).uid == ((0, BASE, COUNT),)


@pytest.mark.parametrize(
    "outer", ["0 1000 1\n1 100000 65536\n", "0 100000 65536\n", f"0 {BASE} {COUNT}\n"]
)
def test_root_of_a_container_with_few_ids_has_those(tmp_path: Path, outer: str) -> None:
    """Rootless podman, Docker's userns-remap, and a wall of our own."""
    found = ids.of_root(*machine(tmp_path, outer, "root:500000:65536\n"))
    assert [(inside, count) for inside, _, count in found.uid] == [
        (int(line.split()[0]), int(line.split()[2])) for line in outer.splitlines()
    ]
    assert all(inside == outside for inside, outside, _ in found.uid)
    assert found.owner == (0, 0) and "few ids" in found.words


def test_the_longest_range_of_a_user(tmp_path: Path) -> None:
    path = tmp_path / "subuid"
    path.write_text("anna:100000:65536\nbert:200000:1000000\nanna:3000000:70000\n1000:1:2\n")
    assert ids.subordinate(path, "anna", 1000) == [(3000000, 70000)]
    assert ids.subordinate(path, "1000", 1000) == [(1, 2)]
    assert ids.subordinate(path, "carl", 1001) == []
    assert ids.subordinate(tmp_path / "none", "anna", 1000) == []


def test_every_call_that_is_refused_is_one() -> None:
    """A name that was mistyped would refuse nothing."""
    policy = tomllib.loads(package_data("pipeline.isolation", "calls.toml").read_text())
    names = [name for each in policy["refused"] for name in each["calls"]]
    assert len(names) == len(set(names)) > 60
    library = ctypes.CDLL("libseccomp.so.2")
    unknown = {n for n in names if library.seccomp_syscall_resolve_name(n.encode()) == -1}
    # Later than the libseccomp of Debian 12.
    assert unknown <= {"open_tree_attr"}
    assert all(each["why"] and each["error"] in ("EPERM", "ENOSYS") for each in policy["refused"])


@pytest.mark.parametrize("mounts", [False, True])
def test_the_filter_is_one_that_the_kernel_takes(mounts: bool) -> None:
    program = seccomp.compiled("x86_64", mounts=mounts)
    codes = [code for code, *_ in struct.iter_unpack("<HBBI", program)]
    assert 100 < len(codes) <= 4096  # BPF_MAXINSNS
    assert codes[-1] == 0x06  # BPF_RET | BPF_K
    assert seccomp.path(mounts=mounts).read_bytes()


def test_without_libseccomp_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> ctypes.CDLL:
        raise OSError("libseccomp.so.2: cannot open shared object file")

    monkeypatch.setattr(seccomp, "_library", missing)
    with pytest.raises(
        BuildError, match=r"could not make a system call filter.* libseccomp"
    ) as caught:
        seccomp.compiled("x86_64")
    assert "libseccomp2" in caught.value.hint


def process(proc: Path, number: int, parent: int, name: str = "cc1", anonymous: int = 1000) -> None:
    directory = proc / str(number)
    directory.mkdir(parents=True)
    (directory / "stat").write_text(f"{number} ({name}) S {parent} 1 1 0\n")
    (directory / "status").write_text(
        f"Name:\t{name}\nThreads:\t2\nRssAnon:\t{anonymous} kB\nRssFile:\t5000 kB\n"
        "RssShmem:\t24 kB\nVmSwap:\t0 kB\n"
    )


def test_what_processes_use_together(tmp_path: Path) -> None:
    for number, parent in ((1, 0), (10, 1), (11, 10), (12, 11), (20, 1)):
        process(tmp_path, number, parent)
    (tmp_path / "uptime").write_text("1")
    assert sorted(processes.below(10, tmp_path)) == [11, 12]
    use = processes.of([11, 12, 999], tmp_path)
    assert (use.processes, use.memory) == (4, 2 * 1024 << 10)


@pytest.mark.parametrize("name", ["a) S 1 1", "(", ") R 10 ", "a\nb"])
def test_a_name_that_looks_like_another_field(tmp_path: Path, name: str) -> None:
    process(tmp_path, 10, 1)
    process(tmp_path, 11, 10, name)
    assert processes.below(1, tmp_path) == [10, 11]


def test_memory_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemAvailable: 99 kB\nShmem: 7 kB\n")
    assert processes.scarce(tmp_path) and processes.shared(tmp_path) == 7 << 10
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemAvailable: 100 kB\n")
    assert not processes.scarce(tmp_path)


def test_allowances_in_words() -> None:
    assert [words(n) for n in (5, 2048, 256 * MIB, 16 * GIB, 1536 * MIB)] == [
        "5 bytes",
        "2 KiB",
        "256 MiB",
        "16 GiB",
        "1.5 GiB",
    ]
    assert replace(Allowance(), memory=100 * MIB).shm == 25 * MIB


def test_an_order_says_all_and_nothing_of_it_is_lost() -> None:
    binds = (Bind(host=Path("/a b")), Bind(host=Path("/c"), inside="/d", write=True))
    order = Order(kind=WallKind.VIEW, binds=binds, copies=((Path("/e"), "/f"),), caps=None)
    *_, text = order.argv()
    said = json.loads(text)
    assert said["binds"] == [["/a b", "/a b", "ro"], ["/c", "/d", "rw"]]
    assert said["copies"] == [["/e", "/f"]] and said["caps"] is None and said["kind"] == "view"


def test_the_user_is_who_runs_it_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after runuser(1) or su(1), which leave $USER of whoever called them."""
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    assert ids.name() == pwd.getpwuid(os.getuid()).pw_name


def test_an_overlay_of_a_kernel_that_knows_no_volatile_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each mount has a work directory of its own: the kernel takes a volatile one only once."""
    seen = []

    def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
        if kind == "overlay":
            seen.append(data.replace(",userxattr", "").partition("workdir=")[2])
        if "volatile" in data:
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mounts, "mount", mount)
    (tmp_path / "work").mkdir()
    for _ in range(2):
        mounts._tree({"scratch": str(tmp_path), "tree": "/nowhere", "copy": False})
    assert seen == ["work/0,volatile", "work/0", "work/1,volatile", "work/1"]
