# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run directories without a run: what a run leaves behind, made in a second.

They are for tests of what comes after a run; the records are real, the proof is made up.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline.archives import dsc_file
from pipeline.errors import DiagnosisRefused
from pipeline.fixes.fixes import all_fixes
from pipeline.fixes.versions import rebuilt
from pipeline.host.cache import file_sha256
from pipeline.model import (
    Artifact,
    Built,
    CaseResult,
    Cell,
    Expect,
    Finding,
    Package,
    Patched,
    Release,
    Seen,
    Site,
    SmokeReport,
    Source,
    Verdict,
    VerifiedFile,
)
from pipeline.runs import lockfile, report, sealed
from pipeline.runs.directory import open_run
from pipeline.runs.lockfile import Lock
from pipeline.runs.report import Outcome, Report
from pipeline.runs.report_reader import read
from pipeline.runs.request import Request
from support import packages
from support.filled import filled

ROOT = (Package(name="dpkg", version="1.21.22", architecture="amd64"),)


def patcher(prepared: Path) -> Callable[[Request, Path], Report]:
    """Return a function that gives the patched source that ``make`` left at ``prepared``."""

    def patch(request: Request, out: Path) -> Report:
        more = f"-{request.number}" if request.number > 1 else ""
        shutil.copytree(prepared / f"{request.release.codename}_{request.version}{more}", out)
        return read(out)

    return patch


def make(
    directory: Path,
    dsc: Path,
    release: Release,
    *,
    number: int = 1,
    good: bool = True,
    architecture: str = "amd64",
    doc: bool = False,
) -> Path:
    """Leave in ``directory`` what a run leaves; if not ``good``, no fix was needed.

    With ``doc`` it also has a package of the architecture ``all``.
    """
    version = dsc.stem.partition("_")[2]
    (directory / "source").mkdir(parents=True)
    shutil.copy(dsc, directory / "source")
    for listed in dsc_file.read(dsc).files:
        shutil.copy(dsc.parent / listed.name, directory / "source")
    own = directory / "source" / dsc.name
    verdict = Verdict.NEEDED if good else Verdict.FIXED
    source = Source(
        name="iproute2",
        version=version,
        release=release,
        files=(
            VerifiedFile(
                path=own, size=own.stat().st_size, sha256=file_sha256(own), verified="made up"
            ),
        ),
        origin="made up",
    )
    site = Site(function="f", file="lib/bpf.c", line=1, verdict=verdict, reason="made up")
    finding = Finding(fix="stt-object", verdict=verdict, sites=(site,))
    done = Report(outcome=Outcome.NOT_NEEDED, source=source, findings=(finding,))
    if good:
        ours = rebuilt(version, release.distro, number)
        done = _built(directory, source, finding, ours, architecture, doc)
    report.write(done, directory)
    _lock(directory, source, number)
    (directory / "logs").mkdir()
    (directory / "logs/build.log").write_text("made up\n")
    return directory


def _lock(directory: Path, source: Source, number: int) -> None:
    locked = filled(
        Lock,
        distro=source.release.distro,
        codename=source.release.codename,
        name=source.name,
        version=source.version,
        kind="archive",
        files=lockfile.files(source),
        fixes=tuple(fix.name for fix in all_fixes()),
        number=number,
        time="20260101T000000Z",
    )
    lockfile.write(locked, directory)


def _built(
    directory: Path, source: Source, finding: Finding, ours: str, architecture: str, doc: bool
) -> Report:
    made = packages.make_source(directory / "patched", version=ours)
    for path in made.parent.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    patch = directory / "patched/patches/respin-stt-object.patch"
    patch.parent.mkdir()
    patch.write_text("--- a\n+++ b\n")
    patched = filled(
        Patched,
        source=source,
        version=ours,
        dsc=made,
        sha256=file_sha256(made),
        patches=(patch,),
        fixes=("stt-object",),
    )
    return built_of(directory, source, finding, patched, architecture, doc)


def built_of(
    directory: Path,
    source: Source,
    finding: Finding,
    patched: Patched,
    architecture: str = "amd64",
    doc: bool = False,
) -> Report:
    """Add what a build of a patched source leaves, and a proof; return the report."""
    ours = patched.version
    (directory / "debs").mkdir()
    debs = [packages.make_deb(directory / "debs", "iproute2", ours, architecture=architecture)]
    if doc:
        fields = {"Source": "iproute2"}
        debs.append(packages.make_deb(directory / "debs", "iproute2-doc", ours, fields=fields))
    for deb in debs:
        shutil.rmtree(directory / "debs" / f".{deb.name.partition('_')[0]}-{ours}")
    changes = packages.make_upload(
        directory / "debs", patched.dsc, info_dsc=False, architecture=architecture
    )

    def artifact(path: Path) -> Artifact:
        return Artifact(path=path, size=path.stat().st_size, sha256=file_sha256(path))

    return Report(
        outcome=Outcome.FIXED,
        architecture=architecture,
        source=source,
        findings=(finding,),
        patched=patched,
        built=filled(
            Built,
            version=ours,
            debs=tuple(map(artifact, debs)),
            changes=artifact(changes),
            buildinfo=artifact(changes.with_suffix(".buildinfo")),
            container="none",
            root=ROOT,
        ),
        control=source.files[:1],
        smoke=smoked(source.version, ours, architecture),
    )


def smoked(
    before: str = "1-1", after: str = "1-1+bpf1", architecture: str = "amd64"
) -> SmokeReport:
    """Return a proof that version ``after`` loads what ``before`` refuses."""

    def cell(seen: Seen) -> Cell:
        return filled(Cell, expected=Expect(seen.value), seen=seen, ok=True, command="tc")

    row = filled(
        CaseResult,
        case="pinned-hash",
        title="made up",
        way="tc",
        before=cell(Seen.REFUSED),
        after=cell(Seen.LOADS),
    )
    return filled(
        SmokeReport,
        place="guest",
        kernel="6.1.0-0-made-up",
        kernel_package=replace(ROOT[0], architecture=architecture),
        architecture=architecture,
        accelerator="tcg",
        packages=(f"iproute2 {before}", f"iproute2 {after}"),
        loaders=("legacy", "legacy"),
        cases=(row,),
    )


def runner(prepared: Path) -> Callable[[Request, Path], Report | None]:
    """Return a run that copies what ``make`` left at ``prepared/CODENAME_VERSION``.

    For another architecture than this machine's, the name ends with ``_ARCHITECTURE``. If nothing
    is there, the source counts as one that respin does not understand.
    """

    def run(request: Request, out: Path) -> Report | None:
        foreign = f"_{request.architecture}" if request.architecture else ""
        directory = prepared / f"{request.release.codename}_{request.version}{foreign}"
        with open_run(out, request.cache, keep=request.keep, logs=request.logs) as part:
            part.seal = functools.partial(
                sealed.seal, fixes=request.fixes, signer=request.signer, begun=datetime.now(UTC)
            )
            if not directory.exists():
                raise DiagnosisRefused("made up: not understood")
            shutil.rmtree(part.path)
            shutil.copytree(directory, part.path)
            shutil.rmtree(part.path / "logs")
            (part.logs / "build.log").write_text("made up\n")
        return None

    return run
