# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""One source, from fetch to proof. READ THIS FIRST.

``run`` does everything, one step per line: fetch, diagnose, patch, build, smoke, report. The stages
do not know each other; each passes a record of model.py to the next. The roots of container and
guest are prepared while other stages run, and the guest tests the distro's package while ours is
being built. runs/single_stage.py runs stages separately.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.fixes import diagnose
from pipeline.host import command
from pipeline.host.progress import Journal
from pipeline.isolation.sandbox import Wall
from pipeline.model import Finding, Source, VerifiedFile
from pipeline.runs import report
from pipeline.runs.directory import open_run
from pipeline.runs.inputs import Used
from pipeline.runs.report import Outcome, Report
from pipeline.runs.request import Request
from pipeline.runs.stages import Stages, begin


def run(request: Request, out: Path, journal: Journal | None = None) -> Report:
    """Fetch, diagnose, patch, build and prove one source; leave the run's directory at ``out``.

    Returns the report that is in the directory. Raises the errors of the stages, and UsageError if
    ``out`` exists and is not an older run; ``out`` then stays as it was.
    """
    with open_run(out, request.cache, keep=request.keep, logs=request.logs) as directory:
        with begin(request, directory, journal) as stages, command.threads(6) as pool:
            inputs, patching = stages.inputs, stages.patching
            building, proving = stages.building, stages.proving
            wall = inputs.check_sandbox()
            building.check_engine()
            proving.check_possible()
            patching.check_coccinelle()
            source = inputs.fetch()
            tree = inputs.tree(source)
            findings = patching.diagnose(tree)
            needed = diagnose.needed_fixes(request.fixes, findings)
            if not needed:
                done, used = not_needed(stages, wall, source, findings, tree, prove=request.prove)
            else:
                image = pool.submit(proving.prepare_guest)
                environment = pool.submit(building.prepare, source)
                control = pool.submit(inputs.distro_package, source)
                patched = patching.patch(source, tree, needed)
                built = pool.submit(building.build, environment.result(), patched)
                added = pool.submit(building.stop, environment.result(), source, built)
                check = pool.submit(patching.check, patched, built)
                before = control.result() or building.build_control(
                    environment.result().root, source, tree
                )
                smoked = proving.smoke(image.result(), before, built, needed)
                check.result()
                building.keep_ccache(environment.result(), added.result())
                done = Report(
                    outcome=Outcome.FIXED,
                    source=source,
                    findings=findings,
                    patched=patched,
                    built=built.result(),
                    control=before,
                    smoke=smoked,
                    sandbox=wall,
                    archives=inputs.trust(),
                    timings=stages.timings,
                )
                used = Used(guest=image.result().packages, control=control.result())
        report.write(done, directory.path)
        inputs.write_lock(done, used)
    return report.moved(done, directory.path, out.absolute())


def not_needed(
    stages: Stages,
    wall: Wall,
    source: Source,
    findings: tuple[Finding, ...],
    tree: Path,
    *,
    prove: bool,
) -> tuple[Report, Used]:
    """Return the report if nothing needs a fix, and what it used; ``prove`` it on request."""
    before: tuple[VerifiedFile, ...] = ()
    smoked, used = None, Used()
    if prove:
        before = control = stages.inputs.distro_package(source)
        root = None
        if not control:
            root = stages.building.prepare_root(source)
            before = stages.building.build_control(root, source, tree)
        image = stages.proving.prepare_guest()
        smoked = stages.proving.smoke(image, before, None, ())
        used = Used(root=root.packages if root else (), guest=image.packages, control=control)
    done = Report(
        outcome=Outcome.NOT_NEEDED,
        source=source,
        findings=findings,
        control=before,
        smoke=smoked,
        sandbox=wall,
        archives=stages.inputs.trust(),
        timings=stages.timings,
    )
    return done, used
