# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The proof of one run: what loads in the guest before and after."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from pathlib import Path

from pipeline.errors import RespinError, SmokeFailed, SmokeImpossible, TestbedLost
from pipeline.fixes.fixes import Fix
from pipeline.host.cache import file_sha256
from pipeline.host.progress import Stage
from pipeline.model import Built, CaseResult, Finding, Seen, SmokeReport, Verdict, VerifiedFile
from pipeline.runs.context import RunContext
from pipeline.runs.inputs import Inputs
from pipeline.runs.request import PACKAGE
from pipeline.smoke import own_cases, possible, render, smoke
from pipeline.smoke.cases import select
from pipeline.smoke.smoke import GuestImage
from pipeline.vm.machine import machine_for


class Proving:
    """The smoke test of one run."""

    def __init__(self, context: RunContext, inputs: Inputs) -> None:
        self._context, self._inputs = context, inputs

    def check_possible(self) -> None:
        """Raise SmokeImpossible now, not after the build, if nothing can be proven here.

        Raises UsageError for an object of a fix of the user's own that does not compile.
        """
        architecture = self._inputs.archive.architecture
        possible.check(architecture)
        own_cases.check(
            self._context.request.applied,
            machine_for(architecture),
            self._context.request.cache,
            self._context.directory.log("objects"),
        )

    def prepare_guest(self) -> GuestImage:
        """Return the guest's kernel and root."""
        locked = self._context.request.locked
        exact = locked.guest if locked else None
        archive = self._inputs.archive
        with self._context.progress.stage("guest image") as stage:
            image = smoke.prepare(
                self._inputs.having((*exact.root, *exact.kernel)) if exact else archive,
                self._context.request.cache,
                log_dir=self._context.directory.logs,
                stage=stage,
                exact=exact,
            )
            self._context.note_changed(stage)
        return image

    def smoke(
        self,
        image: GuestImage,
        before: Sequence[VerifiedFile],
        built: Future[Built] | None,
        needed: Sequence[Fix],
        findings: Sequence[Finding],
        written: Future[Sequence[Path]] | None = None,
    ) -> SmokeReport:
        """Prove what loads before and after, on the release's own kernel.

        The distro's package is tested while the other is still being built, and the other as soon
        as it is ``written``. ``findings`` say which fixes the distro's lacks. If none is
        ``needed``, the other is to load what the distro's loads of the whole matrix, since only
        the user knows what their patches may change.
        """
        request, directory = self._context.request, self._context.directory
        keeps = built is not None and not needed
        turned: dict[str, list[str]] = {}
        for fix in needed:
            # What refuses a case may be the defect that hides the one that the fix is about.
            said = [
                s
                for other in (fix, *needed)
                if other is fix or other.name in fix.behind
                for s in other.symptoms
            ]
            for case in fix.turns:
                turned.setdefault(case, []).extend(said)
        with self._context.progress.stage("smoke") as stage:
            play = functools.partial(
                smoke.smoke,
                image,
                before=[deb.path for deb in before],
                turned=turned,
                lacks=frozenset(f.fix for f in findings if f.verdict is Verdict.NEEDED),
                about=frozenset(f.fix for f in findings),
                keeps=keeps,
                cases=select(request.cases, whole=keeps, own=own_cases.of(request.applied)),
                objects=request.objects,
                cache=request.cache,
                log_dir=directory.logs,
                stage=stage,
            )
            seen = _of_built(play, built, written, stage) if built else play(after=())
        if not seen.ok:
            bad = [cell for _, _, cell in seen.cells if not cell.ok]
            lost = all(cell.seen is Seen.LOST for cell in bad)
            raise (TestbedLost if lost else SmokeFailed)(
                "the packages gave wrong results in the smoke test",
                details="\n".join(complaint for row in seen.cases for complaint in complaints(row)),
                hint=f"read the guest's console and the output of each command in {directory.logs}",
            )
        _check_possible(seen, turned)
        if keeps and all(row.before.seen is not Seen.LOADS for row in seen.cases):
            raise SmokeImpossible(
                "nothing is proven: the distro's package loads none of the chosen smoke cases",
                hint="choose cases that it loads, or omit --case",
            )
        (directory.path / "smoke.html").write_text(render.html([seen]), "utf-8")
        return seen


def _of_built(
    play: Callable[..., SmokeReport],
    built: Future[Built],
    written: Future[Sequence[Path]] | None,
    stage: Stage,
) -> SmokeReport:
    """Test the package that was ``built``, beginning as soon as it is ``written``.

    A build may write something else to its file later; that is then tested instead.
    """
    if written:
        try:
            seen = play(after=written)
        except RespinError:
            built.result()  # if the build failed, too, that is the reason to give
            raise
        made = {deb.sha256 for deb in built.result().debs}
        if all(file_sha256(path) in made for path in written.result()):
            return seen
        stage.note("the build has changed the package since it was tested, so it is tested again")
    return play(after=built.result().files(PACKAGE))


def _check_possible(seen: SmokeReport, turned: Collection[str]) -> None:
    """Raise SmokeImpossible if no attach type could try a case that a fix turns."""
    for name in turned:
        rows = [row for row in seen.cases if row.case == name]
        if rows and all((row.after or row.before).seen is Seen.NOT_POSSIBLE for row in rows):
            raise SmokeImpossible(
                f"the case {name}, which proves the fix, is not possible on {seen.kernel}",
                details="\n".join(row.before.reason for row in rows),
                hint="set another kernel for this release in respin.toml",
            )


def complaints(row: CaseResult) -> list[str]:
    """Return, for each cell of a row that is not as expected, a few lines that say why."""
    return [
        f"{row.case} ({row.way}), {when}: {cell.why}\n$ {cell.command}\n{cell.output.strip()}"
        for when, cell in row.cells
        if not cell.ok
    ]
