# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole: from a release's name to a proven .deb, as a user calls it."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support import cli, real, userobjects, wholerun

from pipeline.host.resources import package_data
from pipeline.runs import lockfile, lockfile_reader, unpacked
from pipeline.smoke import guest_image, smoke, tested_packages
from pipeline.smoke.cases import select
from pipeline.vm.machine import machine_for

PR_SET_CHILD_SUBREAPER = 36
CACHE = real.cache().root
SCHEMA = json.loads(package_data("pipeline.runs", "report.schema.json").read_text())


def cells(report: dict[str, Any]) -> dict[tuple[str, str], tuple[str, str]]:
    return {
        (c["case"], c["way"]): (c["before"]["seen"], c["after"]["seen"])
        for c in report["smoke"]["cases"]
    }


VARIED = (
    *(() if os.geteuid() else ("unshare", "--uts")),
    *("sh", "-c", 'hostname elsewhere.example 2>/dev/null; umask 0077; exec "$@"', "sh"),
    *("taskset", "--cpu-list", "0"),
)
"""Begins a command on a machine of another name, with one processor. What uname(2) says of the
kernel stays: libc6 refuses to be unpacked under the version 2.6 of setarch(8)."""


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Hold that no process outlives what started it, and no mount: ours are in namespaces.

    As a subreaper (prctl(2)) this process inherits every orphan among its descendants.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = (descendants(), Path("/proc/self/mounts").read_text())
    yield
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    assert (descendants(), Path("/proc/self/mounts").read_text()) == before


