# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guests of a release: its root, with one of its kernels or one that the user gives."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache as memoize
from pathlib import Path
from typing import Any

from pipeline.archives import apt_errors, keyrings
from pipeline.archives.apt import AptArchive
from pipeline.errors import FetchError, SmokeImpossible
from pipeline.host import command
from pipeline.host.cache import Cache, digest
from pipeline.host.progress import QUIET, Stage
from pipeline.host.resources import package_data
from pipeline.isolation.scratch import scratch
from pipeline.model import AptSource, GuestPackages, Package
from pipeline.smoke import own_kernel
from pipeline.vm import guest_programs, guest_root, qemu
from pipeline.vm import image as images
from pipeline.vm import kernel as kernels
from pipeline.vm.image import GuestImage
from pipeline.vm.machine import Machine, machine_for

SETS = ("all", "newest")
"""Words for a set of kernels: every one of the release, or the newest of each series and
flavour."""

Fetch = Callable[[Path], Sequence[Path]]


@memoize
def _settings() -> Mapping[str, Any]:
    return tomllib.loads(package_data(__package__, "guest.toml").read_text())


def _settings_for(machine: Machine) -> Mapping[str, Any]:
    """Return the settings with the modules that the machine itself needs."""
    settings = _settings()
    modules = settings["modules"]
    return {**settings, "modules": {**modules, "needed": [*machine.modules, *modules["needed"]]}}


def prepare(
    archive: AptArchive,
    cache: Cache,
    *,
    log_dir: Path,
    stage: Stage = QUIET,
    kernel: str | Sequence[Path] | None = None,
    exact: GuestPackages | None = None,
) -> GuestImage:
    """Return the base image of a release's guest: its kernel and packages.

    ``exact`` are the packages that it must contain, instead of those that apt resolves. ``kernel``
    is the name of a kernel package of the release, or the .debs of one, that with the image first;
    by default it is the smallest of the release. It depends on nothing from the build, so both may
    run at the same time. Raises SmokeImpossible if it cannot be made here, FetchError if a package
    cannot be fetched.
    """
    machine = machine_for(archive.architecture)
    qemu.program(machine)
    guest_programs.check(machine)
    for program in (machine.compiler, "clang"):
        if command.which(program) is None:
            raise SmokeImpossible(
                f"the program {program} is missing", hint=f"install it: apt install {program}"
            )
    if not machine.native and archive.candidate("dpkg") is None:
        raise SmokeImpossible(
            f"{archive.release.distro} {archive.release.codename} has no packages for "
            f"{machine.architecture} in this archive",
            hint="name a release that has this architecture (--release)",
        )
    choices = [_fetched(archive, exact.kernel)] if exact else _choices(archive, machine, kernel)
    key = exact.root if exact else archive.closure(_names(archive, _settings()["root"]))
    root = root_tar(archive, key, cache, log_dir / "guest-root.log")
    refused: SmokeImpossible | None = None
    for packages, fetch in choices:
        stage.note(f"guest kernel {kernels.image_package(packages).name}")
        try:
            image = images.build(
                cache,
                root=root,
                packages=GuestPackages(root=tuple(key), kernel=packages),
                fetch=fetch,
                settings=_settings_for(machine),
                log=log_dir / "guest-image.log",
            )
        except SmokeImpossible as e:
            refused = e
            continue
        qemu.accelerator(machine, image.vmlinuz, cache)
        return image
    raise refused or SmokeImpossible(
        f"{archive.release.distro} {archive.release.codename} has no kernel package"
        f" {kernel or 'to test on'}",
        hint="check that its archive has one of the kernel packages in pipeline/smoke/guest.toml"
        if kernel is None
        else "give the name of a package of the release, the .deb of a kernel, newest or all",
    )


