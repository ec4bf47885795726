"""Packages that were built elsewhere: in a Docker build, by sbuild, on a farm.

What counts is that they are packages of the very source that was patched here.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from debian.deb822 import BuildInfo, Changes, Deb822

from pipeline.cache import file_sha256
from pipeline.errors import BuildError
from pipeline.model import Artifact, Built, Package, Patched

ELSEWHERE = "elsewhere"
"""What the report says of where such packages were built."""

_INSTALLED = re.compile(r"^\s*(\S+?)(?::(\S+))? \(= (\S+)\)", re.MULTILINE)


def adopt(patched: Patched, debs: Path, dest: Path) -> Built:
    """Copy what a build of ``patched`` left in ``debs`` to ``dest``, a new folder.

    Raises BuildError if there is no .changes of this version, if a file is not the one that
    it lists, or if the .buildinfo does not say that it was built from the .dsc that was patched.
    """
    changes = _changes(patched, debs)
    fields = Changes(changes.read_bytes())
    listed = {each["name"]: each["sha256"] for each in fields["Checksums-Sha256"]}
    for name, sha256 in listed.items():
        path = debs / name
        if "/" in name or not path.is_file() or file_sha256(path) != sha256:
            raise BuildError(f"{path} is not the file that {changes.name} lists")
    info = next((debs / name for name in listed if name.endswith(".buildinfo")), None)
    if info is None or not any(name.endswith(".deb") for name in listed):
        raise BuildError(f"{changes.name} lists no package: {', '.join(listed)}")
    root = _built_with(info, patched, debs)
    dest.mkdir(parents=True)
    for name in (changes.name, *listed):
        shutil.copyfile(debs / name, dest / name)
    artifacts = {name: _artifact(dest / name) for name in (changes.name, *listed)}
    return Built(
        version=patched.version,
        debs=tuple(a for n, a in artifacts.items() if n.endswith((".deb", ".ddeb"))),
        changes=artifacts[changes.name],
        buildinfo=artifacts[info.name],
        container=ELSEWHERE,
        root=root,
        seconds=0.0,
    )


def _changes(patched: Patched, debs: Path) -> Path:
    """Return the .changes of the source's version."""
    found = sorted(debs.glob("*.changes"))
    if not found:
        raise BuildError(
            f"there is no .changes in {debs}",
            hint="give the folder with all that dpkg-buildpackage -b left",
        )
    for path in found:
        fields = Changes(path.read_bytes())
        if (fields.get("Source"), fields.get("Version")) == (
            patched.source.name,
            patched.version,
        ) and "Checksums-Sha256" in fields:
            return path
    names = ", ".join(path.name for path in found)
    raise BuildError(f"{names} is not of {patched.source.name} {patched.version}")


def _built_with(info: Path, patched: Patched, debs: Path) -> tuple[Package, ...]:
    """Return the packages that a .buildinfo says were installed."""
    fields = BuildInfo(info.read_bytes())
    if fields.get("Version") != patched.version:
        raise BuildError(f"{info.name} is of {fields.get('Version')}, not of {patched.version}")
    for each in Deb822(info.read_bytes()).get("Checksums-Sha256", "").split("\n"):
        words = each.split()
        if len(words) == 3 and words[2].endswith(".dsc") and words[0] != file_sha256(patched.dsc):
            raise BuildError(f"{info.name} is of another {words[2]} than the one that was patched")
    own = fields.get("Build-Architecture", "")
    text = str(Deb822(info.read_bytes()).get("Installed-Build-Depends", ""))
    return tuple(
        Package(name=name, version=version, architecture=arch or own)
        for name, arch, version in _INSTALLED.findall(text)
    )


def _artifact(path: Path) -> Artifact:
    return Artifact(path=path, size=path.stat().st_size, sha256=file_sha256(path))
