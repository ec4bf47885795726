# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Many releases, every night: watch, run, publish, report. READ run.py FIRST.

``nightly`` does everything, one step per line. Each step is recorded in the state before the next
begins, and can be repeated. After a kill, the next start repeats unfinished work from its
beginning. The function that runs a source and the clock are parameters.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.archives.memory import Memory
from pipeline.archives.signedindex import Sighting
from pipeline.config.nightly import TOOLCHAIN
from pipeline.errors import PublishError, RespinError, UsageError
from pipeline.files import state_lock
from pipeline.model import AptSource
from pipeline.nightly import (
    attention,
    here,
    lost_state,
    notify,
    offering,
    plan,
    prune,
    status,
    toolchain,
)
from pipeline.nightly import watch as watching
from pipeline.nightly.context import World
from pipeline.nightly.due import Due, to_json
from pipeline.nightly.observe import PUBLISHING, seen, without_problem
from pipeline.nightly.plan import Step, StepKind
from pipeline.nightly.runs import Runs
from pipeline.nightly.state import Need, RunRow, State, TargetState
from pipeline.nightly.targets import Target
from pipeline.publish.keys import Key
from pipeline.publish.keys import find as find_key
from pipeline.releases import releases
from pipeline.runs.request import PACKAGE

Executor = Callable[["Night"], Iterator[RunRow]]
"""Makes what is due, or takes it from where it was made; its rows have their end in the state."""

SOON = 60 * 24 * 3600
"""Seconds before the key expires; from then on, each night says so."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What came of a night."""

    rows: tuple[status.TargetStatus, ...]
    needs: tuple[Need, ...]
    """What only a person can do, beside what the rows say."""
    runs: tuple[RunRow, ...]
    """The runs that were made."""
    published: tuple[str, ...]
    """Targets whose repository changed."""
    repaired: tuple[tuple[str, str], ...]
    """Targets whose repository somebody else changed, and what respin did about it."""
    code: int
    """The exit code: 0, or that of the first thing that went wrong tonight."""


def nightly(world: World, jobs: int = 1) -> Summary:
    """Watch all releases, rebuild what is new, publish it, show the state and notify.

    ``jobs`` runs are made at once. What fails for one release is recorded and holds up no other.
    Raises UsageError if it cannot begin, LockHeld if another night is running.
    """
    return play(
        world,
        "nightly",
        lambda night: here.make(night.world, night.runs, night.due(), night.key, jobs),
    )


def play(world: World, doing: str, executor: Executor) -> Summary:
    """Do a night. What an executor yields are the runs that were due, when each has ended."""
    world = world.with_patches()
    with (
        state_lock.held(world.directory, doing, world.clock()),
        _state(world, find_key(world.directory, world.settings.publish)) as state,
    ):
        night = Night(world, state)
        night.audit()
        night.check_key()
        night.settle_killed()
        night.watch()
        for run in executor(night):
            night.made(run)
        night.publish()
        with night.recording("page"):
            night.show()
        night.tell()
        night.prune()
        night.keep()
        return night.summary()


def plan_only(world: World) -> tuple[dict[str, Any], int]:
    """Return the runs that are due, in the form of plan.schema.json, and the exit code.

    It is that of an archive that could not be read, if nothing is due. Nothing is recorded but
    what the archives have, and how the runs of a killed night ended. No key is needed. Raises
    UsageError if it cannot begin, LockHeld if a night is running.
    """
    world = world.with_patches()
    with (
        state_lock.held(world.directory, "nightly --plan", world.clock()),
        _state_to_plan(world) as state,
    ):
        night = Night(world, state, key=False)
        night.runs.settle_killed()
        night.watch()
        found = night.due(thorough=True)
        due = [each for each in found if night.runs.due(each.step, each.target)]
        return to_json(due, state.runs(), world.clock()), 0 if due else night.code


def _state(world: World, key: Key) -> State:
    """Open the state; if it is lost, make it whole first, or begin with an empty one."""
    lost_state.restore(world, key)
    return State(world.directory, create=True)


@contextlib.contextmanager
def _state_to_plan(world: World) -> Iterator[State]:
    """Open the state for who may have no key; then, a lost one is made whole only for this plan."""
    try:
        key = find_key(world.directory, world.settings.publish)
    except UsageError:
        key = None
    restored = lost_state.restore(world, key)
    try:
        with State(world.directory, create=True) as state:
            yield state
    finally:
        if restored and key is None:
            lost_state.forget(world)


