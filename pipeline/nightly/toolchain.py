# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a package is built with: a digest of the build root's packages, then and now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.archives import host_apt
from pipeline.build import build
from pipeline.config.nightly import TOOLCHAIN
from pipeline.host.cache import digest
from pipeline.nightly.context import World
from pipeline.nightly.state import MADE, RunRow
from pipeline.nightly.targets import Target
from pipeline.runs import inputs
from pipeline.runs.directory import REPORT
from pipeline.runs.report_reader import load
from pipeline.runs.request import Request


def key(packages: Iterable[Mapping[str, str]]) -> str:
    """Return the digest of a root's packages, as report.json lists them."""
    return digest(*sorted(f"{p['name']} {p['version']} {p['architecture']}" for p in packages))


def now(request: Request, dsc: Path) -> str:
    """Return the digest of what a root for a source would now hold. Raises RespinError."""
    foreign = request.target != host_apt.architecture()
    archive = inputs.build_archive_of(request) if foreign else inputs.archive_of(request)
    archive.update()
    found = archive.closure(build.beside_depends(archive), dsc=dsc)
    return key(
        {"name": p.name, "version": p.version, "architecture": p.architecture} for p in found
    )


def of_last(world: World, target: Target, runs: Sequence[RunRow]) -> dict[str, str]:
    """Return what a root for the last package of these runs of one source would now hold.

    It is empty if no package was built, or if its run's directory is gone. Raises RespinError.
    """
    built = [run for run in runs if run.outcome in MADE]
    if not built or not (built[-1].folder / REPORT).exists():
        return {}
    last = built[-1]
    source = load(last.folder)["source"]["files"][0]["path"]
    request = world.request(target, last.version, last.number, architecture=last.architecture)
    return {TOOLCHAIN: now(request, last.folder / source)}
