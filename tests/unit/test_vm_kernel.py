# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernel, and which of its modules in which order."""

from __future__ import annotations

import gzip
import lzma
import struct
from pathlib import Path

import pytest

from pipeline.errors import SmokeImpossible
from pipeline.model import Package
from pipeline.vm import kernel


def module(depends: str) -> bytes:
    """Return an ELF object with nothing but .modinfo."""
    info = f"license=GPL\0depends={depends}\0name=x\0".encode()
    names = b"\0.modinfo\0.shstrtab\0"
    at = 64 + len(info) + len(names)
    pad = bytes(-at % 8)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 1, 62, 1, 0, 0, at + len(pad), 0, 64, 0, 0, 64, 3, 2)
    sections = bytes(64)
    sections += struct.pack("<IIQQQQIIQQ", 1, 1, 2, 0, 64, len(info), 0, 0, 1, 0)
    sections += struct.pack("<IIQQQQIIQQ", 10, 3, 0, 0, 64 + len(info), len(names), 0, 0, 1, 0)
    return head + info + names + pad + sections


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """Return a directory of modules: one built in, one compressed, one with its dependency gone."""
    directory = tmp_path / "modules"
    (directory / "kernel" / "net").mkdir(parents=True)
    (directory / "modules.builtin").write_text("kernel/lib/crypto-core.ko\n")
    net = directory / "kernel" / "net"
    (net / "virtio_pci.ko").write_bytes(module("virtio_ring,virtio"))
    (net / "virtio.ko").write_bytes(module("virtio_ring"))
    (net / "virtio_ring.ko.xz").write_bytes(lzma.compress(module("")))
    (net / "veth.ko.gz").write_bytes(gzip.compress(module("crypto_core")))
    (net / "sch-ingress.ko").write_bytes(module(""))
    (net / "lonely.ko").write_bytes(module("not-there"))
    (net / "broken.ko").write_bytes(b"\x7fELF")
    return directory


def test_dependencies_come_first(modules: Path) -> None:
    found = kernel._Modules(modules).resolve(["virtio_pci", "veth", "crypto_core"], [])
    assert list(found) == ["virtio_ring.ko", "virtio.ko", "virtio_pci.ko", "veth.ko"]
    assert all(data.startswith(b"\x7fELF") for data in found.values())


def test_a_dash_in_a_file_is_an_underscore_in_a_name(modules: Path) -> None:
    assert list(kernel._Modules(modules).resolve(["sch_ingress"], [])) == ["sch_ingress.ko"]


@pytest.mark.parametrize("name", ["nonsense", "lonely", "broken"])
def test_a_module_that_is_needed_and_not_there(modules: Path, name: str) -> None:
    with pytest.raises(SmokeImpossible, match=name):
        kernel._Modules(modules).resolve([name], [])


def test_a_module_that_is_only_wanted(modules: Path) -> None:
    found = kernel._Modules(modules).resolve(["veth"], ["nonsense", "lonely"])
    assert list(found) == ["veth.ko"]


def test_a_kernel_without_bpf(tmp_path: Path) -> None:
    config = tmp_path / "config-6.1.0"
    config.write_text(
        "CONFIG_NET=y\n# CONFIG_BPF_SYSCALL is not set\nCONFIG_VETH=m\nCONFIG_HZ=250\n"
    )
    found = kernel.read_config(config)
    assert found == frozenset({"CONFIG_NET", "CONFIG_VETH"})
    kernel._check_config(found, "6.1.0", ["CONFIG_NET", "CONFIG_VETH"])
    kernel._check_config(None, "6.1.0", ["CONFIG_BPF_SYSCALL"])  # not known: the modules tell
    with pytest.raises(SmokeImpossible, match=r"6\.1\.0 is built without CONFIG_BPF_SYSCALL"):
        kernel._check_config(found, "6.1.0", ["CONFIG_NET", "CONFIG_BPF_SYSCALL"])


def test_a_configuration_that_is_compressed_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "config.gz").write_bytes(gzip.compress(b"CONFIG_NET=y\n"))
    assert kernel.read_config(tmp_path / "config.gz") == frozenset({"CONFIG_NET"})
    assert kernel.read_config(tmp_path / "none") is None


def package(name: str) -> Package:
    return Package(name=name, version="1", architecture="amd64")


def test_the_packages_of_a_kernel() -> None:
    debian = ["initramfs-tools", "linux-image-6.1.0-56-cloud-amd64", "linux-base"]
    ubuntu = [
        "linux-image-6.8.0-31-generic",
        "linux-image-virtual",
        "linux-modules-6.8.0-31-generic",
    ]
    assert [p.name for p in kernel.parts([package(n) for n in debian])] == [debian[1]]
    found = kernel.parts([package(n) for n in ubuntu])
    assert [p.name for p in found] == [ubuntu[0], ubuntu[2]]
    assert kernel.image_package(found).name == ubuntu[0]
    unsigned = package("linux-image-unsigned-6.8.0-31-generic")
    assert kernel.image_package(kernel.parts([package(ubuntu[2]), unsigned])) == unsigned
    with pytest.raises(SmokeImpossible):
        kernel.image_package([package("linux-base")])