class Night:
    """The steps of one night."""

    def __init__(
        self,
        world: World,
        state: State,
        only: Mapping[str, Target] | None = None,
        *,
        key: bool = True,
    ) -> None:
        """Find the key and the targets. Raises UsageError.

        ``only`` are these, if not all; without ``key``, there is none, and nothing is published.
        """
        self.world, self.state = world, state
        self._key = find_key(world.directory, world.settings.publish) if key else None
        self.targets = world.watched() if only is None else only
        self.runs = Runs(world, state)
        self._made: list[int] = []
        """The ids of the runs that it began."""
        self._codes: list[int] = []
        """The exit codes of what went wrong, in the order in which it did."""
        self._published: list[str] = []
        self._repaired: list[tuple[str, str]] = []
        self._changed: set[str] = set()
        self._seen: dict[str, tuple[Sighting, ...]] = {}
        """Target -> the versions that its archive has tonight, the oldest first."""

    @property
    def key(self) -> Key:
        """The key that signs the repositories, and the runs that are made here."""
        assert self._key
        return self._key

    @property
    def code(self) -> int:
        """The exit code: 0, or that of the first thing that went wrong."""
        return self._codes[0] if self._codes else 0

    # -- audit --------------------------------------------------------------------------

    def audit(self) -> None:
        """Compare what clients see with what was published; publish again where it differs."""
        for row in status.of_targets(self.rows()):
            names = offering.altered(self.world, self.state, row.target)
            if not names:
                continue
            done = offering.settle(self.world, self.state, self.key, row.target)
            what = f"{names[0]} and {len(names) - 1} more" if names[1:] else names[0]
            then = (
                f"respin could not make it again: {done.problem.brief}"
                if done.problem
                else ("respin has made it again")
            )
            text = f"somebody else changed what was published: {what}; {then}"
            self._codes.append(PublishError.exit_code)
            self._repaired.append((row.target, text))
            self.world.note(row.target, text)
            url = self.world.settings.publish.url
            notify.note_repair(self.state, row, text, self.world.now(), url)

    def check_key(self) -> None:
        """Warn before the key expires: clients need the renewed one by then."""
        now, expires = self.world.now(), self.key.expires
        if expires is None or expires - now > SOON:
            return
        text = (
            f"the key {self.key.name} expires on {status.iso(expires)}; renew it with respin key "
            "renew"
        )
        self.world.note("key", text)
        notify.note_key(self.state, expires, text, now, self.world.settings.publish.url)

    # -- watch --------------------------------------------------------------------------

    def watch(self, *, end_others: bool = True) -> None:
        """Find out what the distros have now; end the targets that are no longer watched."""
        known, world = self.state.indexes(), self.world
        views = watching.watch(
            tuple(self.targets.values()),
            self._sources,
            known,
            package=PACKAGE,
            now=world.clock(),
            memory=Memory(world.cache),
        )
        before = self.state.targets()
        for view in views:
            if any(known.get((i.site, i.suite)) != i for i in view.indexes):
                self._changed.add(view.target.name)
            with self.state.together():
                for index in view.indexes:
                    if known.get((index.site, index.suite)) != index:
                        self.state.save_index(index)
                old = before.get(view.target.name)
                new = seen(view, old, world.now())
                if new != old:
                    self.state.save_target(new)
                if view.error is None:
                    self._seen[new.name] = plan.each(view.sightings)
                    self.runs.gone(new.name, new.versions)
            if view.error:
                self._codes.append(view.error.exit_code)
                world.note(view.target.name, view.error.brief)
        for name, old in before.items():
            if end_others and name not in self.targets and old.ended is None:
                ended = dataclasses.replace(old, ended=world.now())
                self.state.save_target(without_problem(ended))

    def seen(self, name: str) -> tuple[Sighting, ...]:
        """Return the versions that a target's archive has tonight, the oldest first."""
        return self._seen.get(name, ())

    def _sources(self, target: Target) -> tuple[AptSource, ...]:
        return releases.sources(
            target.release,
            pockets=target.pockets,
            config=self.world.config,
            on=self.world.clock().date(),
        )

    # -- run ----------------------------------------------------------------------------

    def settle_killed(self) -> None:
        """Settle what was under way when an earlier night was killed."""
        self._note_codes(*self.runs.settle_killed())

    def made(self, run: RunRow) -> None:
        """Note that a run has ended tonight."""
        self._made.append(run.id)
        self._note_codes(run)

    def note_error(self, what: str, error: RespinError) -> None:
        """Note what went wrong and belongs to no run."""
        self._codes.append(error.exit_code)
        self.world.note(what, error.brief)

    def _note_codes(self, *runs: RunRow) -> None:
        self._codes += [run.code for run in runs if run.code]

    def due(self, *, thorough: bool = False) -> tuple[Due, ...]:
        """Return what is due tonight; of each architecture the oldest version first.

        The build dependencies of a release are asked for if its archive has just changed; if
        ``thorough``, always: who plans a run does not make it, and must find it due again.
        """
        found: list[Due] = []
        for name, target in self.state.targets().items():
            if name not in self.targets or (target.problem and target.problem_code != PUBLISHING):
                continue
            for architecture in target.architectures:
                decided = self._decided(target, architecture, thorough)
                steps = [step for step in decided if step.kind is not StepKind.NOTHING]
                found += [
                    Due(
                        step=step,
                        target=self.targets[name],
                        inputs=self.world.inputs(self.targets[name]),
                    )
                    for step in steps[-plan.A_NIGHT :]
                ]
        return tuple(found)

    def _decided(self, target: TargetState, architecture: str, thorough: bool) -> list[Step]:
        """Return the decision for each version that a target's archive has tonight."""
        runs = self.state.runs(target.name)
        own = [run for run in runs if run.architecture == architecture]
        inputs = self.world.inputs(self.targets[target.name])
        return [
            plan.decide(
                target,
                seen,
                runs,
                {**inputs, **self._toolchain(target, seen, own, thorough)},
                architecture=architecture,
                highest=self.state.highest_numbers(target.name, seen.version),
                now=self.world.now(),
                rebuild_on=self.world.settings.rebuild_on,
            )
            for seen in self.seen(target.name)
        ]

    def _toolchain(
        self, target: TargetState, seen: Sighting, runs: Sequence[RunRow], thorough: bool
    ) -> dict[str, str]:
        """Return the present build dependencies, if configured and if they may have changed."""
        if TOOLCHAIN not in self.world.settings.rebuild_on:
            return {}
        if target.name not in self._changed and not thorough:
            return {}
        mine = [run for run in runs if run.source == seen.key]
        with self.recording(target.name):
            return toolchain.of_last(self.world, self.targets[target.name], mine)
        return {}

    # -- publish ------------------------------------------------------------------------

    def publish(self) -> None:
        """Let each repository offer what it should, and nothing else."""
        for name in self.state.targets():
            done = offering.settle(self.world, self.state, self.key, name)
            if done.changed:
                self._published.append(name)
            if done.problem:
                self._codes.append(done.problem.exit_code)
                self.world.note(name, done.problem.brief)

    # -- the rest -----------------------------------------------------------------------

    def rows(self) -> tuple[status.TargetStatus, ...]:
        """Return the status of every target, for each of its architectures."""
        return status.rows(self.state, self.world.settings.publish.keep, self.world.now())

    def needs(self) -> tuple[Need, ...]:
        """Return what only a person can do, beside what the rows say."""
        return attention.find(self.rows(), self.world, self.key.name, self.key.expires)

    @contextlib.contextmanager
    def recording(self, what: str) -> Iterator[None]:
        """Record what goes wrong in the block, so that it holds up no other step."""
        try:
            yield
        except RespinError as e:
            self.note_error(what, e)

    def show(self) -> None:
        """Write the status page. Raises PublishError."""
        with self._alone("writing the status page", state_lock.PAGE):
            status.write(
                self.world.public,
                self.rows(),
                self.state.runs(),
                self.world.clock(),
                self.needs(),
            )

    def tell(self) -> None:
        """Send notifications about what has changed."""
        url = self.world.settings.publish.url
        with self._alone("sending notifications", state_lock.NOTIFY):
            notify.note_changes(self.state, self.rows(), self.world.now(), url)
            notify.note_needs(self.state, self.needs(), self.world.now(), url)
            for trouble in notify.send(self.state, self.world.settings.notify, self.world.now()):
                self.world.note("notify", trouble)

    def _alone(self, doing: str, name: str) -> contextlib.AbstractContextManager[None]:
        """Hold a lock, since a person may withdraw a version at the same time."""
        world = self.world
        return state_lock.held(
            world.directory, doing, world.clock(), name=name, wait=offering.PATIENCE
        )

    def prune(self) -> None:
        """Keep the disk bounded."""
        if self._made:
            keep = self.world.settings.publish.keep
            prune.runs(
                self.state, self.world.directory, self.world.settings, keep, self.world.now()
            )
            prune.cache(self.world.cache, self.world.settings)

    def keep(self) -> None:
        """Publish the state, from which it can be made whole, and leave a copy beside it."""
        with self.recording("state"), self._alone("publishing the state", state_lock.PAGE):
            lost_state.write(self.world, self.state, self.key)
        self.state.keep()

    def summary(self) -> Summary:
        """Return what came of it."""
        return Summary(
            rows=self.rows(),
            needs=self.needs(),
            runs=tuple(self.state.run(number) for number in self._made),
            published=tuple(self._published),
            repaired=tuple(self._repaired),
            code=self.code,
        )
