# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""One source, from fetch to proof. READ THIS FIRST.

``run`` is the whole of it: fetch, diagnose, patch, build, smoke, report, one verb a line.
The stages do not know each other; what one hands to the next is a record of model.py.
The roots of container and guest are prepared while other stages go on, and the guest tries
the distro's package while ours is being built. Stages alone are in runs/single_stage.py.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.fixes import diagnose
from pipeline.host import command
from pipeline.host.progress import Journal, Progress
from pipeline.model import Finding, Source, VerifiedFile
from pipeline.runs import report
from pipeline.runs.directory import open_run
from pipeline.runs.report import Outcome, Report
from pipeline.runs.request import Order
from pipeline.runs.stages import Work


def run(order: Order, out: Path, journal: Journal | None = None) -> Report:
    """Fetch, diagnose, patch, build and prove one source; leave the run's directory at ``out``.

    Returns the report that is in the directory. Raises the errors of the stages, and UsageError if
    ``out`` is something else than an older run; ``out`` then is as it was.
    """
    with open_run(out, order.cache, keep=order.keep, logs=order.logs) as folder:
        work = Work(order, folder, Progress(journal))
        with work.scratch(), command.threads(5) as pool:
            work.check_sandbox()
            work.check_engine()
            source = work.fetch()
            findings = work.diagnose(work.tree(source))
            needed = diagnose.needed_fixes(order.fixes, findings)
            if not needed:
                done = not_needed(work, source, findings)
            else:
                image = pool.submit(work.prepare_guest)
                room = pool.submit(work.prepare_build, source)
                control = pool.submit(work.distro_package, source)
                patched = work.patch(source, needed)
                built = pool.submit(work.build, room.result(), patched)
                check = pool.submit(work.check_patched, patched, built)
                before = control.result() or work.build_control(room.result(), source)
                smoked = work.smoke(image.result(), before, built, needed)
                check.result()
                work.keep_ccache(room.result())
                done = Report(
                    outcome=Outcome.FIXED,
                    source=source,
                    findings=findings,
                    patched=patched,
                    built=built.result(),
                    control=before,
                    smoke=smoked,
                    sandbox=work.sandbox,
                    archives=work.archive.trust(),
                    timings=work.progress.timings,
                )
        report.write(done, folder.path)
        work.write_lock(done)
    return report.moved(done, folder.path, out.absolute())


def not_needed(work: Work, source: Source, findings: tuple[Finding, ...]) -> Report:
    """Return the other good end: nothing to fix; where asked, that is proven too."""
    control: tuple[VerifiedFile, ...] = ()
    smoked = None
    if work.order.prove:
        control = work.distro_package(source) or work.build_control(None, source)
        smoked = work.smoke(work.prepare_guest(), control, None, ())
    return Report(
        outcome=Outcome.NOT_NEEDED,
        source=source,
        findings=findings,
        control=control,
        smoke=smoked,
        sandbox=work.sandbox,
        archives=work.archive.trust(),
        timings=work.progress.timings,
    )
