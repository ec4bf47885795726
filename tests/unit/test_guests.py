# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernels a guest may have, and which guests cannot be made."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from pipeline.archives import apt_errors, deb_file, host_apt
from pipeline.errors import FetchError, SmokeImpossible
from pipeline.host import command
from pipeline.host.cache import Cache
from pipeline.model import Package, Release
from pipeline.smoke import guest_image, own_kernel, tested_packages
from pipeline.smoke.tested_packages import Deb
from pipeline.vm import guest_programs
from pipeline.vm import image as images
from pipeline.vm.image import GuestImage
from pipeline.vm.machine import machine_for

DEBIAN = {
    "linux-image-amd64": "newest",
    "linux-image-cloud-amd64": "newest",
    "linux-image-rt-amd64": "newest",
    "linux-image-6.12-cloud-amd64": "newest",
    "linux-image-4.9.0-19-amd64": "all",
    "linux-image-6.1.0-0.deb11.25-cloud-amd64": "all",
    "linux-image-6.1.0-56-amd64": "all",
    "linux-image-6.1.0-56-rt-amd64": "all",
    "linux-image-6.12.117+deb12-cloud-amd64": "all",
    "linux-image-6.16~rc7-amd64": "all",
    "linux-image-6.1.0-56-amd64-dbg": "",
    "linux-image-6.1.0-56-cloud-amd64-unsigned": "",
    "linux-image-6.1.0-56-arm64": "",
    "linux-image-amd64-dbg": "",
    "linux-image-amd64-signed-template": "",
    "linux-image-arm64": "",
}
UBUNTU = {
    "linux-image-generic": "newest",
    "linux-image-generic-hwe-22.04": "newest",
    "linux-image-virtual": "newest",
    "linux-image-4.15.0-20-lowlatency": "all",
    "linux-image-6.8.0-31-generic": "all",
    "linux-image-6.8.0-31-generic-64k": "all",
    "linux-image-6.8.0-1009-aws": "all",
    "linux-image-6.8.0-31-generic-dbgsym": "",
    "linux-image-unsigned-6.8.0-31-generic": "",
    "linux-image-extra-4.4.0-21-generic": "",
    "linux-image-extra-virtual": "",
}


@pytest.mark.parametrize(("distro", "index"), [("debian", DEBIAN), ("ubuntu", UBUNTU)])
@pytest.mark.parametrize("word", guest_image.SETS)
def test_which_kernels_of_an_index_are_taken(distro: str, index: dict[str, str], word: str) -> None:
    """A package is in one set at most: what is in ``newest`` only depends on one of ``all``."""
    pattern = guest_image.kernel_pattern(distro, word, machine_for("amd64"))
    taken = {name for name in index if re.fullmatch(pattern, name)}
    assert taken == {name for name, meant in index.items() if meant == word}


def test_of_another_distro_none_is_known() -> None:
    assert guest_image.kernel_pattern("plan9", "all", machine_for("amd64")) == ""


class Archive:
    """An archive of s390x that lists what it is told, and has no file of it."""

    release = Release(distro="debian", codename="bookworm", version="12")
    architecture = "s390x"
    sources = ()

    def __init__(self, says: str, *names: str) -> None:
        self.says, self.names = says, names

    def candidate(self, name: str) -> Package | None:
        return kernel(name) if name in self.names else None

    def closure(self, names: list[str]) -> tuple[Package, ...]:
        return tuple(map(kernel, names))

    def download(self, *_: object) -> None:
        raise apt_errors.explain(FetchError("apt failed", details=self.says), "fetching")


