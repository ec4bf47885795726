# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's base image: a kernel, and a RAM file system with a root of the release.

It depends on nothing that a run builds, so it is made while the package is built, and is kept
in the cache. A run adds a second, small archive after it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.host.cache import Cache, digest
from pipeline.isolation.scratch import scratch
from pipeline.model import GuestPackages, Package
from pipeline.vm import kernel as kernels
from pipeline.vm.guest_programs import agent, player
from pipeline.vm.initramfs import Initramfs
from pipeline.vm.machine import Machine, machine_for

FORMAT = "1"
"""Part of every key: raise it when images are made in another way."""


@dataclass(frozen=True, kw_only=True)
class GuestImage:
    """The kernel and the root that a guest boots."""

    machine: Machine
    directory: Path
    """The cache entry: ``vmlinuz``, ``initramfs``, ``image.json``."""
    kernel: str
    """``uname -r``, as the package says."""
    package: Package
    """The kernel's package."""
    packages: GuestPackages
    """All packages that it was made of."""
    config: frozenset[str] | None
    """The kernel's options that are set; None if its package does not say."""
    modules: tuple[str, ...]
    """Files under /respin/modules, in the order to load them in."""

    @property
    def vmlinuz(self) -> Path:
        """The kernel's image."""
        return self.directory / "vmlinuz"

    @property
    def initramfs(self) -> Path:
        """The base archive."""
        return self.directory / "initramfs"


def build(
    cache: Cache,
    *,
    root: Path,
    packages: GuestPackages,
    fetch: Callable[[Path], Sequence[Path]],
    settings: Mapping[str, Any],
    log: Path | None,
) -> GuestImage:
    """Return the image of a root (a tarball) and a kernel, which consist of ``packages``.

    ``fetch`` puts the kernel's .debs into a directory if the cache has no such image yet;
    ``settings`` is pipeline/smoke/guest.toml. Raises SmokeImpossible if the kernel lacks
    what the test needs, or our programs cannot be compiled.
    """
    kernel = packages.kernel
    machine = machine_for(kernel[0].architecture)
    compiler = machine.compiler
    programs = {"agent": agent(cache, log, compiler), "player": player(cache, log, compiler)}
    package = kernels.image_package(kernel)
    key = digest(
        FORMAT,
        root.name,  # the name of a cache entry, which depends on what the root contains
        *(program.name for program in programs.values()),  # cache entries, too
        json.dumps(settings, sort_keys=True),
        *(f"{p.name} {p.version} {p.architecture} {p.sha256}" for p in kernel),
    )

    def make(part: Path) -> None:
        part.mkdir()
        with scratch(cache, "kernel") as work:
            modules = settings["modules"]
            found = kernels.unpack(
                fetch(work / "debs"),
                work / "tree",
                needed=modules["needed"],
                wanted=modules["wanted"],
                config=modules["config"],
                options=settings["options"],
                log=log,
            )
            shutil.copyfile(found.image, part / "vmlinuz")
        with (part / "initramfs").open("wb") as out, Initramfs(out) as archive:
            archive.tarball(root, without=settings["root"]["without"])
            _fill(archive, found.modules, programs)
        names = [name for name, _ in found.modules]
        config = None if found.config is None else sorted(found.config)
        said = {"kernel": found.version, "modules": names, "config": config}
        (part / "image.json").write_text(json.dumps(said))

    directory = cache.entry("guests", key, make)
    said = json.loads((directory / "image.json").read_text())
    return GuestImage(
        machine=machine,
        directory=directory,
        kernel=said["kernel"],
        package=package,
        packages=packages,
        config=None if said["config"] is None else frozenset(said["config"]),
        modules=tuple(said["modules"]),
    )


def _fill(
    archive: Initramfs, modules: Sequence[tuple[str, bytes]], programs: Mapping[str, Path]
) -> None:
    """Add our programs, the modules, and the device nodes that are needed before devtmpfs."""
    for directory in ("dev", "proc", "sys", "tmp", "respin", "respin/modules"):
        archive.directory(directory)
    archive.node("dev/console", 5, 1)
    archive.node("dev/null", 1, 3, 0o666)
    for name, program in programs.items():
        archive.file(f"respin/{name}", program.read_bytes(), 0o755)
    for name, data in modules:
        archive.file(f"respin/modules/{name}", data)
