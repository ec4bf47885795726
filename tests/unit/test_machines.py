# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The machines of every architecture, and the command line that starts QEMU for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.archives import host_apt
from pipeline.errors import SmokeImpossible
from pipeline.host import command
from pipeline.host.cache import Cache
from pipeline.smoke import guest_image
from pipeline.vm import guest_programs, qemu
from pipeline.vm.machine import Machine, install, machine_for, machines

ARCHITECTURES = ("amd64", "arm64", "armhf", "i386", "ppc64el", "riscv64", "s390x")


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine be amd64, with every program."""
    monkeypatch.setattr(host_apt, "architecture", lambda: "amd64")
    monkeypatch.setattr(command, "which", lambda name: f"/usr/bin/{name}")


def argv(machine: Machine, accel: str = "tcg") -> list[str]:
    """Return QEMU's command line for a guest."""
    guest = qemu.Guest(
        machine=machine,
        kernel=Path("vmlinuz"),
        initramfs=Path("initramfs"),
        results=Path("said"),
        console=Path("console"),
    )
    return qemu._machine(machine, accel, guest.devices())


def test_all_architectures() -> None:
    assert tuple(sorted(machines())) == ARCHITECTURES
    with pytest.raises(SmokeImpossible, match="cannot emulate m68k") as e:
        machine_for("m68k")
    assert all(name in e.value.hint for name in ARCHITECTURES)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_command_line(architecture: str) -> None:
    machine = machine_for(architecture)
    line = argv(machine)
    assert line[0] == f"/usr/bin/{machine.qemu}"
    assert line[line.index("-machine") + 1] == machine.type
    assert line[line.index("-cpu") + 1] == machine.cpu
    assert line[line.index("-append") + 1].startswith(f"console={machine.console} ")
    assert int(line[line.index("-m") + 1]) % 256 == 0, "pseries takes nothing else"
    serial = "virtio-serial-ccw" if architecture == "s390x" else "virtio-serial-pci"
    assert serial in line


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_it_is_compiled_with(architecture: str) -> None:
    machine = machine_for(architecture)
    assert machine.little is (architecture != "s390x")
    assert machine.bpf_target == ("bpfel" if machine.little else "bpfeb")
    assert machine.native is (architecture == "amd64")
    if architecture == "amd64":
        assert (machine.compiler, machine.headers) == ("gcc", "/usr/include/x86_64-linux-gnu")
        assert [*machine.needs] == ["qemu-system-x86"], "nothing foreign is needed for a native run"
    if architecture == "i386":
        assert (machine.compiler, machine.headers) == (
            *("i686-linux-gnu-gcc", "/usr/i686-linux-gnu/include"),
        )
        assert [*machine.needs] == ["qemu-system-x86", "gcc-i686-linux-gnu", "libc6-dev-i386-cross"]


def test_amd64_is_foreign_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_apt, "architecture", lambda: "arm64")
    assert machine_for("arm64").compiler == "gcc"
    assert [*machine_for("amd64").needs][1:] == ["gcc-x86-64-linux-gnu", "libc6-dev-amd64-cross"]


def test_a_missing_cross_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "which", lambda name: None if "s390x" in name else f"/x/{name}")
    monkeypatch.setattr(Path, "exists", lambda _: False)
    with pytest.raises(SmokeImpossible) as e:
        guest_programs.check(machine_for("s390x"))
    assert e.value.hint.endswith("apt install gcc-s390x-linux-gnu libc6-dev-s390x-cross")
    assert "s390x" in e.value.brief
    assert guest_programs.check(machine_for("amd64")) == "gcc"


def test_the_package_of_a_missing_qemu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "which", lambda _: None)
    with pytest.raises(SmokeImpossible, match="qemu-system-s390x is missing") as e:
        qemu.program(machine_for("s390x"))
    assert "apt install qemu-system-s390x" in e.value.hint and "qemu-system-misc" in e.value.hint
    assert install("qemu-system-arm") == "apt install qemu-system-arm"


def test_a_foreign_guest_is_emulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: True)
    cache = Cache(tmp_path)
    for architecture in ("arm64", "i386"):
        assert qemu.accelerator(machine_for(architecture), tmp_path / "vmlinuz", cache) == "tcg"


def test_the_modules_of_the_machine() -> None:
    """The transport of s390x is built in, but its kernel does not say so."""
    for architecture, first in (("amd64", "virtio_pci"), ("s390x", "virtio_console")):
        settings = guest_image._settings_for(machine_for(architecture))
        assert settings["modules"]["needed"][0] == first
