"""Packages that were built elsewhere: in a Docker build, by sbuild, on a farm.

What counts is that they are packages of the very source that was patched here.
"""

from __future__ import annotations

from pathlib import Path

from pipeline import bounded, uploads
from pipeline.archives import control
from pipeline.cache import file_sha256
from pipeline.errors import BuildError, FetchError
from pipeline.model import Artifact, Built, Package, Patched
from pipeline.uploads import Upload

ELSEWHERE = "elsewhere"
"""What the report says of where such packages were built."""


def adopt(patched: Patched, debs: Path, dest: Path) -> Built:
    """Copy what a build of ``patched`` left in ``debs`` to ``dest``, a new folder.

    Raises BuildError if there is no .changes of this version, if a file is not the one that
    it lists, or if the .buildinfo does not say that it was built from the .dsc that was patched.
    """
    changes, upload = _changes(patched, debs)
    listed = {each.name: each for each in upload.files}
    for name, each in listed.items():
        path = debs / name
        try:
            control.check_file(path, each, changes.name)
        except FetchError as e:
            raise BuildError(
                f"{path} is not the file that {changes.name} lists",
                details=f"{e.brief}\n{e.details}".strip(),
            ) from e
    info = next((debs / name for name in listed if name.endswith(".buildinfo")), None)
    if info is None or not any(name.endswith(".deb") for name in listed):
        raise BuildError(f"{changes.name} lists no package: {', '.join(listed)}")
    root = _built_with(info, patched, debs)
    dest.mkdir(parents=True)
    try:
        bounded.copy(changes, dest / changes.name, uploads.LIMIT)
        for name, each in listed.items():
            bounded.copy(debs / name, dest / name, each.size)
    except OSError as e:
        raise BuildError(f"{e.filename} cannot be copied to {dest}: {e.strerror}") from e
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


def _changes(patched: Patched, debs: Path) -> tuple[Path, Upload]:
    """Return the .changes of the source's version, and what it says."""
    found = sorted(debs.glob("*.changes"))
    if not found:
        raise BuildError(
            f"there is no .changes in {debs}",
            hint="give the folder with all that dpkg-buildpackage -b left",
        )
    for path in found:
        upload = uploads.read(path)
        if (upload.source, upload.version) == (patched.source.name, patched.version):
            return path, upload
    names = ", ".join(path.name for path in found)
    raise BuildError(f"{names} is not of {patched.source.name} {patched.version}")


def _built_with(info: Path, patched: Patched, debs: Path) -> tuple[Package, ...]:
    """Return the packages that a .buildinfo says were installed."""
    said = uploads.read(info)
    if said.version != patched.version:
        raise BuildError(f"{info.name} is of {said.version[:60]}, not of {patched.version}")
    for each in said.files:
        if each.name.endswith(".dsc") and each.sha256 != file_sha256(patched.dsc):
            raise BuildError(f"{info.name} is of another {each.name} than the one that was patched")
    return said.installed


def _artifact(path: Path) -> Artifact:
    return Artifact(path=path, size=path.stat().st_size, sha256=file_sha256(path))
