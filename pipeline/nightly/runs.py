# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The runs of a night: each is recorded before it begins, and again when it has ended.

A run's row is in the state before its directory is created, and gets its end only when the
directory is complete. The next night settles a run that a kill left without an end: if its
directory is complete, it counts as finished; if not, the leftovers are removed and the run is made
again from its beginning.
"""

from __future__ import annotations

import dataclasses
import shutil
import traceback
from collections.abc import Collection
from pathlib import Path

from pipeline.config.nightly import TOOLCHAIN
from pipeline.errors import DiagnosisRefused, RespinError
from pipeline.host.cache import file_sha256
from pipeline.nightly import checks, plan, toolchain
from pipeline.nightly.context import RUNS, World
from pipeline.nightly.plan import Step, StepKind
from pipeline.nightly.state import (
    FAILED,
    INTERRUPTED,
    MADE,
    NOT_NEEDED,
    SAME,
    UNKNOWN,
    WAITING,
    RunRow,
    State,
)
from pipeline.nightly.targets import Target
from pipeline.runs.directory import REPORT
from pipeline.runs.report_reader import load
from pipeline.runs.request import Request
from pipeline.text import visible

DETAILS = 4000
"""Characters of an error's details that are kept."""

UNTOUCHED = "the change does not affect this source"

PROBE = ".probe"
"""In STATE/runs: a source that is patched to see whether a run of it is due."""


