# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The executor of ``respin nightly --collect``: it takes the directories of runs made elsewhere.

Nobody who makes runs is believed. A copy of each directory is checked against what is due here,
who has signed it, the signed index of the archive, and what this respin makes of the source. One
that fails is recorded as a failure of the release that it is for, and holds up no other.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.errors import PublishError, RespinError
from pipeline.host.cache import file_sha256
from pipeline.nightly import checks, copied_run
from pipeline.nightly.context import GIVEN, RUNS, World
from pipeline.nightly.due import Due
from pipeline.nightly.night import Night, Summary, play
from pipeline.nightly.runs import bug
from pipeline.nightly.state import RunRow
from pipeline.proof import statements
from pipeline.proof.check import Proof
from pipeline.publish import trust, verified_run
from pipeline.publish.apt_repository import check_law
from pipeline.runs import lockfile, lockfile_reader
from pipeline.runs.directory import REPORT
from pipeline.runs.report import Outcome
from pipeline.runs.report_reader import load, read
from pipeline.runs.request import Request

PLAN = "give the runs of the present plan, which respin nightly --plan prints"


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What came of a directory."""

    directory: Path
    name: str
    """The name in the plan of the run that it is, or claims to be; empty if it is none."""
    run: RunRow | None
    """The run in the state: of a directory that was taken, or of one that was not as it should."""
    error: RespinError | None
    """Why it was not taken."""
    unchecked: tuple[str, ...] = ()
    """The packages that could not be compared with the distro's, which the archive lacks."""


def collect(
    world: World, directories: Sequence[Path], *, prove_again: bool = False
) -> tuple[Summary, tuple[Taken, ...]]:
    """Do a night whose runs were made elsewhere; return what came of it, and of each directory.

    With ``prove_again``, the smoke test is repeated here. Raises UsageError if it cannot begin,
    LockHeld if another night is running.
    """
    taken: list[Taken] = []

    def executor(night: Night) -> Iterator[RunRow]:
        collector = Collector(night, prove_again=prove_again)
        for directory in directories:
            one = collector.take(directory)
            taken.append(one)
            if one.run:
                yield one.run
            elif one.error:
                night.note_error(directory.name, one.error)
        collector.rest()

    return play(world, "nightly --collect", executor), tuple(taken)


