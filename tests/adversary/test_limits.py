# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A hostile source is built, and wants the machine's processes, memory, disk and time.

The attacker is the build's user. The aim is to stop the night, its neighbours or the machine; the
result is a sentence and exit code 13. The limits are small here, so that a test takes seconds; a
separate test checks that the usual ones reach the kernel.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support import engine, real

from pipeline.build import build
from pipeline.containers import Container, User, base, images
from pipeline.containers.base import copy_out
from pipeline.containers.host import Host
from pipeline.containers.oci import Oci
from pipeline.containers.unshare import Unshare
from pipeline.errors import BuildError
from pipeline.host import command
from pipeline.host.progress import QUIET
from pipeline.isolation.allowance import GIB, MIB, Allowance

pytestmark = pytest.mark.attack
SMALL = Allowance(
    processes=200,
    memory=256 * MIB,
    disk=64 * MIB,
    files=2000,
    file=24 * MIB,
    seconds=30,
    taken=8 * MIB,
    taken_files=20,
)
BOMB = "bomb() { bomb | bomb & }; bomb; wait; sleep 60"
HOG = 'perl -e \'$x = "x" x 100_000_000; fork; fork; fork; $y = "y" x 60_000_000; sleep 60\''
FILL = "while :; do n=$((n + 1)); head -c 20000000 /dev/zero > /build/big.$n; sleep 0.2; done"
MANY = "mkdir /build/many; cd /build/many; perl -e 'for (;;) { open(F, q(>), $n++) }'"


@pytest.fixture(scope="module", params=["unshare", "host"])
def box(request: pytest.FixtureRequest) -> Iterator[Container]:
    """Return a container to which little is allowed."""
    if request.param == "host":
        if os.geteuid() != 0:
            pytest.skip("--container host needs root")
        with real.host_alone(), Host(allowed=SMALL) as box:
            yield box
    else:
        with Unshare(real.root().tree, real.cache(), allowed=SMALL) as box:
            yield box


def ended(box: Container, script: str) -> str:
    """Run what never ends by itself, and return the sentence with which it was ended."""
    begun = time.monotonic()
    with pytest.raises(BuildError) as caught:
        box.call(["bash", "-c", script], brief="tiny was not built")
    assert caught.value.exit_code == 13
    assert time.monotonic() - begun < box.allowed.seconds  # before its time was up
    box.call(["sh", "-c", "rm -rf /build/*"])  # and the container can be used as before
    return caught.value.brief


def test_a_fork_bomb(box: Container) -> None:
    assert "processes at once" in ended(box, BOMB)


def test_memory_by_many_processes(box: Container) -> None:
    """Each of them is within what one may have; together they are not."""
    assert ended(box, HOG) == "tiny was not built: it used more than 256 MiB of memory"


def test_memory_by_one_process(box: Container) -> None:
    """What the kernel holds each to is for what a look every second is too slow for."""
    done = box.call(["perl", "-e", "$x = 'x' x 2_000_000_000; sleep 60"], check=False, timeout=20)
    assert done.status != 0 and "memory" in done.stderr.decode().lower()


def test_the_disk_by_many_files(box: Container) -> None:
    assert ended(box, FILL) == "tiny was not built: it wrote more than 64 MiB to the disk"


def test_more_files_than_a_disk_has_room_for(box: Container) -> None:
    assert ended(box, MANY) == "tiny was not built: it made more than 2,000 files"


def test_the_disk_by_one_file(box: Container) -> None:
    script = "head -c 30000000 /dev/zero > /build/big; echo $?; wc -c < /build/big; rm /build/big"
    status, size = box.call(["bash", "-c", script]).text.split()
    assert status == str(128 + signal.SIGXFSZ) and int(size) == SMALL.file


def test_files_in_memory(box: Container) -> None:
    if box.name == "host":
        pytest.skip("the machine's own /dev/shm is used up with it")
    script = "for n in 1 2 3 4; do head -c 20000000 /dev/zero > /dev/shm/$n; done; du -s /dev/shm"
    done = box.call(["sh", "-c", script])
    assert b"No space left" in done.stderr
    assert int(done.text.split()[0]) << 10 <= SMALL.shm


def test_sleeping_for_ever(box: Container) -> None:
    with pytest.raises(BuildError) as caught:
        box.call(["sleep", "999"], timeout=1)
    assert "stopped after 1 s" in caught.value.details