class Runs:
    """Makes runs, and records in the state how each ended."""

    def __init__(self, world: World, state: State) -> None:
        """Work in a world, and record in a state."""
        self._world, self._state = world, state

    def settle_killed(self) -> tuple[RunRow, ...]:
        """Settle the runs that were under way when a night was killed; return their rows."""
        return tuple(self._settle(run) for run in self._state.runs() if run.ended is None)

    def _settle(self, run: RunRow) -> RunRow:
        """Settle one run and clean up after it."""
        if (run.folder / REPORT).exists():
            return self._finished(run)
        for path in _leftovers(run):
            shutil.rmtree(path, ignore_errors=True)
        if self._times_killed(run) + 1 < plan.KILLED:
            shutil.rmtree(_logs(run), ignore_errors=True)
            return self._end(run, outcome=INTERRUPTED, brief="killed while it ran")
        error = RespinError(
            f"killed {plan.KILLED} times while it ran", hint="check that there is enough memory"
        )
        return self._failed(run, error)

    def _times_killed(self, run: RunRow) -> int:
        """Return how many earlier runs of the same source were killed."""
        return sum(
            (r.source, r.architecture, r.outcome) == (run.source, run.architecture, INTERRUPTED)
            for r in self._state.runs(run.target)
        )

    def due(self, step: Step, target: Target, *, record: bool = False) -> bool:
        """Return whether a step of the plan needs a run; ``record`` why, if it does not."""
        request = self._request(step, target)
        if self._lacks(request):
            if record:
                self._wait(step, target)
            return False
        if step.kind is not StepKind.PROBE:
            return True
        part = self._world.directory / RUNS / PROBE
        shutil.rmtree(part, ignore_errors=True)
        try:
            same = self._untouched(request, step, part)
        except RespinError:
            return True  # the run meets the same, and records it
        if same and record:
            self._end(self._begin(step, target), outcome=SAME, brief=UNTOUCHED)
        return not same

    def begin(self, step: Step, target: Target) -> RunRow | None:
        """Record that a step of the plan begins, and return its row.

        The row has an end already if nothing has to be run, or if that could not be found out. It
        is None if the archive does not have the distro's package for the architecture yet.
        """
        request = self._request(step, target)
        if self._lacks(request):
            self._wait(step, target)
            return None
        run = self.start(step, target)
        try:
            if step.kind is StepKind.PROBE and self._untouched(request, step, _probe(run)):
                return self._end(run, outcome=SAME, brief=UNTOUCHED)
        except RespinError as e:
            return self._failed(run, e)
        except Exception as e:  # one release must not hold up the others
            return self._failed(run, bug(e))
        return run

    def start(self, step: Step, target: Target) -> RunRow:
        """Record that a run begins, and return its row."""
        self._world.note(step.target, f"{step.version} {step.architecture}: {step.reason}")
        return self._begin(step, target)

    def failed(self, step: Step, target: Target, error: RespinError) -> RunRow:
        """Record a run that was made elsewhere, and that is not taken."""
        with self._state.together():
            return self._failed(self.start(step, target), error)

    def end(self, run: RunRow, error: RespinError | None = None) -> RunRow:
        """Record how a run ended: with an error, or with a directory that is complete."""
        try:
            return self._failed(run, error) if error else self._finished(run)
        except RespinError as e:
            return self._failed(run, e)

    def request(self, run: RunRow, target: Target) -> Request:
        """Return the request for a run that has begun."""
        request = self._world.request(
            target, run.version, run.number, architecture=run.architecture, logs=_logs(run)
        )
        return dataclasses.replace(request, expected=run.dsc)

    def _request(self, step: Step, target: Target) -> Request:
        return self._world.request(
            target, step.version, step.number, architecture=step.architecture
        )

    def _begin(self, step: Step, target: Target) -> RunRow:
        return self._state.begin_run(
            RunRow(
                id=0,
                target=step.target,
                architecture=step.architecture,
                version=step.version,
                dsc=step.dsc,
                number=step.number,
                reason=step.reason,
                inputs=self._world.inputs(target),
                folder=self._world.directory / RUNS,
                started=self._world.now(),
            )
        )

    def _lacks(self, request: Request) -> bool:
        try:
            return self._world.lacks(request)
        except RespinError:
            return False  # the run meets the same, and records it

    def _wait(self, step: Step, target: Target) -> None:
        """Record, once, that the port lags behind."""
        last = [r for r in self._state.runs(step.target) if r.architecture == step.architecture]
        if last and (last[-1].version, last[-1].dsc, last[-1].outcome) == (
            step.version,
            step.dsc,
            WAITING,
        ):
            return
        why = f"the archive does not have the package for {step.architecture} yet"
        self._end(self._begin(step, target), outcome=WAITING, brief=why)

    def gone(self, target: str, listed: Collection[str]) -> None:
        """Retry nothing that the archive no longer lists, and record that as the reason."""
        last = {(run.version, run.architecture): run for run in self._state.runs(target)}
        for run in last.values():
            waits = run.retry_at is not None or run.outcome == INTERRUPTED
            if waits and run.why != plan.GONE and run.version not in listed:
                self._state.update_run(run.id, retry_at=None, why=plan.GONE)

    def _untouched(self, request: Request, step: Step, part: Path) -> bool:
        """Return whether our patches for a source are the same as in its last run.

        They are made at ``part``, which is removed.
        """
        good = [r for r in self._state.runs(step.target) if r.outcome in (*MADE, NOT_NEEDED)]
        mine = [r for r in good if (r.dsc, r.architecture) == (step.dsc, step.architecture)]
        last = mine[-1] if mine else None
        if last is None or not (last.folder / REPORT).exists():
            return False
        try:
            self._world.patch(request, part)
            return checks.patches(part) == checks.patches(last.folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _finished(self, run: RunRow) -> RunRow:
        """Record a run whose directory is complete."""
        report = load(run.folder)
        if report["source"]["files"][0]["sha256"] != run.dsc:
            shutil.rmtree(run.folder)
            return self._failed(
                run,
                RespinError(
                    "the archive changed during the download", hint="the next night tries it again"
                ),
            )
        built = report["outcome"] in MADE
        inputs = dict(run.inputs)
        if built:
            inputs[TOOLCHAIN] = toolchain.key(report["built"]["root"])
        ended = self._end(
            run,
            outcome=report["outcome"] if built else NOT_NEEDED,
            ours=report["patched"]["version"] if built else None,
            inputs=inputs,
            report=file_sha256(run.folder / REPORT),
        )
        shutil.rmtree(_logs(run), ignore_errors=True)
        return ended

    def _failed(self, run: RunRow, error: RespinError) -> RunRow:
        """Record why a run failed, and when to retry it."""
        others = [r for r in self._state.runs(run.target) if r.id != run.id]
        return self._end(
            run,
            outcome=UNKNOWN if isinstance(error, DiagnosisRefused) else FAILED,
            code=error.exit_code,
            brief=visible.line(error.brief),
            details=visible.lines(f"{error.details}\n{error.hint}".strip())[-DETAILS:],
            retry_at=plan.retry_at(run, others, self._world.now()),
        )

    def _end(self, run: RunRow, **changes: object) -> RunRow:
        with self._state.together():
            ended = self._state.update_run(run.id, ended=self._world.now(), **changes)
            target = self._state.targets()[run.target]
            asked = run.architecture in target.asked and run.version == target.version
            if asked and ended.outcome not in (INTERRUPTED, WAITING):
                left = tuple(a for a in target.asked if a != run.architecture)
                self._state.save_target(dataclasses.replace(target, asked=left))
        if ended.outcome != SAME:
            what = f"{run.version} {run.architecture}"
            self._world.note(run.target, f"{what}: {ended.brief or ended.outcome}")
        return ended


def bug(error: Exception) -> RespinError:
    """Return what is recorded of an error that nobody expected; call it while it is handled."""
    return RespinError(f"a bug: {error!r}", details=traceback.format_exc())


def _leftovers(run: RunRow) -> list[Path]:
    """Return the directories that a run leaves when it is killed."""
    return [*run.folder.parent.glob(f".{run.folder.name}.*"), _probe(run)]


def _probe(run: RunRow) -> Path:
    """Return where a source is patched to see whether it must be built again."""
    return run.folder.with_name(f"{run.folder.name}.probe")


def _logs(run: RunRow) -> Path:
    """Return where the logs of a run are until it has succeeded."""
    return run.folder.with_name(f"{run.folder.name}.logs")
