# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Take over what an earlier run left: its sources and packages, and who vouches for them.

Whoever can write to a run's directory can write its report, too. So what continues from one and is
signed says whether a trusted key has signed all that was taken over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.archives import dsc_file
from pipeline.errors import FetchError, NotVerified
from pipeline.files import bounded
from pipeline.host import command
from pipeline.host.cache import file_sha256
from pipeline.model import Built
from pipeline.proof import check, statements
from pipeline.proof.check import Proof
from pipeline.runs import report
from pipeline.runs.directory import RunDirectory
from pipeline.runs.report import Report
from pipeline.runs.report_reader import read
from pipeline.runs.stages import Stages

LARGEST = 1 << 30
"""Bytes that may be copied from an earlier run; iproute2's source has 1 MB."""
UNVOUCHED = (
    "no trusted key has signed the run from which this one continued (respin verify says why), so "
    "what was taken from it may be anybody's"
)


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """An earlier run, whose sources are in the new directory."""

    report: Report
    """Its report; the paths are those in the new directory."""
    given: Path
    """Its directory, as the user names it."""
    place: Path
    """Where it is read: a copy of it that was verified, if this run is signed."""
    unverified: tuple[str, ...]
    """In words: what is not known of its sources, and of all that is made from them."""
    signed: bool
    """Whether what continues from it is signed."""
    proof: Proof | None
    """What a trusted key says of it; None if none does, or nobody asked."""

    @property
    def built_by_trusted(self) -> bool:
        """Whether one who is trusted says that respin made its packages from its source."""
        if not self.signed:
            return True
        made = self.proof.subjects(statements.PROVENANCE).values() if self.proof else ()
        built = self.report.built
        return built is not None and {deb.sha256 for deb in built.debs} <= set(made)


def take(given: Path, stages: Stages, directory: RunDirectory, *, patched: bool = True) -> Earlier:
    """Copy the source of an earlier run, and the ``patched`` one.

    Raises FetchError if they have changed since then.
    If this run will be signed, all is copied first, and the copy is what is verified and read.
    """
    request, place, proof = stages.request, given, None
    if request.signer:
        place = stages.scratch / "earlier"
        _copy(given, place, "respin run")
        try:
            proof = check.directory(place, request.trusted)
        except NotVerified:
            proof = None
    before = read(place)
    here = report.moved(before, place.absolute(), directory.path)
    had = {file.path: file.sha256 for file in here.source.files}
    dscs = [here.source.dsc]
    if here.patched and patched:
        had[here.patched.dsc] = here.patched.sha256
        dscs.append(here.patched.dsc)
    unvouched = request.signer is not None and proof is None
    told = (UNVOUCHED,) if unvouched or UNVOUCHED in here.unverified else ()
    found = Earlier(
        report=here,
        given=given,
        place=place,
        unverified=told,
        signed=request.signer is not None,
        proof=proof,
    )
    names = ("source", "patched") if patched else ("source",)
    _take_over(names, had, found, directory, "respin fetch or respin patch")
    for dsc in dscs:
        # What unpacks it checks nothing: dpkg-source --no-check.
        for listed in dsc_file.read(dsc).files:
            dsc_file.check_file(dsc.parent / listed.name, listed, dsc.name)
    return found


def packages(built: Built, earlier: Earlier, directory: RunDirectory) -> Built:
    """Copy the packages of an earlier run. Raises FetchError if they have changed since then."""
    had = {file.path: file.sha256 for file in (*built.debs, built.changes, built.buildinfo)}
    _take_over(("debs",), had, earlier, directory, "respin build")
    return built


def _take_over(
    names: Sequence[str],
    had: Mapping[Path, str],
    earlier: Earlier,
    directory: RunDirectory,
    maker: str,
) -> None:
    """Copy directories of an earlier run, and check what it ``had`` there by its SHA-256.

    ``maker`` is the command that makes them again, for the error.
    """
    for name in names:
        if (earlier.place / name).is_dir():
            _copy(earlier.place / name, directory.path / name, maker)
    for path, sha256 in had.items():
        if not path.is_file() or file_sha256(path) != sha256:
            raise FetchError(
                f"{earlier.given / path.relative_to(directory.path)} has changed since its run",
                hint=f"run {maker} again",
            )


def _copy(source: Path, dest: Path, maker: str) -> None:
    try:
        bounded.copy_tree(source, dest, LARGEST)
    except OSError as e:
        if e.errno in command.FULL:
            raise
        raise FetchError(
            f"{e.filename} is missing or damaged: {e.strerror}", hint=f"run {maker} again"
        ) from e
