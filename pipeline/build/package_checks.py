# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Check packages that were built elsewhere against the patched source, as far as possible.

A .buildinfo is a claim by whoever built the packages. These checks find whether it contradicts the
packages or the source; they cannot show that it is true.
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
"""The format for dpkg-deb --showformat; the last two exist even without a Source field."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """The result, if nothing contradicts anything else."""

    buildinfo: Listed
    said: Upload
    """What it says."""
    unverified: tuple[str, ...]
    """Sentences about what could not be compared with anything."""


def hold(directory: Path, changes: Upload, where: str, dsc: Path) -> Held:
    """Check the packages in a .changes against its .buildinfo, ``dsc``, and each other.

    ``where`` names the .changes; its files are in ``directory`` and match its SHA-256 sums. Raises
    BuildError for a contradiction.
    """
    infos = [f for f in changes.files if f.name.endswith(".buildinfo")]
    debs = {f.name: f for f in changes.files if f.name.endswith(PACKAGES)}
    if len(infos) != 1 or not debs:
        names = ", ".join(f.name for f in changes.files)
        raise BuildError(
            f"{where} must list at least one package and exactly one .buildinfo, but lists: {names}"
        )
    info = infos[0]
    said = uploads.read(directory / info.name)
    if (said.source, said.version) != (changes.source, changes.version):
        raise BuildError(
            f"{info.name} describes {said.source[:60]} {said.version[:60]} instead of "
            f"{changes.source} {changes.version}"
        )
    listed = {f.name: f for f in said.files}
    for name, deb in debs.items():
        if listed.get(name) != deb:
            raise BuildError(
                f"{info.name} describes another {name} than the one beside it",
                details=f"listed: {listed[name].sha256 if name in listed else 'nothing'}\n"
                f"found:  {deb.sha256}",
                hint="give the directory exactly as dpkg-buildpackage left it",
            )
    check_packages((directory / name for name in debs), dsc)
    return Held(buildinfo=info, said=said, unverified=tuple(_unverified(listed, info, dsc)))


def _unverified(listed: Mapping[str, Listed], info: Listed, dsc: Path) -> Iterable[str]:
    """Yield what a .buildinfo does not say about the source; raise BuildError for another."""
    named = [f for f in listed.values() if f.name.endswith(".dsc")]
    for each in named:
        if each.sha256 != file_sha256(dsc):
            raise BuildError(f"{info.name} describes another {each.name} than the patched one")
    if not named:
        yield (
            f"that the packages were built from the patched {dsc.name}: {info.name} does not list "
            "it"
        )


def check_packages(debs: Iterable[Path], dsc: Path) -> None:
    """Check what packages say about themselves against the source.

    Raises BuildError for a package of another source or version, for one that is not among the
    source's packages, and for one whose file has the wrong name.
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
                details=f"It describes itself as {name} {own}, from {of} {of_version}"[:400],
            )
        if name not in binaries and name.removesuffix("-dbgsym") not in binaries:
            raise BuildError(f"{deb.name} is {name[:100]}, which {dsc.name} does not build")
        if deb.stem != f"{name}_{plain}_{architecture}":
            raise BuildError(
                f"{deb.name} contains {name[:100]} {own[:100]} for {architecture[:100]}, so its "
                "file name is wrong"
            )
