# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU: whether KVM works here, and one guest from its start to its end.

QEMU runs in the foreground of ``command.run``: its deadline, a Ctrl-C or the failure of
another stage stops the guest, and none outlives the run.
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
from pipeline.vm.machine import Machine

MEMORY = 768
"""MiB of the guest. Its root is in memory: about 50 MiB, and half of the rest may be used."""

SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
"""QEMU's own filter of system calls (qemu(1), -sandbox)."""

PROBE_SECONDS = 5.0
"""A kernel under KVM boots in one second."""

RESULTS_MAX = 32 * 1024 * 1024
"""Bytes that the guest may write to a file of ours; the kernel ends QEMU if it writes more."""

LIMITS = {"FSIZE": RESULTS_MAX, "AS": 8 << 30, "CORE": 0}
"""What the kernel holds QEMU to (setrlimit(2)). Of addresses, emulation takes 2 GiB."""

CONSOLE_TAIL = 20
"""Lines of the console's log that an error shows."""

_WHY = re.compile(r"Kernel panic|BUG:|Oops:|\[#\d+\] |agent: ")
"""What says why a guest crashed; every oops is counted: ``invalid opcode: 0000 [#1] PREEMPT``."""

KERNEL_OPTIONS = (
    # A crash ends the guest at once, and is seen by the line that is missing.
    "oops=panic",
    "panic=-1",
    # Router solicitations would be frames of the kernel's own.
    "ipv6.disable=1",
    "random.trust_cpu=on",
    # Halves the time of every program in emulation: equal addresses in all processes, so
    # that translated code is used again (measured: dpkg -i 2.3 s without both, 1.2 s with).
    "norandmaps",
    "mitigations=off",
    # Each saves some 0.2 s of the boot: no relocation, no self-tests of ciphers.
    "nokaslr",
    "cryptomgr.notests",
    "quiet",
)


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A guest to be run."""

    machine: Machine
    kernel: Path
    initramfs: Path
    results: Path
    """The file that takes what the guest writes to its virtio port."""
    console: Path
    """The file that takes its console."""
    pipe: Path | None = None
    """The pipe (``vm/feed.py``) through which it is given files while it runs."""

    def devices(self) -> tuple[Device, ...]:
        """Return what its machine has."""
        options = [f"console={self.machine.console}", *KERNEL_OPTIONS]
        files = Port(name="files", number=2, path=self.pipe, pipe=True) if self.pipe else None
        return (
            Boot(kernel=self.kernel, initramfs=self.initramfs, options=options),
            SerialConsole(file=self.console),
            Bus(),
            Port(name="results", number=1, path=self.results),
            *((files,) if files else ()),
        )


def program(machine: Machine) -> str:
    """Return the path of QEMU. Raises SmokeImpossible if it is missing."""
    path = command.which(machine.qemu)
    if path is None:
        raise SmokeImpossible(
            f"the program {machine.qemu} is missing, so there is no machine to test on",
            hint=f"install it: apt install {machine.package}",
        )
    return path


def accelerator(machine: Machine, kernel: Path, cache: Cache) -> str:
    """Return ``kvm`` if this kernel runs with it here, else ``tcg`` (emulation).

    /dev/kvm may be there and not work: QEMU gives up, or the guest dies with an internal
    error and QEMU stays, stopped, or it never ends (all three seen; a boot sector alone ran
    well even there). So the kernel is booted, once; the answer is kept until the machine
    boots anew. Raises SmokeImpossible if QEMU is missing.
    """
    path = program(machine)
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    version = command.run([path, "--version"], error=SmokeImpossible).text

    def make(part: Path) -> None:
        part.write_text("kvm" if _probe(machine, kernel) else "tcg")

    return cache.entry(
        "kvm", digest(boot, version, str(os.getuid()), kernel.parent.name), make
    ).read_text()


def _probe(machine: Machine, kernel: Path) -> bool:
    """Whether the kernel comes under KVM as far as to miss its root file system."""
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
    # Two processors in emulation are slower than one (measured: by a third), all told.
    argv += ["-cpu", "host" if accel == "kvm" else machine.cpu]
    return [*argv, *(word for device in devices for word in device.argv())]


def _wall(devices: Sequence[Device], *, kvm: bool) -> list[str]:
    """Return the beginning of QEMU's command line: it sees its files, and can do nothing else.

    By namespaces, in which root is another id; without them, as a step of ``docker build`` is,
    it keeps no capability at least, and the container is the wall.
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

    ``limit`` is how long it may take (seconds), ``log`` takes QEMU's own words. With
    ``aside`` it leaves the processors to what is waited for meanwhile. Raises TestbedLost,
    with the end of the console, if QEMU fails or time runs out; a guest that crashed ends
    like any other, and is known by what it did not say.
    """
    devices = guest.devices()
    written = [bind.host for device in devices for bind in device.files() if bind.write]
    for path in (guest.console, guest.results):
        # They have to be there to be seen behind a wall.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644))
    # Not the default of 10: on a busy machine the guest would get next to nothing.
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
        raise lost("the guest was lost", guest.console, e.details) from e


def lost(brief: str, console: Path, details: str = "") -> TestbedLost:
    """Return the error for a lost guest, with the end of its console's log."""
    parts = [details] if details else []
    if console.exists():
        text = bounded.end(console, 65536).decode("utf-8", "replace")
        lines = ["".join(c for c in line if c.isprintable()) for line in text.splitlines()]
        end = lines[-CONSOLE_TAIL:]
        # The call trace after a panic is longer than what says why.
        parts += ["The end of the console's output:"]
        parts += [line for line in lines[:-CONSOLE_TAIL] if _WHY.search(line)]
        parts += [*end, f"The whole log: {console}"]
    return TestbedLost(
        brief,
        details="\n".join(parts),
        hint="nothing is proven; run the smoke test again, and if the guest is lost again, read "
        "the console's log",
    )
