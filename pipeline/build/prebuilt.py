# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages that were built elsewhere: in a Docker build, by sbuild, on a build farm.

They must be packages of exactly the source that was patched here.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.archives import dsc_file
from pipeline.build import package_checks, uploads
from pipeline.build.uploads import Upload
from pipeline.errors import BuildError, FetchError
from pipeline.files import bounded
from pipeline.host.cache import file_sha256
from pipeline.model import Artifact, Built, Patched
from pipeline.proof.statements import ELSEWHERE


def adopt(patched: Patched, debs: Path, dest: Path) -> tuple[Built, tuple[str, ...]]:
    """Copy what a build of ``patched`` left in ``debs`` to the new directory ``dest``.

    Returns the build, and sentences about what is not verified. Raises BuildError if there is no
    .changes of this version, or if the files, their descriptions and the patched .dsc contradict
    each other.
    """
    changes, upload = _changes(patched, debs)
    listed = {each.name: each for each in upload.files}
    dest.mkdir(parents=True)
    try:
        bounded.copy(changes, dest / changes.name, uploads.LIMIT)
        for name, each in listed.items():
            bounded.copy(debs / name, dest / name, each.size)
    except OSError as e:
        raise BuildError(f"respin could not copy {e.filename} to {dest}: {e.strerror}") from e
    for name, each in listed.items():
        try:
            dsc_file.check_file(dest / name, each, changes.name)
        except FetchError as e:
            raise BuildError(
                f"{debs / name} does not match its entry in {changes.name}",
                details=f"{e.brief}\n{e.details}".strip(),
            ) from e
    found = package_checks.hold(dest, upload, changes.name, patched.dsc)
    artifacts = {name: _artifact(dest / name) for name in (changes.name, *listed)}
    built = Built(
        version=patched.version,
        debs=tuple(a for n, a in artifacts.items() if n.endswith(package_checks.PACKAGES)),
        changes=artifacts[changes.name],
        buildinfo=artifacts[found.buildinfo.name],
        container=ELSEWHERE,
        root=found.said.installed,
        seconds=0.0,
    )
    return built, found.unverified


def _changes(patched: Patched, debs: Path) -> tuple[Path, Upload]:
    """Return the .changes of the source's version, and its content."""
    found = sorted(debs.glob("*.changes"))
    if not found:
        raise BuildError(
            f"there is no .changes in {debs}",
            hint="give the directory with everything that dpkg-buildpackage -b wrote",
        )
    for path in found:
        upload = uploads.read(path)
        if (upload.source, upload.version) == (patched.source.name, patched.version):
            return path, upload
    names = ", ".join(path.name for path in found)
    raise BuildError(f"{names} does not belong to {patched.source.name} {patched.version}")


def _artifact(path: Path) -> Artifact:
    return Artifact(path=path, size=path.stat().st_size, sha256=file_sha256(path))