def descendants() -> set[str]:
    """Return what runs below this process, by its command line; zombies do not run."""
    parents, lines = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            status = (path / "stat").read_text().rpartition(")")[2].split()
            line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if status[0] != "Z":
            parents[int(path.name)], lines[int(path.name)] = int(status[1]), line
    mine = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in mine} - mine:
        mine |= more
    return {f"{pid} {lines[pid]}" for pid in mine - {os.getpid()}}


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return the directory and the report of a run for Debian 12, as whoever we are."""
    return wholerun.debian_12(tmp_path_factory)


def test_debian_12(fixed: tuple[Path, dict[str, Any]]) -> None:
    out, report = fixed
    jsonschema.validate(report, SCHEMA)
    assert json.loads((out / "report.json").read_text()) == report
    assert report["outcome"] == "fixed"
    verdicts = {f["fix"]: f["verdict"] for f in report["findings"]}
    assert verdicts == {"stt-object": "fixed", "libbpf-legacy-maps": "needed", "af-alg": "needed"}
    for deb in report["built"]["debs"]:
        data = (out / deb["path"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (deb["size"], deb["sha256"])
    for file in [*report["source"]["files"], *report["control"]]:
        assert hashlib.sha256((out / file["path"]).read_bytes()).hexdigest() == file["sha256"]
        assert "signed by" in file["verified"]


def test_the_patch_changes_the_loader_and_nothing_else(fixed: tuple[Path, dict[str, Any]]) -> None:
    """Of tc and ip, that is; no other program has these functions."""
    found = fixed[1]["comparison"]
    assert found["objects"] > 200 and not found["unread"]
    paths = {(f["package"], f["path"], f["how"]) for f in found["files"]}
    assert paths == {
        ("iproute2", "bin/ip", "changed"),
        ("iproute2", "sbin/tc", "changed"),
        ("iproute2", "usr/share/doc/iproute2/changelog.Debian.gz", "changed"),
        ("iproute2-doc", "usr/share/doc/iproute2-doc/changelog.Debian.gz", "changed"),
    }
    symbols = found["symbols"]
    assert {s["object"] for s in symbols} == {"lib/bpf_legacy.o", "lib/bpf_libbpf.o"}
    assert all(s["programs"] == ["ip", "tc"] for s in symbols)
    named = {(s["name"], s["how"]) for s in symbols if s["in_patch"]}
    assert {("iproute2_load_libbpf", "changed"), ("iproute2_prelink_object", "added")} <= named


def test_the_distro_refuses_what_ours_loads(fixed: tuple[Path, dict[str, Any]]) -> None:
    _, report = fixed
    seen = cells(report)
    assert seen["pinned-hash", "tc"] == ("refused", "loads")
    assert seen["pinned-hash", "xdp"] == ("refused", "loads")
    assert seen["several-maps", "tc"] == ("refused", "loads")
    assert seen["btf-maps", "tc"] == ("loads", "loads")
    clang, gcc = report["smoke"]["compilers"]
    assert "clang version" in clang and gcc.startswith("gcc ")
    assert seen["both-sections", "tc"] == ("refused", "loads")
    assert seen["program-name", "tc"] == ("refused", "loads")
    assert seen["static-map", "tc"] == ("refused", "refused")
    assert seen["object-pin-without-af-alg", "tc"] == ("refused", "loads")
    by_case = {c["case"]: c for c in report["smoke"]["cases"] if c["way"] == "tc"}
    loaded = by_case["pinned-hash"]["after"]
    assert loaded["counted"] == loaded["sent"] > 0
    refused = by_case["pinned-hash"]["before"]["output"]
    assert "legacy map definitions in 'maps' section are not supported by libbpf v1.0+" in refused
    # By its name, the program that counts twos.
    for case, each in (("both-sections", 1), ("program-name", 2)):
        after = by_case[case]["after"]
        assert after["counted"] == each * after["sent"] > 0


def test_four_changes_and_no_other(fixed: tuple[Path, dict[str, Any]]) -> None:
    out, report = fixed
    new = out / report["patched"]["dsc"]
    old = out / report["source"]["files"][0]["path"]
    done = subprocess.run(["debdiff", old, new], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    changed = [
        line.split()[1].partition("/")[2]
        for line in done.stdout.splitlines()
        if line.startswith("+++ ")
    ]
    assert [c for c in changed if c.startswith("debian/")] == [
        "debian/changelog",
        "debian/patches/respin-af-alg.patch",
        "debian/patches/respin-libbpf-legacy-maps.patch",
        "debian/patches/series",
    ]
    # What else the diff names is inside the new patch file.
    assert all(f"+++ b/{c}" not in done.stdout.split("\n") for c in changed)


def test_apt_accepts_it(fixed: tuple[Path, dict[str, Any]]) -> None:
    out, report = fixed
    (deb,) = (d["path"] for d in report["built"]["debs"] if "/iproute2_" in d["path"])
    done = subprocess.run(
        ["apt-get", "install", "--simulate", "--no-install-recommends", out / deb],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Inst iproute2 [6.1.0-3] (6.1.0-3+bpf1 " in done.stdout or (
        "Inst iproute2 (6.1.0-3+bpf1 " in done.stdout
    )


def test_an_ordinary_user_from_scratch(
    fixed: tuple[Path, dict[str, Any]],
    ordinary_user: str | None,
    nothing_left: None,
) -> None:
    """With an empty cache and an object of the user's; the .deb is the same, byte for byte.

    Of what the reproducible-builds project varies, this varies the user, home, paths, host name,
    time zone, locale, umask and number of processors; not the year, the version of the kernel, and
    the order of directory entries, which is that of the disk.
    """
    # Not in tmp_path, whose parents are closed to others.
    home = Path(tempfile.mkdtemp(prefix="respin-home-"))
    if ordinary_user:
        shutil.chown(home, ordinary_user)
    home.chmod(0o755)
    mine = home / "mine.o"
    source = Path(real.__file__).with_name("mine.c")
    subprocess.run(["clang", "-O2", "-target", "bpf", "-c", source, "-o", mine], check=True)
    said = cli.respin(
        *("run", "--release", "bookworm", "--json", "--out", home / "out"),
        *("--object", f"{mine}:mine"),
        user=ordinary_user,
        cache=home / "cache",
        begin=VARIED,
        more=("TZ=Pacific/Kiritimati", "LC_ALL=et_EE.UTF-8", "LANGUAGE=et_EE:fr", "USER=nobody"),
    )
    try:
        assert said.status == 0, said.err
        report = json.loads(said.out)
        assert report["outcome"] == "fixed"
        mine_cells = [c for c in report["smoke"]["cases"] if "mine.o" in c["case"]]
        assert [(c["before"]["seen"], c["after"]["seen"]) for c in mine_cells] == [
            ("refused", "loads")
        ]
        assert (home / "cache/CACHEDIR.TAG").exists()
        assert sorted(p.name for p in home.iterdir()) == ["cache", "mine.o", "out"]
        theirs = {d["path"]: d["sha256"] for d in report["built"]["debs"]}
        assert theirs == {d["path"]: d["sha256"] for d in fixed[1]["built"]["debs"]}
    finally:
        remove = ["unshare", "--user", "--map-auto", "--map-root-user", "rm", "-rf", str(home)]
        if os.geteuid() == 0:
            remove = ["rm", "-rf", str(home)]
        subprocess.run(remove, check=True)


def test_what_we_made_needs_nothing_any_more(
    fixed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """And that is proven, too: the source is built as it is, and the case loads."""
    out, report = fixed
    said = cli.respin(
        *("run", "--dsc", out / report["patched"]["dsc"], "--prove", "--case", "pinned-hash"),
        *("--json", "--out", tmp_path / "out"),
        cache=CACHE,
    )
    assert said.status == 0, said.err
    again = json.loads(said.out)
    jsonschema.validate(again, SCHEMA)
    assert again["outcome"] == "not-needed"
    assert {f["verdict"] for f in again["findings"]} == {"fixed"}
    rows = again["smoke"]["cases"]
    assert {c["way"] for c in rows} >= {"tc", "xdp", "action", "egress"}
    assert {(c["case"], c["before"]["seen"], c["after"]) for c in rows} == {
        ("pinned-hash", "loads", None)
    }


def test_a_thousand_loads_in_one_batch(fixed: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """Under a limit of 64 descriptors; a descriptor kept per load would end it early."""
    out, report = fixed
    image = smoke.prepare(real.archive(), real.cache(), log_dir=tmp_path)
    seen = smoke.smoke(
        image,
        before=[out / f["path"] for f in report["control"]],
        after=[out / d["path"] for d in report["built"]["debs"] if "/iproute2_" in d["path"]],
        turned={"pinned-hash": ["legacy map definitions"]},
        cases=select(["batch"]),
        lacks=frozenset({"libbpf-legacy-maps"}),
        cache=real.cache(),
        log_dir=tmp_path,
    )
    assert seen.ok, seen
    (row,) = seen.cases
    assert row.after
    assert (row.before.seen, row.after.seen) == ("refused", "loads")


@pytest.mark.parametrize("stage", ["build root: root of", "build: dpkg-buildpackage", "smoke: "])
def test_an_interrupt_leaves_nothing(stage: str, tmp_path: Path, nothing_left: None) -> None:
    out = tmp_path / "out"
    process = cli.start("run", "--release", "bookworm", "-v", "--out", out, cache=CACHE)
    assert process.stdout
    for line in process.stdout:
        if line.startswith(stage):
            break
    else:
        pytest.fail(f"never came to {stage!r}")
    said = cli.interrupt(process)
    assert process.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_goes_with_the_next(
    fixed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    cache, out = tmp_path / "cache", tmp_path / "out"
    cache.mkdir()
    for path in CACHE.iterdir():
        if path.name not in ("work", "locks", "logs"):
            (cache / path.name).symlink_to(path)
    process = cli.start("build", fixed[0], "-v", "--out", out, cache=cache)
    assert process.stdout
    for line in process.stdout:
        if line.startswith("build: dpkg-buildpackage"):
            break
    process.kill()
    process.communicate()
    assert any(path.is_dir() for path in (cache / "work").iterdir())
    said = cli.respin("fetch", "--release", "bookworm", "--out", out, cache=cache)
    assert said.status == 0, said.err
    assert list((cache / "work").iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.host import command
from pipeline.host.cache import Cache
from pipeline.isolation import namespaces
from pipeline.isolation.scratch import scratch

with scratch(Cache(Path(sys.argv[1])), "test") as directory:
    (directory / "root/closed").mkdir(parents=True, mode=0o700)
    command.run([*namespaces.unshare(), "chown", "-R", "1000:1000", directory / "root"])
    os.kill(os.getpid(), signal.SIGKILL)
"""
SWEEP = """
import sys
from pathlib import Path
from pipeline.host.cache import Cache
from pipeline.isolation.scratch import sweep

sweep(Cache(Path(sys.argv[1])))
"""


