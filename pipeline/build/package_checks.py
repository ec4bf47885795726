# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages that somebody built, held against what was patched, as far as that can be done.

A .buildinfo is the word of whoever built the packages. That it contradicts the packages, or the
source, is found here; that it is true is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from debian.deb822 import Deb822

from pipeline.archives import deb_file, dsc_file
from pipeline.archives.dsc_file import Listed
from pipeline.build import uploads
from pipeline.build.uploads import Upload
from pipeline.errors import BuildError
from pipeline.files import bounded
from pipeline.host.cache import file_sha256

PACKAGES = (".deb", ".ddeb")
FIELDS = ("Package", "Version", "Architecture", "source:Package", "source:Version")
"""As dpkg-deb --showformat has them: the last two also where a package has no Source."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """What came of it, where nothing contradicts anything."""

    buildinfo: Listed
    said: Upload
    """What it says."""
    unverified: tuple[str, ...]
    """In sentences: what there was nothing to hold against."""


def hold(folder: Path, changes: Upload, where: str, dsc: Path) -> Held:
    """Hold the packages that a .changes lists against its .buildinfo, ``dsc``, and themselves.

    ``where`` names the .changes; the files are in ``folder``, and are those that it lists by
    SHA-256. Raises BuildError for what contradicts something.
    """
    infos = [f for f in changes.files if f.name.endswith(".buildinfo")]
    debs = {f.name: f for f in changes.files if f.name.endswith(PACKAGES)}
    if len(infos) != 1 or not debs:
        names = ", ".join(f.name for f in changes.files)
        raise BuildError(f"{where} lists no package, or not one .buildinfo: {names}")
    info = infos[0]
    said = uploads.read(folder / info.name)
    if (said.source, said.version) != (changes.source, changes.version):
        raise BuildError(
            f"{info.name} is of {said.source[:60]} {said.version[:60]}, not of "
            f"{changes.source} {changes.version}"
        )
    listed = {f.name: f for f in said.files}
    for name, deb in debs.items():
        if listed.get(name) != deb:
            raise BuildError(
                f"{info.name} is of another {name} than the one that is there",
                details=f"listed: {listed[name].sha256 if name in listed else 'nothing'}\n"
                f"found:  {deb.sha256}",
                hint="give the directory as dpkg-buildpackage left it",
            )
    check_packages((folder / name for name in debs), dsc)
    return Held(buildinfo=info, said=said, unverified=tuple(_unverified(listed, info, dsc)))


def _unverified(listed: Mapping[str, Listed], info: Listed, dsc: Path) -> Iterable[str]:
    """Yield what a .buildinfo does not say of the source. Raises BuildError for another one."""
    named = [f for f in listed.values() if f.name.endswith(".dsc")]
    for each in named:
        if each.sha256 != file_sha256(dsc):
            raise BuildError(f"{info.name} is of another {each.name} than the one that was patched")
    if not named:
        yield (
            f"that the packages were built of {dsc.name} as it was patched: {info.name} does not "
            "list it"
        )


def check_packages(debs: Iterable[Path], dsc: Path) -> None:
    """Hold what packages say of themselves against the source that they are made of.

    Raises BuildError for one of another source or version, one that is not among the source's
    packages, and one whose file has another name.
    """
    fields = Deb822(bounded.read(dsc, dsc_file.LIMIT))
    source, version = str(fields.get("Source", "")), str(fields.get("Version", ""))
    binaries = {name.strip() for name in str(fields.get("Binary", "")).split(",")}
    for deb in debs:
        form = "".join(f"${{{name}}}\n" for name in FIELDS)
        shown = deb_file.show(deb, form, error=BuildError).split("\n")
        name, own, architecture, of, of_version = (*shown, "", "", "", "", "")[:5]
        plain = own.rpartition(":")[2]
        if (of, of_version, own) != (source, version, version):
            raise BuildError(
                f"{deb.name} is not a package of {source} {version}",
                details=f"It says of itself: {name} {own}, of {of} {of_version}"[:400],
            )
        if name not in binaries and name.removesuffix("-dbgsym") not in binaries:
            raise BuildError(f"{deb.name} is {name[:100]}, which {dsc.name} does not make")
        if deb.stem != f"{name}_{plain}_{architecture}":
            raise BuildError(
                f"{deb.name} is {name[:100]} {own[:100]} for {architecture[:100]}: its name is "
                "another one's"
            )