def kernel(name: str) -> Package:
    name = name.replace("linux-image-s", "linux-image-6.1.0-50-s")
    return Package(name=name, version="6.1.1", architecture="s390x", sha256="0" * 64)


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Archive], GuestImage]:
    """Prepare a guest where every program and root is there."""
    monkeypatch.setattr(host_apt, "architecture", lambda: "amd64")
    monkeypatch.setattr(command, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(guest_programs, "check", lambda machine: machine.compiler)
    monkeypatch.setattr(guest_image, "root_tar", lambda *_: tmp_path / "root")
    for name in ("agent", "player"):
        monkeypatch.setattr(images, name, lambda *_: tmp_path / "program")
    cache = Cache(tmp_path / "cache")
    return lambda archive: guest_image.prepare(cast(Any, archive), cache, log_dir=tmp_path)


def test_a_kernel_that_is_listed_but_not_there(prepared: Callable[[Archive], GuestImage]) -> None:
    """Nothing is proven then. Another trouble of the archive stays what it is."""
    archive = Archive("Err:1 404  Not Found", "dpkg", "linux-image-s390x")
    with pytest.raises(SmokeImpossible) as e:
        prepared(archive)
    assert e.value.brief == (
        "the archive lists the kernel linux-image-6.1.0-50-s390x, but does not have its file"
    )
    with pytest.raises(FetchError, match="cannot be reached"):
        prepared(Archive("Could not connect to x", "dpkg", "linux-image-s390x"))


def test_a_release_without_the_architecture(prepared: Callable[[Archive], GuestImage]) -> None:
    with pytest.raises(SmokeImpossible, match="debian bookworm has no packages for s390x"):
        prepared(Archive(""))


def test_a_kernel_for_another_architecture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deb = Deb(path=tmp_path / "k.deb", name="linux-image-x", version="1", architecture="amd64")
    monkeypatch.setattr(tested_packages, "read", lambda _: deb)
    with pytest.raises(SmokeImpossible, match=r"k\.deb is for amd64, and the package for s390x"):
        own_kernel.packages([deb.path], "s390x")


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file be the package that its name says, before the first "_"."""

    def read(path: Path) -> Deb:
        name = path.name.partition("_")[0]
        return Deb(path=path, name=name, version="1", architecture="amd64")

    monkeypatch.setattr(tested_packages, "read", read)


IMAGE, UNSIGNED = Path("linux-image-6.8.0-31-generic_1.deb"), Path("linux-image-unsigned-6.9_1.deb")
MODULES, EXTRA = (Path(f"linux-modules-{part}6.8.0-31-generic_1.deb") for part in ("", "extra-"))


@pytest.mark.parametrize(
    ("given", "kernels"),
    [
        ([], []),
        ([IMAGE], [(IMAGE,)]),
        ([MODULES, IMAGE, EXTRA], [(IMAGE, MODULES, EXTRA)]),
        (
            [UNSIGNED, Path("linux-modules-6.9_1.deb"), IMAGE, MODULES],
            [(UNSIGNED, Path("linux-modules-6.9_1.deb")), (IMAGE, MODULES)],
        ),
    ],
)
def test_packages_of_one_kernel(
    named: None, given: list[Path], kernels: list[tuple[Path, ...]]
) -> None:
    assert own_kernel.together(given) == kernels


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([MODULES], "has the modules of a kernel whose image was not given"),
        ([UNSIGNED, MODULES], "has the modules of a kernel whose image was not given"),
        ([IMAGE, Path("linux-headers-6.8_1.deb")], "linux-headers-6.8_1.deb is not a kernel pack"),
        ([Path("linux-modules-nvidia-6.8_1.deb")], "is not a kernel package"),
    ],
)
def test_a_package_that_belongs_to_no_kernel(named: None, given: list[Path], words: str) -> None:
    with pytest.raises(SmokeImpossible, match=words):
        own_kernel.together(given)


@pytest.mark.parametrize(
    ("depends", "missing"),
    [
        ("", ""),
        ("kmod, initramfs-tools | linux-initramfs-tool", ""),
        ("kmod, linux-modules-6.8.0-31-generic (= 1)", "linux-modules-6.8.0-31-generic"),
    ],
)
def test_an_image_whose_modules_are_elsewhere(
    named: None, monkeypatch: pytest.MonkeyPatch, depends: str, missing: str
) -> None:
    monkeypatch.setattr(deb_file, "show", lambda *_, **__: depends)
    monkeypatch.setattr(own_kernel, "file_sha256", lambda path: path.name)
    both = own_kernel.packages([IMAGE, MODULES], "amd64")
    assert [package.name for package in both] == [
        p.name.partition("_")[0] for p in (IMAGE, MODULES)
    ]
    if not missing:
        assert own_kernel.packages([IMAGE], "amd64") == both[:1]
        return
    with pytest.raises(SmokeImpossible, match=f"are in another package, {missing}") as e:
        own_kernel.packages([IMAGE], "amd64")
    assert e.value.hint == f"give both: --kernel {IMAGE} --kernel {missing}_….deb"


def test_packages_of_two_architectures(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> Deb:
        return Deb(path=path, name="iproute2", version="1", architecture=path.suffix[1:])

    monkeypatch.setattr(tested_packages, "read", read)
    assert tested_packages.architecture([Path("a.s390x"), Path("b.s390x")]) == "s390x"
    with pytest.raises(SmokeImpossible, match=r"a.s390x is for s390x, but b.arm64 is for arm64"):
        tested_packages.architecture([Path("a.s390x"), Path("b.arm64")])
