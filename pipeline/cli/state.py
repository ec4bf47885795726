# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands over the state of the nights: status, history, retry, forget, withdraw, publish."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import click

from pipeline.cli import terminal
from pipeline.cli.nightly import needed, world_of
from pipeline.cli.options import CONFIG, DIRECTORY, JSON, takes
from pipeline.cli.request import configured
from pipeline.config.nightly import Nightly
from pipeline.errors import UsageError
from pipeline.nightly import admin, status
from pipeline.nightly.state import RunRow, State
from pipeline.publish import dput, trust


@dataclass(frozen=True, kw_only=True)
class StateOptions:
    """What the commands that read or change the state have in common: CONFIG and JSON."""

    config: Path | None
    as_json: bool


def _state(config: Path | None) -> tuple[State, Nightly]:
    """Open the state read-only; write neither to it nor to a cache."""
    settings = configured(config).nightly
    return State(settings.state_directory(), read_only=True), settings


@click.command(name="status")
@CONFIG
@JSON
@takes(StateOptions)
def status_command(options: StateOptions) -> None:
    """Show the state of every release."""
    state, settings = _state(options.config)
    with state:
        found = status.rows(state, settings.publish.keep, int(time.time()))
        needs = state.needs()
    if options.as_json:
        terminal.say_json(status.to_json(found, needs))
        return
    if not found:
        terminal.say(f"{admin.NOTHING}: {admin.BEGIN}")
        return
    head = ("RELEASE", "POCKET", "DISTRO HAS", "WE OFFER", "OUTCOME", "SINCE", "NEXT RETRY")
    lines = [
        (
            row.name,
            row.pocket or "-",
            row.version or "-",
            row.ours or "-",
            row.outcome + (" !" if row.needs_person else ""),
            status.iso(row.since) or "-",
            status.iso(row.next_retry) or "-",
        )
        for row in found
    ]
    terminal.say_table(head, lines)
    for need in needs:
        terminal.say_wrapped("! ", needed(need))
    own = status.people(found, needs)
    for row in found:
        if row in own:
            terminal.say_wrapped("! ", f"{row.name} needs attention: {row.why}")
        for each in row.older:
            terminal.say_wrapped(
                "", f"{row.name} {each.version} (an older version): {each.outcome}: {each.why}"
            )


@dataclass(frozen=True, kw_only=True)
class TargetsOptions:
    """The options of ``respin history`` and ``respin retry``."""

    state: StateOptions
    targets: tuple[str, ...]


@click.command(name="history")
@CONFIG
@JSON
@click.argument("targets", nargs=-1, metavar="[RELEASE]…")
@takes(TargetsOptions)
def history_command(options: TargetsOptions) -> None:
    """List every run with its reason and its result, oldest first."""
    targets = options.targets
    state, _ = _state(options.state.config)
    with state:
        for name in targets:
            admin.find(state, name)
        runs = [run for run in state.runs() if not targets or run.target in targets]
    if options.state.as_json:
        terminal.say_json(status.history_json(runs))
        return
    head = ("RUN", "STARTED", "RELEASE", "ARCH", "VERSION", "OUTCOME", "OURS", "WHY IT WAS MADE")
    terminal.say_table(head, [*map(_line, runs)])


def _line(run: RunRow) -> tuple[str, ...]:
    outcome = run.outcome or "running"
    if run.withdrawn:
        outcome = status.WITHDRAWN
    started = status.iso(run.started) or "-"
    return (
        *(str(run.id), started, run.target, run.architecture, run.version),
        *(outcome, run.ours or "-"),
        ": ".join(filter(None, (run.reason, run.brief, run.why))),
    )


@click.command(name="retry")
@CONFIG
@JSON
@click.argument("targets", nargs=-1, metavar="[RELEASE]…")
@takes(TargetsOptions)
def retry_command(options: TargetsOptions) -> None:
    """Make the next night run a release again; without a name, every one that failed."""
    asked = admin.retry(world_of(options.state.config), options.targets)
    if options.state.as_json:
        terminal.say_json({"schema": status.SCHEMA, "asked": list(asked)})
    else:
        terminal.say(
            "the next `respin nightly` will run: "
            f"{', '.join(asked) or 'nothing, since no release has failed'}"
        )