def test_what_a_killed_user_left_is_swept_whoever_of_their_ids_owns_it(
    ordinary_user: str | None,
) -> None:
    home = Path(tempfile.mkdtemp(prefix="respin-home-"))
    if ordinary_user:
        shutil.chown(home, ordinary_user)
    home.chmod(0o755)
    left = []
    for script in (KILLED, SWEEP):
        argv = [*cli.python(ordinary_user), "-c", script, str(home / "cache")]
        done = subprocess.run(argv, cwd="/", capture_output=True, text=True, check=False)
        left.append(sorted(path.suffix for path in (home / "cache/work").iterdir()))
    remove = ["unshare", "--user", "--map-auto", "--map-root-user", "rm", "-rf", str(home)]
    subprocess.run(remove if os.geteuid() else remove[4:], check=True)
    assert left == [["", ".lock"], []], done.stderr


@pytest.mark.slow  # unit/test_cache.py: two that make the same entry of a cache
def test_two_runs_at_once(fixed: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    said: dict[str, cli.Said] = {}

    def one(name: str) -> None:
        said[name] = cli.respin(
            *("run", "--release", "bookworm", "--json", "--case", "pinned-hash"),
            *("--out", tmp_path / name),
            cache=CACHE,
        )

    both = [threading.Thread(target=one, args=(name,)) for name in ("a", "b")]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    for each in said.values():
        assert each.status == 0, each.err
        debs = json.loads(each.out)["built"]["debs"]
        assert debs == fixed[1]["built"]["debs"]


def test_a_newer_run_replaces_an_older(fixed: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        said = cli.respin("patch", "--release", "bookworm", "--out", out, cache=CACHE)
        assert said.status == 0, said.err
        assert (out / "report.json").exists()
        assert said.out.strip().endswith("+bpf1.dsc")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


LOADED = """mount -t bpf bpf /sys/fs/bpf || exit 99
"$1" qdisc add dev lo clsact || exit 98
"$1" filter add dev lo ingress bpf da obj "$2" sec classifier
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root loads programs into this kernel")
def test_its_tc_loads_without_being_installed(
    fixed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """On this machine's own kernel, where the distro's, unpacked in the same way, refuses."""
    out, _ = fixed
    said = cli.respin("tc", out, "--out", tmp_path / "ours", cache=CACHE)
    assert said.status == 0, said.err
    archive, guest = real.archive(), lockfile_reader.read(out / lockfile.NAME).guest
    assert guest
    tar = guest_image.root_tar(archive, guest.root, real.cache(), None)
    here = archive.architecture
    control = tested_packages.with_programs([*(out / "control").glob("*.deb")], here)
    unpacked.write(control, tar, tmp_path / "theirs", machine_for(here).multiarch)
    made = userobjects.make("plain", tmp_path)
    seen = {}
    for name in ("ours", "theirs"):
        argv = ["unshare", "--net", "--mount", "sh", "-c", LOADED, "sh"]
        tc = tmp_path / name / "tc"
        done = subprocess.run([*argv, tc, made], capture_output=True, text=True, check=False)
        seen[name] = done.returncode, "legacy map definitions" in done.stderr
    assert seen == {"ours": (0, False), "theirs": (1, True)}
    (deb,) = (out / "debs").glob("iproute2_*.deb")
    subprocess.run(["dpkg-deb", "--extract", deb, tmp_path / "deb"], check=True)
    same = [(tmp_path / top / "sbin/tc").read_bytes() for top in ("deb", "ours/package")]
    assert same[0] == same[1]
