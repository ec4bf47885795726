# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run one stage or a few separately, also from the directory of earlier ones.

``run`` (run.py) runs all of them. Each part leaves a directory like that of a run, which includes
the earlier content; what is read back is checked against the SHA-256 in its report.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pipeline.build.prebuilt import adopt
from pipeline.errors import RespinError, UsageError
from pipeline.fixes import diagnose, self_check
from pipeline.fixes.fixes import Fix
from pipeline.host.cache import Cache
from pipeline.host.progress import Journal, Named, Progress, Silence
from pipeline.isolation import sandbox
from pipeline.model import Built, Fate, Finding
from pipeline.releases import releases
from pipeline.runs import earlier as earlier_run
from pipeline.runs import inputs, lockfile, lockfile_reader, report
from pipeline.runs.directory import RunDirectory, open_run
from pipeline.runs.earlier import Earlier
from pipeline.runs.inputs import Used
from pipeline.runs.report import Outcome, Report
from pipeline.runs.request import Request
from pipeline.runs.stages import Stages, begin
from pipeline.source import fetch, source_tree

NOTHING = Used()


def fetch_only(request: Request, out: Path, journal: Journal | None = None) -> Report:
    """Leave the verified source at ``out``."""
    with _part(request, out, journal) as (stages, directory):
        if request.tree_dir:
            stages.inputs.check_sandbox()
        source = stages.inputs.fetch()
        done = Report(
            outcome=Outcome.FETCHED,
            source=source,
            findings=(),
            archives=stages.inputs.trust(),
            timings=stages.timings,
        )
        _finish(done, stages, directory)
    return report.moved(done, directory.path, out.absolute())


def fetch_everything(request: Request, out: Path, journal: Journal | None = None) -> Report:
    """Leave the source of a lock at ``out``, and in the cache all that a run of it needs.

    ``request.locked`` is the lock; afterwards, the run needs no network.
    """
    locked = request.locked
    assert locked
    with _part(request, out, journal) as (stages, directory):
        stages.inputs.check_sandbox()
        stages.building.check_engine()
        stages.proving.check_possible()
        source = stages.inputs.fetch()
        stages.inputs.tree(source)
        if locked.root:
            stages.building.prepare_root(source)
        if locked.guest:
            stages.proving.prepare_guest()
            stages.inputs.distro_package(source)
        done = Report(
            outcome=Outcome.FETCHED,
            source=source,
            findings=(),
            archives=stages.inputs.trust(),
            timings=stages.timings,
        )
        _finish(done, stages, directory)
    return report.moved(done, directory.path, out.absolute())


def patch_only(
    request: Request, out: Path, journal: Journal | None = None, *, earlier: Path | None = None
) -> Report:
    """Leave the patched source package at ``out``.

    ``earlier`` is a directory with the source; None: it is fetched.
    """
    with _part(request, out, journal) as (stages, directory):
        wall = stages.inputs.check_sandbox()
        stages.patching.check_coccinelle()
        # What that run has patched is made anew.
        had = earlier_run.take(earlier, stages, directory, patched=False) if earlier else None
        before = had.report if had else None
        source = before.source if before else stages.inputs.fetch()
        # A directory's claim about itself is no signed index.
        tree = stages.inputs.tree(replace(source, indexed=False) if before else source)
        findings = stages.patching.diagnose(tree)
        needed = diagnose.needed_fixes(request.applied, findings)
        own = () if needed else stages.patching.own(tree)
        changes = needed or any(each.fate is Fate.APPLIED for each in own)
        patched = stages.patching.patch(source, tree, needed) if changes else None
        if patched:
            stages.patching.check_version(patched)
            stages.patching.check(patched)
        done = Report(
            outcome=Outcome.PATCHED if patched else Outcome.NOT_NEEDED,
            source=source,
            findings=findings,
            user_patches=patched.own if patched else own,
            patched=patched,
            unverified=had.unverified if had else (),
            sandbox=wall,
            archives=_archives(stages, before),
            timings=stages.timings,
        )
        _finish(done, stages, directory, had, patched_here=True)
    return report.moved(done, directory.path, out.absolute())


def build_only(
    request: Request, earlier: Path, out: Path, journal: Journal | None = None
) -> Report:
    """Build the patched source of ``earlier``, a directory of ``patch_only`` or of a whole run.

    ``request`` is for its release. Raises UsageError if nothing was patched there.
    """
    with _part(request, out, journal) as (stages, directory):
        had = earlier_run.take(earlier, stages, directory)
        before = had.report
        if before.patched is None:
            raise UsageError(
                f"{earlier} has no patched source", hint=f"make one with respin patch {earlier}"
            )
        stages.inputs.check_architecture()
        stages.building.check_engine()
        environment = stages.building.prepare(before.source)
        built = stages.building.build(environment, before.patched)
        done = replace(
            before,
            outcome=Outcome.BUILT,
            architecture=request.target,
            built=built,
            unverified=had.unverified,
            control=(),
            smoke=None,
            archives=_archives(stages, before),
            timings={**before.timings, **stages.timings},
        )
        _finish(done, stages, directory, had)
    return report.moved(done, directory.path, out.absolute())


def build_each(
    request: Request,
    architectures: Sequence[str],
    earlier: Path,
    out: Path,
    journal: Journal | None = None,
) -> dict[str, Report | RespinError]:
    """Build for several architectures; leave the directory of each at ``out``/ARCHITECTURE.

    One that fails holds up no other: returned is the report of each, or its error.
    """
    ended: dict[str, Report | RespinError] = {}
    for name in architectures:
        shown = Named(name=name, journal=journal or Silence())
        try:
            ended[name] = build_only(
                replace(request, architecture=name), earlier, out / name, shown
            )
        except RespinError as e:
            ended[name] = e
    return ended


