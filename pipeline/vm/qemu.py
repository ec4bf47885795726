# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run QEMU: find out whether KVM works here, and run one guest from its start to its end.

QEMU runs in the foreground of ``command.run``: its deadline, a Ctrl-C or the failure of
another stage stops the guest, and no guest outlives the run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import SmokeImpossible, TestbedLost
from pipeline.files import bounded
from pipeline.host import command
from pipeline.host.cache import Cache, digest
from pipeline.isolation import namespaces
from pipeline.vm.devices import Boot, Bus, Device, Port, SerialConsole
from pipeline.vm.machine import Machine, install

MEMORY = 768
"""The guest's memory in MiB. Its root takes about 50 MiB of it, and may use half of the rest."""

SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
"""QEMU's own filter of system calls (qemu(1), -sandbox)."""

PROBE_SECONDS = 5.0
"""Seconds for the probe; a kernel under KVM boots in one."""

RESULTS_MAX = 32 * 1024 * 1024
"""Bytes that the guest may write to one of our files; the kernel kills QEMU if it writes more."""

LIMITS = {"FSIZE": RESULTS_MAX, "AS": 8 << 30, "CORE": 0}
"""QEMU's resource limits (setrlimit(2)). Emulation takes 2 GiB of addresses."""

CONSOLE_TAIL = 20
"""Lines of the console's log that an error shows."""

_WHY = re.compile(r"Kernel panic|BUG:|Oops:|\[#\d+\] |agent: ")
"""Lines that say why a guest crashed; each oops has a number: ``invalid opcode: 0000 [#1]``."""

KERNEL_OPTIONS = (
    # A crash ends the guest at once, and a missing line reveals it.
    "oops=panic",
    "panic=-1",
    # Without this, the kernel would send frames of its own: router solicitations.
    "ipv6.disable=1",
    "random.trust_cpu=on",
    # These halve the time of every program in emulation: with equal addresses in all processes,
    # translated code is used again (measured: dpkg -i 2.3 s without both, 1.2 s with).
    "norandmaps",
    "mitigations=off",
    # Each saves some 0.2 s of the boot: no relocation, and no self-tests of ciphers.
    "nokaslr",
    "cryptomgr.notests",
    "quiet",
)


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A guest to run."""

    machine: Machine
    kernel: Path
    initramfs: Path
    results: Path
    """The file for what the guest writes to its virtio port."""
    console: Path
    """The file for its console output."""
    pipe: Path | None = None
    """The pipe (``vm/feed.py``) through which it gets files while it runs."""

    def devices(self) -> tuple[Device, ...]:
        """Return the devices of its machine."""
        options = [f"console={self.machine.console}", *KERNEL_OPTIONS]
        files = Port(name="files", number=2, path=self.pipe, pipe=True) if self.pipe else None
        return (
            Boot(kernel=self.kernel, initramfs=self.initramfs, options=options),
            SerialConsole(file=self.console),
            Bus(device=self.machine.serial),
            Port(name="results", number=1, path=self.results),
            *((files,) if files else ()),
        )


def program(machine: Machine) -> str:
    """Return the path of QEMU. Raises SmokeImpossible if it is missing."""
    path = command.which(machine.qemu)
    if path is None:
        raise SmokeImpossible(
            f"the program {machine.qemu} is missing, so there is no machine to test on",
            hint=f"install it: {install(machine.package)}",
        )
    return path


def check(machine: Machine) -> str:
    """Return the name of QEMU's machine. Raises SmokeImpossible if it, or QEMU, is missing."""
    path, name = program(machine), machine.type.partition(",")[0]
    known = command.run([path, "-machine", "help"], timeout=60, error=SmokeImpossible).text
    if name not in {line.partition(" ")[0] for line in known.splitlines()}:
        version = command.run([path, "--version"], timeout=60, error=SmokeImpossible).text
        raise SmokeImpossible(
            f"the QEMU of this machine has no machine type {name}, on which packages for "
            f"{machine.architecture} are tested",
            details=f"{path}: {version.partition(chr(10))[0]}",
            hint=f"install the distro's: {install(machine.package)}; versions 7.2 and 10.0 "
            "(Debian 12's and 13's) are known to work",
        )
    return name


