# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Manual changes to the state of ``respin nightly``: retry, forget, withdraw, publish.

All except ``withdraw`` take the lock of the state, so they cannot disturb a running night.
"""

from __future__ import annotations

import dataclasses
import difflib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import PublishError, UsageError
from pipeline.files import state_lock
from pipeline.host.cache import file_sha256
from pipeline.nightly import checks, copied_run, lost_state, offering, plan, status
from pipeline.nightly.context import GIVEN, RUNS, World
from pipeline.nightly.night import Night
from pipeline.nightly.state import RunRow, State, TargetState
from pipeline.nightly.toolchain import key
from pipeline.publish import keys, trust, verified_run
from pipeline.publish.apt_repository import check_law
from pipeline.publish.verified_run import Proven
from pipeline.runs.directory import REPORT
from pipeline.runs.report_reader import load
from pipeline.text import visible

NOTHING = "respin watches no release yet"
BEGIN = "run `respin nightly`, which watches the releases under [nightly] in respin.toml"


@contextmanager
def _opened(world: World, doing: str) -> Iterator[State]:
    if doing == "publish":
        lost_state.restore(world, keys.find(world.directory, world.settings.publish))
    with (
        # The state comes first: where there is none, no directory is made for a lock.
        State(world.directory, create=doing == "publish") as state,
        state_lock.held(world.directory, doing, world.clock()),
    ):
        yield state


def find(state: State, name: str) -> TargetState:
    """Return what is known of a target. Raises UsageError if it was never watched."""
    known = state.targets()
    if not known:
        raise UsageError(NOTHING, hint=BEGIN)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1) or list(known)
        raise UsageError(
            f"respin has never watched a release {name!r}", hint=f"it watches {', '.join(near)}"
        )
    return known[name]


def retry(world: World, names: Sequence[str]) -> tuple[str, ...]:
    """Let the next night run these targets whatever the state says; without names, all that fail.

    It runs their newest version for each architecture, or without names for each that failed, and
    the older versions that failed. Return their names. Raises
    UsageError for an unknown name.
    """
    with _opened(world, "retry") as state:
        chosen = [find(state, name) for name in names]
        rows = status.rows(state, world.settings.publish.keep, world.now())
        newest = {
            (row.target, row.architecture)
            for row in rows
            if row.outcome in plan.BAD or row.target in names
        }
        if not names:
            failing = {row.target for row in rows if row.outcome in plan.BAD or row.older}
            chosen = [t for name, t in state.targets().items() if name in failing]
        for target in chosen:
            if target.ended is not None:
                raise UsageError(
                    f"respin no longer watches {target.name}",
                    hint="add it to releases under [nightly] in respin.toml",
                )
        with state.together():
            for target in chosen:
                asked = (a for a in target.architectures if (target.name, a) in newest)
                each = tuple(dict.fromkeys((*target.asked, *asked)))
                state.save_target(dataclasses.replace(target, asked=each))
                for run in plan.older_failures(target, state.runs(target.name)):
                    state.update_run(run.id, retry_at=world.now())
        return tuple(target.name for target in chosen)


def forget(world: World, name: str, version: str | None) -> int:
    """Forget the runs of a target, or of one distro version of it; return how many.

    The version then counts as new. What is offered stays. Raises UsageError if nothing is left
    to forget.
    """
    with _opened(world, "forget") as state:
        target = find(state, name)
        runs = state.runs(name)
        offered = {r.id for r in plan.offered(target, runs, world.settings.publish.keep)}
        chosen = [r for r in runs if r.id not in offered and version in (None, r.version)]
        if not chosen:
            raise UsageError(
                f"there is nothing to forget about {name} {version or ''}".strip(),
                hint="a version that is offered cannot be forgotten; remove it with respin "
                "withdraw",
            )
        state.forget(chosen)
        for run in chosen:
            shutil.rmtree(run.folder, ignore_errors=True)
            shutil.rmtree(run.folder.with_name(f"{run.folder.name}.logs"), ignore_errors=True)
        return len(chosen)


def withdraw(world: World, name: str, version: str, why: str) -> str:
    """Take a version of ours out of the repository at once; return the one offered now, or ''.

    It does not wait for a running night, which will not offer the version again. Raises
    UsageError if the version is not offered, PublishError if clients still see it.
    """
    with State(world.directory) as state:
        target = find(state, name)
        night = Night(world, state)
        chosen = [r for r in state.runs(name) if r.ours == version and r.withdrawn is None]
        if not chosen:
            offers = plan.offered(target, state.runs(name), world.settings.publish.keep)
            there = ", ".join(str(run.ours) for run in offers) or "nothing"
            raise UsageError(
                f"the repository of {name} does not offer {version}", hint=f"it offers {there}"
            )
        said = visible.line(why)
        with state.together():
            for run in chosen:
                state.update_run(run.id, withdrawn=world.now(), why=said)
        done = offering.settle(world, state, night.key, name)
        night.show()
        night.tell()
        night.keep()
        if version in done.offered:
            assert done.problem
            raise PublishError(
                f"the repository of {name} still offers {version}: {done.problem.brief}",
                details=done.problem.details,
                hint="the next night removes it; to hide this repository from clients until then, "
                f"remove {world.public / name}",
            )
        offers = plan.offered(target, state.runs(name), world.settings.publish.keep)
        return str(offers[0].ours) if offers else ""


def publish(world: World, directories: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Publish the packages of run directories, one after the other, as ``_publish`` does.

    They may be of several releases and architectures. Yield release and version of each when it is
    published. The first that must not be published ends it: what came before it is published.
    """
    for directory in directories:  # before a state is made for nothing
        verified_run.proven(directory)
        verified_run.vouched(directory, trust.trusted(world.config))
    world = world.with_patches()
    for directory in directories:
        yield _publish(world, directory)


