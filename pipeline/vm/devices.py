# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's devices as values: each knows its options and the files that it opens.

A guest is a sequence of them; no other module writes an option of a device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.isolation.order import Bind


class Device(Protocol):
    """A part of a machine."""

    def argv(self) -> list[str]:
        """Return its options for QEMU."""

    def files(self) -> list[Bind]:
        """Return the files that QEMU opens for it."""


@dataclass(frozen=True, kw_only=True)
class Boot:
    """What the machine boots: a kernel with its command line, and perhaps an initramfs."""

    kernel: Path
    options: Sequence[str]
    initramfs: Path | None = None

    def argv(self) -> list[str]:
        """Return its options; -append is one argument, whatever it contains."""
        argv = ["-kernel", str(self.kernel), "-append", " ".join(self.options)]
        return [*argv, "-initrd", str(self.initramfs)] if self.initramfs else argv

    def files(self) -> list[Bind]:
        """Return the kernel and the initramfs, read-only."""
        return [Bind(host=path) for path in (self.kernel, self.initramfs) if path]


@dataclass(frozen=True, kw_only=True)
class SerialConsole:
    """The serial console, written to a file, or without one to QEMU's standard output."""

    file: Path | None = None

    def argv(self) -> list[str]:
        """Use a separate character device: -serial file:PATH would parse commas in the path."""
        if self.file is None:
            return ["-serial", "stdio"]
        return [*_chardev("file", "console", self.file), "-serial", "chardev:console"]

    def files(self) -> list[Bind]:
        """Return the file that QEMU writes to, if any."""
        return [Bind(host=self.file, write=True)] if self.file else []


@dataclass(frozen=True, kw_only=True)
class Bus:
    """The bus that ports are on."""

    device: str
    """QEMU's name of it."""

    def argv(self) -> list[str]:
        """Return its options, which have no values."""
        return ["-device", self.device]

    def files(self) -> list[Bind]:
        """Return none."""
        return []


@dataclass(frozen=True, kw_only=True)
class Port:
    """A virtio port: /dev/vportNpM in the guest, here a file or a pipe (PATH.in, PATH.out)."""

    name: str
    number: int
    path: Path
    pipe: bool = False

    def argv(self) -> list[str]:
        """Return its options; in the guest its name is respin.NAME."""
        port = f"virtserialport,chardev={self.name},name=respin.{self.name},nr={self.number}"
        return [*_chardev("pipe" if self.pipe else "file", self.name, self.path), "-device", port]

    def files(self) -> list[Bind]:
        """Return its files; QEMU opens both ends of a pipe for reading and writing."""
        ends = [f"{self.path}.in", f"{self.path}.out"] if self.pipe else [self.path]
        return [Bind(host=Path(end), write=True) for end in ends]


def _chardev(kind: str, name: str, path: Path) -> list[str]:
    return ["-chardev", option(kind, id=name, path=path)]


def option(kind: str, **values: str | Path) -> str:
    """Return the value of a QEMU option that has parts; a comma in a part is doubled."""
    parts = (f"{name}={value}".replace(",", ",,") for name, value in values.items())
    return ",".join([kind, *parts])