def accelerator(machine: Machine, kernel: Path, cache: Cache) -> str:
    """Return ``kvm`` if this kernel runs with it here, else ``tcg`` (emulation).

    /dev/kvm may exist and not work: QEMU gives up, or the guest dies with an internal error
    and QEMU stays, stopped, or the guest never ends (all three were seen; a boot sector alone
    ran well even there). So the kernel is booted once; the answer is kept until the machine
    reboots. What runs on another architecture is always emulated. Raises SmokeImpossible if QEMU
    is missing.
    """
    path = program(machine)
    if not machine.native or not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    version = command.run([path, "--version"], error=SmokeImpossible).text

    def make(part: Path) -> None:
        part.write_text("kvm" if _probe(machine, kernel) else "tcg")

    return cache.entry(
        "kvm", digest(boot, version, str(os.getuid()), kernel.parent.name), make
    ).read_text()


def _probe(machine: Machine, kernel: Path) -> bool:
    """Return whether the kernel boots under KVM until it misses its root file system."""
    boot = Boot(kernel=kernel, options=[f"console={machine.console}", "panic=-1"])
    devices = (boot, SerialConsole())
    begin = _wall(devices, kvm=True)
    try:
        done = command.run(
            [*begin, *_machine(machine, "kvm", devices)],
            env=namespaces.ENVIRONMENT,
            timeout=PROBE_SECONDS,
            check=False,
            error=TestbedLost,
        )
    except TestbedLost:  # still there at the deadline
        return False
    return done.status == 0 and b"Unable to mount root fs" in done.stdout


def _machine(machine: Machine, accel: str, devices: Sequence[Device]) -> list[str]:
    argv = [program(machine), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    argv += ["-sandbox", SANDBOX]
    argv += ["-accel", accel, "-machine", machine.type, "-smp", "1", "-m", str(MEMORY)]
    # Emulation with two processors takes longer than with one (measured: by a third).
    argv += ["-cpu", "host" if accel == "kvm" else machine.cpu]
    return [*argv, *(word for device in devices for word in device.argv())]


def _wall(devices: Sequence[Device], *, kvm: bool) -> list[str]:
    """Return the start of QEMU's command line, which confines it to its files.

    Namespaces do this, in which root is another id. Without them, as in a step of ``docker
    build``, QEMU at least keeps no capability, and the container is the wall.
    """
    binds = [bind for device in devices for bind in device.files()]
    begin = namespaces.apart(*binds, kvm=kvm, limits=LIMITS)
    if begin:
        return begin
    begin = ["prlimit", *(f"--{name.lower()}={value}" for name, value in LIMITS.items())]
    begin += ["setpriv", "--no-new-privs", "--inh-caps=-all"]
    return [*begin, "--bounding-set=-all"] if os.geteuid() == 0 else begin


def run(
    guest: Guest,
    *,
    accel: str,
    limit: float | command.Limit,
    log: Path | None,
    aside: bool = False,
) -> None:
    """Run a guest until it ends itself.

    ``limit`` is how long it may take (seconds), ``log`` takes QEMU's own output. With
    ``aside`` it leaves the processors to what the run is waiting for. Raises TestbedLost,
    with the end of the console, if QEMU fails or time runs out; a guest that crashed ends
    like any other, and is known by what it did not report.
    """
    devices = guest.devices()
    written = [bind.host for device in devices for bind in device.files() if bind.write]
    for path in (guest.console, guest.results):
        # Only files that exist can be seen behind a wall.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644))
    # With the default of 10, the guest would get next to nothing on a busy machine.
    begin = ["nice", "-n", "4"] if aside else []
    begin += _wall(devices, kvm=accel == "kvm")
    try:
        with namespaces.lent(*written):
            command.run(
                _machine(guest.machine, accel, devices),
                begin=begin,
                env=namespaces.ENVIRONMENT,
                timeout=limit,
                log=log,
                error=TestbedLost,
            )
    except TestbedLost as e:
        brief = "the guest was lost"
        if not guest.console.stat().st_size:
            brief += f": {guest.machine.qemu} ended before the guest wrote anything"
        raise lost(brief, guest.console, e.details) from e


def lost(brief: str, console: Path, details: str = "") -> TestbedLost:
    """Return the error for a lost guest, with the end of its console's log."""
    parts = [details] if details else []
    if console.exists():
        text = bounded.end(console, 65536).decode("utf-8", "replace")
        lines = ["".join(c for c in line if c.isprintable()) for line in text.splitlines()]
        end = lines[-CONSOLE_TAIL:]
        # The call trace after a panic is longer than the lines that say why.
        parts += ["The end of the console's output:"]
        parts += [line for line in lines[:-CONSOLE_TAIL] if _WHY.search(line)]
        parts += [*end, f"The whole log: {console}"]
    return TestbedLost(
        brief,
        details="\n".join(parts),
        hint="nothing is proven; run the smoke test again, and if the guest is lost again, read "
        "the console's log",
    )