def _publish(world: World, directory: Path) -> tuple[str, str]:
    """Publish the packages of a run directory in the repository of its release; return both names.

    A copy of the directory is checked against all that can be known here: its own files, who has
    signed them, the signed index of the release's archive, which is read first, and what this
    respin makes of the source. Raises PublishError if the run proves nothing or was changed, or if
    its version must not be published.
    """
    with _opened(world, "publish") as state:
        copy = world.directory / RUNS / GIVEN
        shutil.rmtree(copy, ignore_errors=True)
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            copied_run.copy(directory, copy)
            offer = verified_run.proven(copy)
            verified_run.vouched(copy, trust.trusted(world.config))
            night = _watched(world, state, offer.codename)
            _check(world, night, offer, copy)
            _adopt(night, offer, copy)
        finally:
            shutil.rmtree(copy, ignore_errors=True)
        _settle(night, offer.codename)
        return offer.codename, offer.version


def _watched(world: World, state: State, name: str) -> Night:
    """Look at the archive of a release now. Raises PublishError if it cannot be read."""
    found = world.watched().get(name)
    if found is None:
        (found,) = world.targets([name], ("release", "updates", "security"))
    night = Night(world, state, {name: found})
    night.settle_killed()
    night.watch(end_others=False)
    target = state.targets()[name]
    if target.problem and target.problem_code != PublishError.exit_code:
        raise PublishError(
            f"respin could not read the archive of {name}: {target.problem}",
            hint="try again when the archive is available: the run must be compared with it",
        )
    return night


def _check(world: World, night: Night, offer: Proven, copy: Path) -> None:
    """Check a run directory against the archive, the history, and what this respin makes.

    Raises PublishError.
    """
    target = night.state.targets()[offer.codename]
    check_law([offer], target.versions)
    mine = night.state.runs(target.name)
    if any((r.ours, r.architecture) == (offer.version, offer.architecture) for r in mine):
        raise PublishError(
            f"the repository of {target.name} has offered {offer.version} before",
            hint=f"build it with a higher number: --number {offer.number + 1}",
        )
    withdrawn = [r for r in mine if r.ours == offer.version and r.withdrawn is not None]
    if withdrawn:
        raise PublishError(
            f"{offer.version} was withdrawn from the repository of {target.name}: "
            f"{withdrawn[0].why}",
            hint=f"build it with a higher number: --number {offer.number + 1}",
        )
    checks.names(world, night.state, target, offer)
    known = {seen.key for seen in night.seen(target.name)} | {r.source for r in mine}
    if (offer.base, offer.dsc) not in known:
        raise PublishError(
            f"no signed index of {target.name} lists the source of this run",
            details=f"{offer.base}, SHA-256 {offer.dsc}",
            hint="publish only runs that were made from a source of this release",
        )
    fixes = load(copy)["patched"]["fixes"]
    request = world.request(night.targets[target.name], offer.base, offer.number)
    checks.same_patch(world, checks.with_fixes(request, fixes), offer, copy)


def _adopt(night: Night, offer: Proven, copy: Path) -> None:
    """Put a copied run directory into the state and remember it as a run of ours."""
    world, state = night.world, night.state
    inputs = world.inputs(night.targets[offer.codename])
    report = load(copy)
    run = state.begin_run(
        RunRow(
            id=0,
            target=offer.codename,
            architecture=offer.architecture,
            version=offer.base,
            dsc=offer.dsc,
            number=offer.number,
            reason="published by hand",
            inputs={**inputs, "toolchain": key(report["built"]["root"])},
            folder=world.directory / RUNS,
            started=world.now(),
        )
    )
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    copy.rename(run.folder)
    state.update_run(
        run.id,
        ended=world.now(),
        outcome=report["outcome"],
        ours=offer.version,
        report=file_sha256(run.folder / REPORT),
    )


def _settle(night: Night, name: str) -> None:
    """Publish one target, show it and notify. Raises PublishError if it cannot be published."""
    done = offering.settle(night.world, night.state, night.key, name)
    night.show()
    night.tell()
    night.keep()
    if done.problem:
        raise PublishError(
            done.problem.brief,
            details=done.problem.details,
            hint=done.problem.hint or "clients see the same as before",
        )
