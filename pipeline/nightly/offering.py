# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Let the repository of one target offer what the state says that it should.

A person may withdraw a version while a night is running. So each repository has a lock of its
own, and what it should offer is read from the state under that lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import PublishError, RespinError
from pipeline.files import state_lock
from pipeline.nightly import plan, status
from pipeline.nightly.context import World
from pipeline.nightly.observe import PUBLISHING, with_problem
from pipeline.nightly.state import RunRow, State, TargetState
from pipeline.publish import apt_repository, generations, verified_run
from pipeline.publish.keys import Key
from pipeline.publish.verified_run import Proven
from pipeline.runs.request import PACKAGE

PATIENCE = 600.0
"""Seconds that a process waits for another one that is changing the same repository."""


@dataclass(frozen=True, kw_only=True)
class Settled:
    """The repository after ``settle``."""

    changed: bool
    problem: RespinError | None
    """Why the repository is not what it should be."""
    offered: tuple[str, ...]
    """Our versions that clients see now."""


def settle(world: World, state: State, key: Key, name: str) -> Settled:
    """Let the repository of a target offer what it should; remember what came of it.

    A failure is in the returned record, and is noted as a problem of the target.
    """
    problem: RespinError | None = None
    changed = False
    runs: tuple[RunRow, ...] = ()
    try:
        doing = f"publishing {name}"
        with state_lock.held(
            world.directory, doing, world.clock(), name=f"{name}.lock", wait=PATIENCE
        ):
            target = state.targets()[name]
            runs = plan.offered(target, state.runs(name), world.settings.publish.keep)
            found, left_out = _offers(state, key, target, runs)
            offers = list(found.values())
            runs = tuple(run for run in runs if run.id in found)
            keep = world.settings.publish.keep
            each = plan.architectures(target, state.runs(name), keep)
            repository = repository_of(world, key, name, offers, each)
            changed = apt_repository.publish(
                repository, offers, target.versions, memory=state, now=world.now()
            )
            if left_out:
                raise left_out
            _check_clock(state, name, world.now())
    except RespinError as e:
        problem = PublishError(e.brief, details=e.details, hint=e.hint)
    offered = generations.visible(state.issued(name))
    with state.together():
        for run in runs:
            if run.ours in offered and run.published is None:
                state.update_run(run.id, published=world.now())
        target = state.targets()[name]
        if problem or target.problem_code == PUBLISHING:
            state.save_target(with_problem(target, problem, world.now()))
    return Settled(changed=changed, problem=problem, offered=offered)


def _offers(
    state: State, key: Key, target: TargetState, runs: Sequence[RunRow]
) -> tuple[dict[int, Proven], RespinError | None]:
    """Return what to offer, by the ids of the runs, and the first error of what cannot be offered.

    If clients still see a withdrawn version, it goes, and with it what cannot be offered.
    Otherwise the error is raised, and clients see what they saw before. A run that made a different
    file than an earlier one, under its name, is left out in any case: the others stay offered.
    """
    seen = generations.visible(state.issued(target.name))
    bad = any(r.withdrawn and r.ours in seen for r in state.runs(target.name))
    offers: dict[int, Proven] = {}
    left_out: RespinError | None = None
    for run in sorted(runs, key=lambda run: run.id):
        try:
            offer = verified_run.proven(run.folder, run.report)
            if verified_run.sign_late(run.folder, key):
                offer = verified_run.proven(run.folder, run.report)
            if offer.architecture != run.architecture:
                raise PublishError(
                    f"{run.folder} is a run for {offer.architecture}, not for {run.architecture}"
                )
            apt_repository.check_law([offer], target.versions)
        except RespinError as e:
            if not bad:
                raise
            left_out = left_out or e
            continue
        try:
            apt_repository.check_names([*offers.values(), offer])
            offers[run.id] = offer
        except PublishError as e:
            left_out = left_out or e
    return {run.id: offers[run.id] for run in runs if run.id in offers}, left_out


def _check_clock(state: State, name: str, now: int) -> None:
    """Raise PublishError if an index has a date in the future."""
    date = max(issued.date for issued in state.issued(name))
    if date > now + apt_repository.DAY:
        raise PublishError(
            f"the index of {name} has the date {status.iso(date)}, which is in the future",
            details="Clients with a correct clock do not accept it yet. Dates never go back, "
            "because that would let somebody replay an old index.",
            hint="correct this machine's clock; if it was wrong when the index was signed, remove "
            f"the link {name} from the served directory",
        )


def altered(world: World, state: State, name: str) -> tuple[str, ...]:
    """Return the names of the files that clients see and that are not as they were published."""
    doing = f"looking at what is published of {name}"
    with state_lock.held(world.directory, doing, world.clock(), name=f"{name}.lock", wait=PATIENCE):
        known = state.issued(name)
        return generations.differences(world.public / name, known) if known else ()


def repository_of(
    world: World, key: Key, target: str, offers: Sequence[Proven], architectures: Sequence[str]
) -> apt_repository.Repository:
    """Return the repository of a target that offers these runs to these architectures."""
    debs = {f.path.name for o in offers for f in o.files if f.path.suffix == ".deb"}
    packages = {PACKAGE, *(name.partition("_")[0] for name in debs)}
    return apt_repository.Repository(
        public=world.public,
        target=target,
        architectures=tuple(sorted(architectures)),
        key=key,
        settings=world.settings.publish,
        packages=tuple(sorted(packages)),
    )