def test_a_command_that_nobody_gave_a_time(box: Container) -> None:
    """What is asked beside the build has a time, too: a program in there may be anything."""
    seen: list[float | None] = []
    run = box._run

    def noted(call: base.Call) -> command.Completed:
        seen.append(call.timeout)
        return run(call)

    box._run = noted  # type: ignore[method-assign]
    try:
        box.call(["true"])
    finally:
        del box._run
    assert seen == [SMALL.seconds]


@pytest.mark.parametrize(
    ("script", "names", "said"),
    [
        ("truncate -s 20M one", ["one"], "larger than respin accepts: 8 MiB"),
        ("head -c 9000000 /dev/zero > one", ["one"], "larger than respin accepts"),
        (
            "head -c 5000000 /dev/zero | tee one > two",
            ["one", "two"],
            "one, two in /build are larger than respin accepts",
        ),
        ("true", [f"{n}.deb" for n in range(10_000)], "has 10,000 files to copy"),
    ],
    ids=["sparse", "large", "together", "many"],
)
def test_what_is_taken_out(
    box: Container, script: str, names: list[str], said: str, tmp_path: Path
) -> None:
    box.call(["sh", "-c", f"rm -rf ./*; {script}"], directory="/build")
    with pytest.raises(BuildError, match=said):
        copy_out(box, "/build", names, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_an_end(box: Container, tmp_path: Path) -> None:
    box.call(["sh", "-c", "rm -rf ./*; ln -s /dev/zero one"], directory="/build")
    with pytest.raises(BuildError):
        copy_out(box, "/build", ["one"], tmp_path, most=1000)
    assert list(tmp_path.iterdir()) == []


def test_all_of_it_in_one_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A debian/rules that is a fork bomb: the stage says it, and the disk is as it was."""
    monkeypatch.setattr(base, "Allowance", lambda: SMALL)
    makefile = "SHELL = /bin/bash\ntiny:\n\tbomb() { bomb | bomb & }; bomb; sleep 999\n"
    dsc = real.tiny(tmp_path, Makefile=makefile)
    with pytest.raises(BuildError) as caught:
        build.build(
            real.root(),
            dsc,
            "1.0",
            1420070400,
            tmp_path / "debs",
            cache=real.cache(),
            log_dir=tmp_path / "logs",
            stage=QUIET,
        )
    assert caught.value.brief.startswith("the build of tiny 1.0 did not finish: it ran ")
    assert not (tmp_path / "debs").exists()


def test_the_usual_allowance_reaches_the_kernel() -> None:
    """And nothing in there can raise it."""
    usual = Allowance()
    with Unshare(real.root().tree, real.cache()) as box:
        for user in (User.BUILD, User.ROOT):
            said = box.call(["cat", "/proc/self/limits"], user=user).text
            limits = {line[:26].strip(): line[26:].split()[:2] for line in said.splitlines()}
            for name, value, kind in (
                ("Max processes", usual.processes, resource.RLIMIT_NPROC),
                ("Max address space", 2 * usual.memory, resource.RLIMIT_AS),
                ("Max file size", usual.file, resource.RLIMIT_FSIZE),
            ):
                hard = resource.getrlimit(kind)[1]
                value = value if hard == resource.RLIM_INFINITY else min(value, hard)
                assert limits[name] == [str(value)] * 2
            raised = box.call(["bash", "-c", "ulimit -u unlimited"], user=user, check=False)
            assert raised.status != 0
    assert usual.memory <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4
    assert usual.disk >= 4 * GIB and usual.processes >= 1000


def test_a_fork_bomb_and_a_memory_hog_in_docker() -> None:
    """The engine's control groups hold them; the sentence is the same."""
    with engine.docker() as docker:
        image = images.imported(docker, real.small(), real.archive().release, real.cache())
        with Oci(docker, image, allowed=replace(SMALL, seconds=120)) as box:
            form = "{{.HostConfig.PidsLimit}} {{.HostConfig.Memory}} {{.HostConfig.SecurityOpt}}"
            said = docker.call("container", "inspect", "--format", form, box._id).text
            assert said.split() == ["200", str(256 * MIB), "[no-new-privileges]"]
            assert "Seccomp:\t2" in box.call(["cat", "/proc/self/status"]).text
            assert "processes at once" in ended(box, BOMB)
            assert box.call(["sh", "-c", "ulimit -f"]).text.strip() == str(SMALL.file // 512)
            hog = "$x = 'x' x 100_000_000; fork; fork; fork; $y = 'y' x 60_000_000; sleep 20"
            done = box.call(["perl", "-e", hog], check=False, timeout=60)
            assert done.status == 137 or b"memory" in done.stderr.lower()
