# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The release's own kernel: its packages, its image, and the modules that the test needs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.archives import deb_file
from pipeline.errors import FetchError, SmokeImpossible
from pipeline.files import compressed
from pipeline.files.elf import Broken, Elf
from pipeline.isolation import sandbox
from pipeline.model import Package

CONFIG_BYTES = 8 << 20
"""Bytes of a kernel's configuration (0.3 MB), and of the list of built-in modules."""
MODULE_BYTES = 64 << 20
"""Bytes of one module, unpacked; amdgpu has 20 MB."""
SECONDS = 600.0

_PARTS = re.compile(r"linux-(image|image-unsigned|modules|modules-extra)-\d[^/]*")
"""Debian has the image and the modules in one package, Ubuntu in two or three."""


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """The parts of the kernel's packages that the guest needs."""

    version: str
    """``uname -r``."""
    image: Path
    modules: tuple[tuple[str, bytes], ...]
    """Name and content of each module (not compressed), in the order to load them in."""
    config: frozenset[str] | None
    """The options that are set to y or m, except those whose module the packages lack; None
    if they do not ship the configuration."""


def parts(closure: Sequence[Package]) -> tuple[Package, ...]:
    """Return the packages with image and modules in the closure of a kernel metapackage."""
    return tuple(p for p in closure if _PARTS.fullmatch(p.name))


def image_package(packages: Sequence[Package]) -> Package:
    """Return the package with the image. Raises SmokeImpossible if there is none."""
    for package in packages:
        if package.name.startswith("linux-image-"):
            return package
    raise SmokeImpossible("the release's kernel metapackage depends on no kernel image")


def unpack(
    debs: Sequence[Path],
    into: Path,
    *,
    needed: Sequence[str],
    wanted: Sequence[str],
    config: Sequence[str],
    options: Mapping[str, str],
    log: Path | None,
) -> Kernel:
    """Unpack kernel packages into the directory ``into``, and read what the guest needs.

    ``needed`` and ``wanted`` are module names, ``config`` are options that must be set,
    ``options`` maps an option to the module that provides it. Raises SmokeImpossible if the
    kernel lacks something that is needed.
    """
    deb_file.extract(debs, into, error=SmokeImpossible, log=log)
    images = sorted(into.glob("boot/vmlinu[xz]-*"))
    if not images:
        raise SmokeImpossible(f"{debs[0].name} contains no kernel image")
    version = images[0].name.partition("-")[2]
    found = read_config(into / "boot" / f"config-{version}")
    _check_config(found, version, config)
    directories = [into / "usr/lib/modules" / version, into / "lib/modules" / version]
    directory = next((f for f in directories if f.is_dir()), directories[-1])
    modules = _Modules(directory)
    loaded = modules.resolve(needed, wanted)
    lacking = {option for option, module in options.items() if not modules.has(module)}
    return Kernel(
        version=version,
        image=images[0],
        modules=tuple(loaded.items()),
        config=None if found is None else found - lacking,
    )


def read_config(path: Path) -> frozenset[str] | None:
    """Return the options that a kernel's configuration sets to y or m; None without the file.

    A name that ends in .gz is decompressed.
    """
    if not path.exists():  # Not every package ships it; the modules say enough.
        return None
    text = _unpacked(path, CONFIG_BYTES).decode("utf-8", "replace")
    lines = (line.partition("=") for line in text.splitlines())
    return frozenset(name for name, _, value in lines if value in ("y", "m"))


def _check_config(found: frozenset[str] | None, version: str, options: Sequence[str]) -> None:
    for option in options:
        if found is not None and option not in found:
            raise SmokeImpossible(
                f"the kernel {version} is built without {option}",
                hint="choose a kernel with BPF classifiers, which the smoke test needs",
            )


class _Modules:
    """The modules of one kernel by name; a name has '_' where its file may have '-'."""

    def __init__(self, directory: Path) -> None:
        self._files = {_name(p): p for p in sorted(directory.rglob("*.ko*"))}
        builtin = directory / "modules.builtin"
        lines = _unpacked(builtin, CONFIG_BYTES).decode().splitlines() if builtin.exists() else []
        self._builtin = {_name(Path(line)) for line in lines}

    def has(self, name: str) -> bool:
        """Return whether the kernel has a module, perhaps built in."""
        return name in self._builtin or name in self._files

    def resolve(self, needed: Sequence[str], wanted: Sequence[str]) -> Mapping[str, bytes]:
        """Return the modules and those that they depend on, dependencies first."""
        order: dict[str, bytes] = {}
        for name in needed:
            if not self._add(name, order):
                raise SmokeImpossible(f"the kernel has no module {name}")
        for name in wanted:
            self._add(name, order)
        return order

    def _add(self, name: str, order: dict[str, bytes]) -> bool:
        if name in self._builtin or f"{name}.ko" in order:
            return True
        path = self._files.get(name)
        if path is None:
            return False
        data = _read(path)
        # depmod makes modules.dep on the machine; each module has the same information.
        if not all([self._add(d, order) for d in _depends(data, path)]):
            return False
        order[f"{name}.ko"] = data
        return True


def _name(path: Path) -> str:
    return path.name.partition(".ko")[0].replace("-", "_")


def _read(path: Path) -> bytes:
    """Return a module's content, decompressed: the guest has no program for that."""
    if path.suffix == ".zst":
        return sandbox.run(
            ["zstd", "-dcq"],
            directory=None,
            stdin=path,
            limit=MODULE_BYTES,
            timeout=SECONDS,
            error=SmokeImpossible,
        ).stdout
    return _unpacked(path, MODULE_BYTES)


def _unpacked(path: Path, limit: int) -> bytes:
    """Return the content of a file, which may be compressed. Raises SmokeImpossible."""
    try:
        return b"".join(compressed.pieces(path, path.suffix, limit))
    except FetchError as e:
        raise SmokeImpossible(
            f"respin could not unpack a file of the kernel: {e.brief}", details=e.details
        ) from e


def _depends(data: bytes, path: Path) -> list[str]:
    """Return the names of the modules that a module says it depends on (.modinfo)."""
    try:
        elf = Elf(data)
        section = elf.section(".modinfo")
        lines = elf.content(section).split(b"\0") if section else []
    except Broken as e:
        raise SmokeImpossible(f"respin could not read the kernel module {path.name}: {e}") from e
    for line in lines:
        key, _, value = line.partition(b"=")
        if key == b"depends" and value:
            return [n.replace("-", "_") for n in value.decode("utf-8", "replace").split(",")]
    return []
