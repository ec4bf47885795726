# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A hostile package breaks out of its guest into QEMU, and wants the machine.

The attacker has whatever QEMU's process has (its device models have had such holes). The aim is
the caller's rights, files and network. The tests look at QEMU in /proc while a guest runs.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import real, smallpackage

from pipeline.errors import TestbedLost
from pipeline.host import command
from pipeline.isolation import ids, namespaces, views
from pipeline.isolation.order import Order, WallKind
from pipeline.vm import devices, qemu
from pipeline.vm.feed import Feed

pytestmark = pytest.mark.attack
ODD = "a,path=b,c"
"""The name of a directory, as ``--logs`` may have it."""


def guest(directory: Path) -> qemu.Guest:
    """Return a guest that ends with a panic, a few seconds after its start."""
    image = smallpackage._image()
    (directory / "nothing").write_bytes(b"")
    return qemu.Guest(
        machine=image.machine,
        kernel=image.vmlinuz,
        initramfs=directory / "nothing",
        results=directory / "said",
        console=directory / "console",
        pipe=directory / "files",
    )


@contextmanager
def running(directory: Path) -> Iterator[Path]:
    """Run a guest; yield the directory in /proc of its QEMU once that has started."""
    told: list[BaseException] = []
    machine = guest(directory)

    def run() -> None:
        try:
            qemu.run(machine, accel="tcg", limit=60, log=directory / "log")
        except BaseException as e:
            told.append(e)

    with Feed(directory / "files"):
        thread = threading.Thread(target=run)
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while not (found := processes(directory)):
                assert thread.is_alive() and time.monotonic() < deadline, told
                time.sleep(0.02)
            yield found[0]
        finally:
            thread.join()
    assert not told, told


def processes(directory: Path) -> list[Path]:
    """Return the processes of QEMU that have a directory in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "comm").read_text().startswith("qemu") and str(directory).replace(
                ",", ",,"
            ).encode() in (path / "cmdline").read_bytes():
                found.append(path)
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Return what was seen of QEMU while a guest ran."""
    directory = tmp_path_factory.mktemp("guest") / ODD
    directory.mkdir()
    secret = directory / "secret"
    secret.write_text("of the host")
    with running(directory) as process:
        time.sleep(0.5)  # until it has set up its own filter
        status = (process / "status").read_text().splitlines()
        return {
            "status": dict(line.split(":\t", 1) for line in status if ":\t" in line),
            "net": (process / "ns/net").readlink(),
            "root": sorted(path.name for path in (process / "root").iterdir()),
            "secret": (process / f"root{secret}").exists(),
            "kernel": (process / f"root{guest(directory).kernel}").exists(),
            "cache": sorted(p.name for p in (process / f"root{real.cache().root}").iterdir()),
            "limits": (process / "limits").read_text(),
            "console": directory / "console",
        }


def test_it_has_no_capability_and_gains_none(seen: dict[str, dict[str, str]]) -> None:
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(seen["status"][name], 16) == 0, name
    assert seen["status"]["NoNewPrivs"] == "1"


def test_system_calls_are_filtered_twice(seen: dict[str, dict[str, str]]) -> None:
    """By QEMU's own -sandbox, and by ours."""
    assert seen["status"]["Seccomp"] == "2"
    assert int(seen["status"].get("Seccomp_filters", "2")) >= 2


def test_it_is_nobody_when_root_starts_it(seen: dict[str, dict[str, str]]) -> None:
    uids = set(map(int, seen["status"]["Uid"].split()))
    assert uids == {ids.mine().owner[0]}
    assert os.geteuid() != 0 or min(uids) >= 65536


def test_it_sees_its_own_files_and_no_other(seen: dict[str, object]) -> None:
    assert seen["kernel"] and not seen["secret"]
    assert not {"run", "sys", "boot"} & set(seen["root"])  # type: ignore[call-overload]
    assert seen["cache"] == ["guests"]  # that of the kernel


def test_it_has_no_network(seen: dict[str, object]) -> None:
    assert seen["net"] != Path("/proc/self/ns/net").readlink()


def test_it_writes_no_more_than_it_may(seen: dict[str, str]) -> None:
    line = next(each for each in seen["limits"].splitlines() if each.startswith("Max file size"))
    assert line.split()[3:5] == [str(qemu.RESULTS_MAX)] * 2


def test_a_comma_in_a_path_is_no_option(seen: dict[str, Path]) -> None:
    """The directory is named as if a part of an option began in it; what was written is there."""
    assert seen["console"].stat().st_size > 100
    assert seen["console"].stat().st_uid == os.geteuid()
    assert devices.option("file", id="x", path="/a,b") == "file,id=x,path=/a,,b"


def test_a_console_that_is_a_link(tmp_path: Path) -> None:
    """Who may write to the logs' directory lays a link to another file of the caller's there."""
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / "console").symlink_to(victim)
    with Feed(tmp_path / "files"), pytest.raises((OSError, TestbedLost)):
        qemu.run(guest(tmp_path), accel="tcg", limit=60, log=None)
    assert victim.read_text() == "kept"


def test_kvm_is_still_there_for_who_may_use_it() -> None:
    """The device belongs to root and a group, and QEMU is neither any more."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("this user may not use /dev/kvm, or there is none")
    owner = Path("/dev/kvm").stat()
    view = views.system()
    order = Order(kind=WallKind.VIEW, ids=ids.mine(), kvm=True, **view.parts)
    command.run([*order.argv(), "PATH=/usr/bin:/bin", "sh", "-c", ": <>/dev/kvm"], env={})
    assert Path("/dev/kvm").stat() == owner


def test_the_answer_about_kvm_is_the_one_without_a_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    image = smallpackage._image()
    found = qemu.accelerator(image.machine, image.vmlinuz, real.cache())
    monkeypatch.setattr(namespaces, "possible", lambda: False)
    probed = os.access("/dev/kvm", os.R_OK | os.W_OK) and qemu._probe(image.machine, image.vmlinuz)
    assert found == ("kvm" if probed else "tcg")