def prove_only(
    request: Request, earlier: Path, debs: Path | None, out: Path, journal: Journal | None = None
) -> Report:
    """Do the last part of ``run``, also for packages that were built elsewhere.

    ``earlier`` is the directory of ``patch_only``, ``build_only`` or a whole run; ``debs`` has what
    dpkg-buildpackage made from its source, None for those in ``earlier``. If nothing was patched
    there, the distro's package is proven. ``request`` is for its release and fixes.
    """
    with _part(request, out, journal) as (stages, directory):
        had = earlier_run.take(earlier, stages, directory)
        before = had.report
        stages.proving.check_possible()
        if not before.findings:
            raise UsageError(
                f"{earlier} was not diagnosed", hint=f"diagnose it with respin patch {earlier}"
            )
        built, unverified = None, tuple(dict.fromkeys((*before.unverified, *had.unverified)))
        if before.patched and debs:
            built, unverified = adopt(before.patched, debs, directory.path / "debs")
            unverified = (*unverified, *had.unverified)
            _check_architecture(built, debs, request.target)
        elif before.patched and before.built:
            built = earlier_run.packages(before.built, had, directory)
            if not had.built_by_trusted:
                directory.seal = functools.partial(directory.seal, made=False)
        elif before.patched:
            raise UsageError(
                f"{earlier} has a patched source but no packages; say with --debs where they were "
                "built"
            )
        stages.inputs.check_architecture()
        control = stages.inputs.control(before.source)
        names = before.patched.fixes if before.patched and built else ()
        fixes = [fix for fix in request.fixes if fix.name in names]
        image = stages.proving.prepare_guest()
        coming = _there(built) if built else None
        smoked = stages.proving.smoke(image, control, coming, fixes, before.findings)
        done = replace(
            before,
            outcome=_outcome(built, unverified, names),
            architecture=request.target,
            built=built,
            unverified=unverified,
            control=control,
            smoke=smoked,
            archives=_archives(stages, before),
            timings={**before.timings, **stages.timings},
        )
        used = Used(guest=image.packages, control=control)
        _finish(done, stages, directory, had, used)
    return report.moved(done, directory.path, out.absolute())


def _check_architecture(built: Built, debs: Path, wanted: str) -> None:
    """Raise UsageError for packages of another architecture than they are to be proven for."""
    found = {deb.path.stem.rpartition("_")[2] for deb in built.debs} - {"all", wanted}
    if found:
        name = sorted(found)[0]
        raise UsageError(
            f"{debs} has packages for {name}, not for {wanted}",
            hint=f"prove them with --architecture {name}",
        )


def _outcome(built: Built | None, unverified: Sequence[str], fixes: Sequence[str]) -> Outcome:
    if built is None:
        return Outcome.NOT_NEEDED
    if unverified:
        return Outcome.PROVEN
    return Outcome.FIXED if fixes else Outcome.UNHARMED


def diagnose_only(
    tree: Path | None,
    dsc: Path | None,
    fixes: Sequence[Fix],
    cache: Cache,
    journal: Journal | None = None,
    *,
    trust_container: bool = False,
    within: Request | None = None,
) -> tuple[Finding, ...]:
    """Diagnose an unpacked tree or a local .dsc, and do nothing else.

    ``within`` is the request for the release whose libraries it would be built with; without it,
    a verdict that depends on them has a condition. Raises FetchError if the source cannot or must
    not be read, or the archive has no such release; DiagnosisRefused if it has no loader.
    """
    sandbox.admit(str(tree or dsc), indexed=False, trust_container=trust_container)
    self_check.check(cache, fixes)
    progress = Progress(journal)
    libraries = {}
    if within:
        with progress.stage("fetch") as stage:
            libraries = inputs.libraries(inputs.archive_of(within), fixes)
            for name, version in libraries.items():
                stage.note(f"{within.release.codename} has {name} {version}")
    with progress.stage("diagnose") as stage, tempfile.TemporaryDirectory() as tmp:
        if tree is None:
            assert dsc is not None
            source = fetch.local(dsc, Path(tmp) / "source", releases.find(None))
            tree = fetch.unpack(source, Path(tmp) / "tree", trust_container=trust_container)
        else:
            source_tree.look(tree)
        return diagnose.diagnose(tree, fixes, libraries=libraries, stage=stage)


@contextmanager
def _part(
    request: Request, out: Path, journal: Journal | None
) -> Iterator[tuple[Stages, RunDirectory]]:
    """Yield the stages, and the directory into which they write."""
    with (
        open_run(out, request.cache, keep=request.keep, logs=request.logs) as directory,
        begin(request, directory, journal) as stages,
    ):
        yield stages, directory


def _finish(
    done: Report,
    stages: Stages,
    directory: RunDirectory,
    earlier: Earlier | None = None,
    used: Used = NOTHING,
    *,
    patched_here: bool = False,
) -> None:
    report.write(done, directory.path)
    before = lockfile_reader.read(earlier.place / lockfile.NAME) if earlier else None
    if before and not patched_here:
        lockfile.check_fixes(before, stages.request.applied)
    stages.inputs.write_lock(
        done,
        used,
        kind=before.kind if before else None,
        patches=None if patched_here or not before else lockfile.own_patches(before),
    )


def _archives(stages: Stages, before: Report | None) -> tuple[str, ...]:
    """Return why the archives of this part are trusted, after those of the parts before it."""
    earlier = before.archives if before else ()
    return tuple(dict.fromkeys((*earlier, *stages.inputs.trust())))


def _there(built: Built) -> Future[Built]:
    """Return packages in the form of those that are still being built."""
    future: Future[Built] = Future()
    future.set_result(built)
    return future