class Collector:
    """Takes directories, each for one of the runs that are due."""

    def __init__(self, night: Night, *, prove_again: bool) -> None:
        """Find out what is due; ``night`` has watched the archives."""
        self._night, self._world, self._state = night, night.world, night.state
        self._prove_again = prove_again
        self._trusted = trust.trusted(night.world.config)
        self._open = {each.name: each for each in night.due(thorough=True)}
        self._copy = night.world.directory / RUNS / GIVEN

    def take(self, directory: Path) -> Taken:
        """Check a directory, and take it into the state if nothing is wrong."""
        due: Due | None = None
        run: RunRow | None = None
        error: RespinError | None = None
        unchecked: tuple[str, ...] = ()
        shutil.rmtree(self._copy, ignore_errors=True)
        self._copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            copied_run.copy(directory, self._copy)
            said = self._said_by_a_worker()
            # Only of the run that it is named after, and that it is signed to be, does it count as
            # a failure: otherwise anybody could let any release fail.
            due = self._named(directory, said)
            verified_run.vouched(self._copy, self._trusted)
            due = None  # what its report says it is counts from here on
            due = self._answered(self._report(directory))
            unchecked = self._check(due)
            run = self._taken(due)
            if run.bad:
                error = PublishError(run.brief, details=run.details)
        except RespinError as e:
            error = _of(e, self._copy, directory)
        except Exception as e:  # one directory must not hold up the others
            error = bug(e)
        finally:
            shutil.rmtree(self._copy, ignore_errors=True)
        if error is None and due:
            del self._open[due.name]
        elif error and due and run is None and due.name == directory.name:
            run = self._night.runs.failed(due.step, due.target, error)
        name = due.name if due else ""
        return Taken(directory=directory, name=name, run=run, error=error, unchecked=unchecked)

    def rest(self) -> None:
        """Record why some that nobody delivered need no run."""
        for each in self._open.values():
            self._night.runs.due(each.step, each.target, record=True)

    def _said_by_a_worker(self) -> Proof:
        """Return what a worker has signed about the copy, whole or not. Raises PublishError."""
        proof = verified_run.vouched_for(self._copy, self._trusted)
        if set(proof.signers) <= set(proof.expired):
            raise PublishError(
                f"the key that signed it has expired: {', '.join(proof.signers)}",
                hint="let the worker renew its key, and put the renewed one under [trust]",
            )
        return proof

    def _named(self, directory: Path, said: Proof) -> Due | None:
        """Return the run that a directory is named after, if a worker has signed that it is one."""
        due = self._open.get(directory.name)
        run = said.statements[statements.RUN]["predicate"]
        what = (run["release"], run["source"]["version"])
        if due and what == (due.target.release.codename, due.step.version):
            return due
        return None

    def _report(self, directory: Path) -> dict[str, Any]:
        """Return the report of the copy. Raises PublishError if there is no whole one."""
        try:
            return load(self._copy, broken=PublishError)
        except RespinError as e:
            raise PublishError(
                f"{directory} is not the whole directory of a run: {e.brief}",
                details=e.details,
                hint="copy it again from where the run was made",
            ) from e

    def _answered(self, report: dict[str, Any]) -> Due:
        """Return the run that is due and that a directory claims to be. Raises PublishError."""
        try:
            number = lockfile_reader.read(self._copy / lockfile.NAME).number
        except RespinError as e:
            raise PublishError(e.brief, details=e.details, hint=e.hint) from e
        source, architecture = report["source"], str(report.get("architecture") or "")
        codename, dsc = source["release"]["codename"], source["files"][0]["sha256"]
        for each in self._open.values():
            step = each.step
            if (codename, source["version"], dsc) != (
                each.target.release.codename,
                step.version,
                step.dsc,
            ):
                continue
            if (architecture, number) == (step.architecture, step.number):
                if self._night.runs.due(step, each.target, record=True):
                    return each
                del self._open[each.name]
                raise PublishError("it need not be run any more", hint=PLAN)
        what = f"{codename} {source['version']} for {architecture or '?'}, number {number}"
        sha256 = file_sha256(self._copy / REPORT)
        before = [run for run in self._state.runs() if run.report == sha256]
        if before:
            raise PublishError(f"it was collected before: {what}, run {before[-1].id}", hint=PLAN)
        raise PublishError(
            f"it is no run that is due: {what}",
            details=f"SHA-256 of its .dsc: {dsc}",
            hint=f"it may be of an older plan; {PLAN}",
        )

    def _check(self, due: Due) -> tuple[str, ...]:
        """Check the copy against all that can be known here. Raises RespinError.

        Returns the packages that the archive does not have to compare with.
        """
        step, world, report = due.step, self._world, read(self._copy)
        version = load(self._copy)["tool_version"]
        if version != __version__:
            raise PublishError(
                f"it was made by respin {version}, and this is {__version__}",
                hint="let the workers have the version of respin that plans and collects",
            )
        request = self._request(due)
        if report.outcome is Outcome.NOT_NEEDED:
            here = checks.same_patch(world, request, None, self._copy)
            checks.same_findings(here, report)
            return ()
        offer = verified_run.proven(self._copy)
        if offer.architecture != step.architecture:
            raise PublishError(f"its packages are for {offer.architecture}")
        target = self._state.targets()[step.target]
        check_law([offer], target.versions)
        checks.names(world, self._state, target, offer)
        here = checks.same_patch(world, request, offer, self._copy)
        checks.same_findings(here, report)
        number, architecture = step.number, step.architecture
        own = world.request(due.target, step.version, number, architecture=architecture)
        missing = checks.like_the_distros(world, own, offer)
        if self._prove_again and here.patched:
            own = checks.with_fixes(own, here.patched.fixes)
            checks.proven_again(world, own, self._copy, report.outcome)
        return missing

    def _request(self, due: Due) -> Request:
        """Return the request for the source; its patch is the same for all architectures."""
        step = due.step
        request = self._world.request(due.target, step.version, step.number)
        return dataclasses.replace(request, expected=step.dsc)

    def _taken(self, due: Due) -> RunRow:
        """Put the copy, which was checked, where a run's directory is; record it as a run."""
        run = self._night.runs.start(due.step, due.target)
        run.folder.parent.mkdir(parents=True, exist_ok=True)
        self._copy.rename(run.folder)
        return self._night.runs.end(run)


def _of(error: RespinError, copy: Path, directory: Path) -> RespinError:
    """Return an error about the copy as one about the directory that was given."""
    brief = error.brief.replace(str(copy), str(directory))
    details = error.details.replace(str(copy), str(directory))
    return type(error)(brief, details=details, hint=error.hint)