def root_tar(archive: AptArchive, key: Sequence[Package], cache: Cache, log: Path | None) -> Path:
    """Return the tarball of a root with these packages; raise SmokeImpossible."""

    def make(part: Path) -> None:
        with scratch(cache, "root") as work:
            try:
                debs = [file.path for file in archive.download(key, work / "debs")]
            except FetchError as e:
                raise SmokeImpossible(
                    f"respin could not make the guest's root: {e.brief}",
                    details=e.details,
                    hint=e.hint,
                ) from e
            guest_root.write(debs, part, work=work, log=log)

    return cache.entry("root-tars", root_key(archive.sources, key), make)


def root_key(sources: Sequence[AptSource], packages: Sequence[Package]) -> str:
    """Return the name of a root's cache entry: what it consists of, and the keys behind that."""
    listed = (f"{p.name} {p.version} {p.architecture} {p.sha256}" for p in packages)
    return digest("guest", guest_root.FORMAT, keyrings.trust(sources), *listed)


def modules_of(image: GuestImage) -> Mapping[str, str]:
    """Return the options that the guest has by a module that it loads, each with its file."""
    return {
        option: f"/respin/modules/{module}.ko"
        for option, module in _settings()["options"].items()
        if f"{module}.ko" in image.modules
    }


def kernel_pattern(distro: str, kernels: str, machine: Machine) -> str:
    """Return the pattern of package names for a word of SETS; empty if it is unknown."""
    pattern: str = _settings()[kernels].get(distro, "")
    return pattern.format(kernel=machine.kernel)


def kernel_names(archive: AptArchive, kernels: str) -> tuple[str, ...]:
    """Return the kernel packages of the release for a word of SETS.

    Raises SmokeImpossible if there is none.
    """
    pattern = kernel_pattern(archive.release.distro, kernels, machine_for(archive.architecture))
    names = archive.matching(pattern) if pattern else ()
    if not names:
        raise SmokeImpossible(f"respin knows no kernel package of {archive.release.codename}")
    return names


def _choices(
    archive: AptArchive, machine: Machine, kernel: str | Sequence[Path] | None
) -> Iterable[tuple[tuple[Package, ...], Fetch]]:
    """Return the packages of each kernel to try, the best first, and what fetches them.

    Those that the user gives are read now, before anything is downloaded.
    """
    if kernel is not None and not isinstance(kernel, str):
        return [(own_kernel.packages(kernel, archive.architecture), lambda _: kernel)]
    return (_fetched(archive, found) for found in _kernels(archive, machine, kernel))


def _fetched(archive: AptArchive, packages: Sequence[Package]) -> tuple[tuple[Package, ...], Fetch]:
    def fetch(directory: Path) -> list[Path]:
        directory.mkdir(parents=True)
        try:
            return [f.path for f in archive.download(packages, directory)]
        except FetchError as e:
            if not apt_errors.lacks_file(e):
                raise
            name = kernels.image_package(packages).name
            raise SmokeImpossible(
                f"the archive lists the kernel {name}, but does not have its file",
                details=e.details,
                hint="nothing is proven: use another mirror (--mirror), or name another kernel "
                "package of the release (--kernel, or kernel in respin.toml)",
            ) from e

    return tuple(packages), fetch


def _names(archive: AptArchive, settings: Mapping[str, Any]) -> list[str]:
    """Return the packages to install in the guest's root, with the release's own iproute2."""
    if archive.release.codename in settings["few"]:
        return [*settings["packages"], "iproute2"]
    return [*archive.essential(()), "iproute2"]


def _kernels(
    archive: AptArchive, machine: Machine, name: str | None
) -> Iterator[tuple[Package, ...]]:
    """Yield the packages of each kernel that the release has, the best first."""
    usual = _settings()["kernels"].get(archive.release.distro, ())
    own = name or archive.release.kernel
    for pattern in (own,) if own else usual:
        package = pattern.replace("{kernel}", machine.kernel)
        if archive.candidate(package) is not None:
            found = kernels.parts(archive.closure([package]))
            if found:
                yield found