@dataclass(frozen=True, kw_only=True)
class ForgetOptions:
    """The options of ``respin forget``."""

    state: StateOptions
    version: str | None
    target: str


@click.command(name="forget")
@CONFIG
@JSON
@click.option("--version", help="Forget only this version of the distro.")
@click.argument("target", metavar="RELEASE")
@takes(ForgetOptions)
def forget_command(options: ForgetOptions) -> None:
    """Forget the runs of a release, except those that are offered, and treat it as new."""
    target = options.target
    count = admin.forget(world_of(options.state.config), target, options.version)
    if options.state.as_json:
        terminal.say_json({"schema": status.SCHEMA, "target": target, "forgotten": count})
    else:
        terminal.say(f"{count} run{'s' if count > 1 else ''} of {target} forgotten")


@dataclass(frozen=True, kw_only=True)
class WithdrawOptions:
    """The options of ``respin withdraw``."""

    state: StateOptions
    why: str
    target: str
    version: str


@click.command(name="withdraw")
@CONFIG
@JSON
@click.option(
    "--why", required=True, metavar="TEXT", help="Reason, for the history and the status page."
)
@click.argument("target", metavar="RELEASE")
@click.argument("version", metavar="VERSION")
@takes(WithdrawOptions)
def withdraw_command(options: WithdrawOptions) -> None:
    """Remove a rebuilt VERSION from the repository immediately."""
    target = options.target
    world = world_of(options.state.config)
    now = admin.withdraw(world, target, options.version, options.why)
    if options.state.as_json:
        terminal.say_json({"schema": status.SCHEMA, "target": target, "offered": now or None})
        return
    terminal.say(f"{target} now offers {now or 'nothing: clients get the package of the distro'}")
    back = f"iproute2={now}" if now else f"iproute2/{target}"
    terminal.say_wrapped(
        "", f"on machines that have it installed, run: apt-get install --allow-downgrades {back}"
    )


@dataclass(frozen=True, kw_only=True)
class PublishOptions:
    """The options of ``respin publish``."""

    state: StateOptions
    to: str | None
    key: str
    distribution: str
    directories: tuple[Path, ...]


@click.command(name="publish")
@CONFIG
@JSON
@click.option(
    "--to", metavar="dput:HOST", help="Upload the patched source to a build farm instead."
)
@click.option("--key", default="", help="Key that signs the upload [default: as debsign chooses].")
@click.option(
    "--distribution", default="", help="Distribution of the upload [default: from the changelog]."
)
@click.argument("directories", metavar="DIRECTORY…", type=DIRECTORY, nargs=-1, required=True)
@takes(PublishOptions)
def publish_command(options: PublishOptions) -> None:
    """Publish the run in each DIRECTORY: in its release's repository, or as a source upload."""
    to, directories = options.to, options.directories
    if to is None:
        if options.key or options.distribution:
            raise UsageError("--key and --distribution are valid only with --to dput:HOST")
        done = admin.publish(world_of(options.state.config), directories)
    else:
        kind, _, target = to.partition(":")
        if kind != "dput" or not target or target.startswith("-"):
            raise UsageError(f"respin does not know --to {to}", hint="use --to dput:HOST")
        if directories[1:]:
            raise UsageError(
                "one source is uploaded at a time", hint="the build farm builds all architectures"
            )
        uploaded = dput.dput(
            directories[0],
            target,
            trusted=trust.trusted(configured(options.state.config)),
            key=options.key,
            distribution=options.distribution,
        )
        done = iter(((to, uploaded),))
    if options.state.as_json:
        runs = [{"published": version, "to": where} for where, version in done]
        terminal.say_json(
            {"schema": status.SCHEMA, **(runs[0] if len(runs) == 1 else {"runs": runs})}
        )
    else:
        for where, version in done:
            terminal.say(f"published {version} to {where}")


COMMANDS = (
    status_command,
    history_command,
    retry_command,
    forget_command,
    withdraw_command,
    publish_command,
)
