# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels that the user gives as .debs: one package each, or one with the image and others.

Debian has the image and the modules in one package, Ubuntu has them in linux-image-X and
linux-modules-X, and some more modules in linux-modules-extra-X.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from debian.deb822 import PkgRelation

from pipeline.archives import deb_file
from pipeline.errors import SmokeImpossible
from pipeline.host.cache import file_sha256
from pipeline.model import Package
from pipeline.smoke import tested_packages

_IMAGE = re.compile(r"linux-image-(?:unsigned-)?(.+)")
_MODULES = re.compile(r"linux-modules-(?:extra-)?(\d.*)")


def together(paths: Sequence[Path]) -> list[tuple[Path, ...]]:
    """Return the packages of each kernel, the one with the image first.

    Raises SmokeImpossible for a package that belongs to none of the images, and SmokeFailed for a
    file that is not a package.
    """
    images: list[tuple[str, list[Path]]] = []
    modules: list[tuple[str, Path]] = []
    for path in paths:
        name = tested_packages.read(path).name
        if found := _MODULES.fullmatch(name):
            modules.append((found[1], path))
        elif found := _IMAGE.fullmatch(name):
            images.append((found[1], [path]))
        else:
            raise SmokeImpossible(
                f"{path.name} is not a kernel package",
                hint="give a package whose name begins with linux-image-, and with it those whose "
                "names begin with linux-modules-, if the distro has the modules there",
            )
    for version, path in modules:
        own = [files for image, files in images if image == version]
        if not own:
            raise SmokeImpossible(
                f"{path.name} has the modules of a kernel whose image was not given",
                hint=f"give its image, too: --kernel linux-image-{version}_….deb",
            )
        for files in own:
            files.append(path)
    return [tuple(files) for _, files in images]


def packages(paths: Sequence[Path], architecture: str) -> tuple[Package, ...]:
    """Return the packages of one kernel, identified by their content.

    Raises SmokeImpossible if one is for another architecture, or if the image depends on a package
    of modules that is not among them.
    """
    debs = [tested_packages.read(path) for path in paths]
    for deb in debs:
        if deb.architecture != architecture:
            raise SmokeImpossible(
                f"the kernel {deb.path.name} is for {deb.architecture}, and the package for "
                f"{architecture}",
                hint=f"give the .deb of a kernel for {architecture}, or the name of a package of "
                "the release",
            )
    missing = _modules_of(paths[0]) - {deb.name for deb in debs}
    if missing:
        name = min(missing)
        raise SmokeImpossible(
            f"the modules of {paths[0].name} are in another package, {name}",
            hint=f"give both: --kernel {paths[0].name} --kernel {name}_….deb",
        )
    return tuple(
        Package(
            name=deb.name,
            version=deb.version,
            architecture=deb.architecture,
            sha256=file_sha256(deb.path),
        )
        for deb in debs
    )


def _modules_of(image: Path) -> set[str]:
    """Return the packages with its modules that an image depends on."""
    depends = deb_file.show(image, "${Depends}", error=SmokeImpossible)
    parsed = PkgRelation.parse_relations(depends) if depends.strip() else []
    names = {each["name"] for alternatives in parsed for each in alternatives}
    return {name for name in names if _MODULES.fullmatch(name)}
