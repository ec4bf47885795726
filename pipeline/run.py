# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""One source, from fetch to proof. READ THIS FIRST.

``run`` does everything, one step per line: fetch, diagnose, patch, build, smoke, report;
``run_each`` does the first three once, and the rest for each of several architectures. The stages
do not know each other; each passes a record of model.py to the next. The roots of container and
guest are prepared while other stages run, and the guest tests the distro's package while ours is
being built. runs/single_stage.py runs stages separately.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from pipeline.errors import RespinError
from pipeline.fixes import diagnose
from pipeline.host import command
from pipeline.host.progress import Journal, Named, Silence
from pipeline.isolation.sandbox import Wall
from pipeline.isolation.scratch import scratch
from pipeline.model import VerifiedFile
from pipeline.runs import directory as directories
from pipeline.runs import report
from pipeline.runs.directory import RunDirectory, open_run
from pipeline.runs.examined import Examined
from pipeline.runs.inputs import Used
from pipeline.runs.report import Outcome, Report
from pipeline.runs.request import Request
from pipeline.runs.stages import Stages, begin

AT_ONCE = 2
"""Architectures that are built and proven at the same time; each has a compiler and a guest."""

NICE = 10
"""How far the check of the patched source stands back from the build beside it (nice(2))."""


def run(request: Request, out: Path, journal: Journal | None = None) -> Report:
    """Fetch, diagnose, patch, build and prove one source; leave the run's directory at ``out``.

    Returns the report that is in the directory. Raises the errors of the stages, and UsageError if
    ``out`` exists and is not an older run; ``out`` then stays as it was.
    """
    with open_run(out, request.cache, keep=request.keep, logs=request.logs) as directory:
        with (
            begin(request, directory, journal) as stages,
            # An interrupt stops the patching first, for which the check may be waiting.
            command.threads(1, nice=NICE) as aside,
            command.threads(6) as pool,
        ):
            wall = check(stages)
            examined = examine(stages, wall, pool, aside)
            done, used = build_and_prove(stages, examined, pool)
        report.write(done, directory.path)
        stages.inputs.write_lock(done, used)
    return report.moved(done, directory.path, out.absolute())


def run_each(
    request: Request, architectures: Sequence[str], out: Path, journal: Journal | None = None
) -> dict[str, Report | RespinError]:
    """Do it for several architectures; leave the directory of each at ``out``/ARCHITECTURE.

    The source is fetched, diagnosed and patched once. One architecture that fails does not stop the
    others: returned is the report of each, or the error that it ended with. Raises the errors of
    what is done once.
    """
    directories.check_several(out, architectures)
    logs = directories.log_directory(request.cache, request.logs)
    with scratch(request.cache, "source") as place, command.threads(AT_ONCE) as each_one:
        first = replace(request, architecture=architectures[0])
        common = RunDirectory(place, logs)
        with (
            begin(first, common, journal) as stages,
            command.threads(1, nice=NICE) as aside,
            command.threads(4) as pool,
        ):
            wall = stages.inputs.check_sandbox()
            stages.patching.check_coccinelle()
            examined = examine(stages, wall, pool, aside)

            def one(architecture: str) -> Report | RespinError:
                own = replace(request, architecture=architecture, logs=None)
                shown = Named(name=architecture, journal=journal or Silence())
                try:
                    return run_one(own, out / architecture, shown, examined, common)
                except RespinError as e:
                    return e

            ended = [each_one.submit(one, each) for each in architectures]
            found = {a: done.result() for a, done in zip(architectures, ended, strict=True)}
    return found


def run_one(
    request: Request,
    out: Path,
    journal: Journal,
    common: Examined,
    where: RunDirectory,
) -> Report:
    """Build and prove for one of several architectures what is ``common`` to all of them."""
    with open_run(out, request.cache, keep=request.keep, logs=request.logs) as directory:
        with begin(request, directory, journal) as stages, command.threads(6) as pool:
            check(stages)
            examined = common.into(directory, where, pool)
            done, used = build_and_prove(stages, examined, pool)
        report.write(done, directory.path)
        stages.inputs.write_lock(done, used)
    return report.moved(done, directory.path, out.absolute())


def check(stages: Stages) -> Wall:
    """Raise now, not after minutes, if something is missing; return where the source is read."""
    wall = stages.inputs.check_sandbox()
    stages.inputs.check_architecture()
    stages.building.check_engine()
    stages.proving.check_possible()
    stages.patching.check_coccinelle()
    return wall


def examine(
    stages: Stages, wall: Wall, pool: ThreadPoolExecutor, aside: ThreadPoolExecutor
) -> Examined:
    """Fetch the source, say which fixes it needs, and begin to patch it, and to check it ``aside``.

    If it needs none, it is patched only if a patch of the user's applies.
    """
    source = stages.inputs.fetch()
    tree = stages.inputs.tree(source)
    findings = stages.patching.diagnose(tree)
    needed = diagnose.needed_fixes(stages.request.applied, findings)
    examined = Examined(
        wall=wall,
        source=source,
        tree=tree,
        findings=findings,
        needed=needed,
        own=() if needed else stages.patching.own(tree),
        patched=Future(),
        checked=Future(),
        timings=stages.timings,
    )
    if not examined.changes:
        return examined
    patched = pool.submit(stages.patching.patch, source, tree, needed)
    checked = aside.submit(lambda: stages.patching.check(patched.result()))
    return replace(examined, patched=patched, checked=checked)


def build_and_prove(
    stages: Stages, examined: Examined, pool: ThreadPoolExecutor
) -> tuple[Report, Used]:
    """Build the packages and prove them; return the report, and what was used."""
    if not examined.changes:
        return not_needed(stages, examined)
    inputs, patching = stages.inputs, stages.patching
    building, proving = stages.building, stages.proving
    source, needed = examined.source, examined.needed
    image = pool.submit(proving.prepare_guest)
    environment = pool.submit(building.prepare, source)
    control = pool.submit(inputs.distro_package, source)
    patched = examined.patched.result()
    built = pool.submit(building.build, environment.result(), patched)
    written = pool.submit(building.written, environment.result(), patched, built)
    added = pool.submit(building.stop, environment.result(), source, built)
    both = (environment.result().root, source, examined.tree, patched)
    compared = pool.submit(stages.comparing.from_cache, *both, built)
    version = pool.submit(patching.check_version, patched)
    before = control.result() or building.build_control(
        environment.result().root, source, examined.tree
    )
    smoked = proving.smoke(image.result(), before, built, needed, examined.findings, written)
    examined.checked.result()
    version.result()
    building.keep_ccache(environment.result(), added.result())
    done = Report(
        outcome=Outcome.FIXED if needed else Outcome.UNHARMED,
        architecture=stages.request.target,
        source=source,
        findings=examined.findings,
        user_patches=patched.own,
        patched=patched,
        built=built.result(),
        control=before,
        comparison=compared.result() or stages.comparing.if_asked(*both, built.result()),
        smoke=smoked,
        sandbox=examined.wall,
        archives=inputs.trust(),
        timings={**examined.timings, **stages.timings},
    )
    return done, Used(guest=image.result().packages, control=control.result())


def not_needed(stages: Stages, examined: Examined) -> tuple[Report, Used]:
    """Return the report if nothing needs a fix, and what it used; prove it on request."""
    source = examined.source
    before: tuple[VerifiedFile, ...] = ()
    smoked, used = None, Used()
    if stages.request.prove:
        before = control = stages.inputs.distro_package(source)
        root = None
        if not control:
            root = stages.building.prepare_root(source)
            before = stages.building.build_control(root, source, examined.tree)
        image = stages.proving.prepare_guest()
        smoked = stages.proving.smoke(image, before, None, (), examined.findings)
        used = Used(root=root.packages if root else (), guest=image.packages, control=control)
    done = Report(
        outcome=Outcome.NOT_NEEDED,
        architecture=stages.request.target,
        source=source,
        findings=examined.findings,
        user_patches=examined.own,
        control=before,
        smoke=smoked,
        sandbox=examined.wall,
        archives=stages.inputs.trust(),
        timings={**examined.timings, **stages.timings},
    )
    return done, used
