# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands for nightly runs: nightly, status, history, retry, forget, withdraw, publish."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from pipeline.cli import terminal
from pipeline.cli.options import FOLDER, configured
from pipeline.config.nightly import Nightly
from pipeline.errors import UsageError
from pipeline.host.cache import Cache
from pipeline.nightly import admin, night, status
from pipeline.nightly.context import World
from pipeline.nightly.night import Summary
from pipeline.nightly.state import RunRow, State
from pipeline.publish import dput

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_config = click.option(
    "--config",
    "path",
    type=_FILE,
    help="Configuration [default: $RESPIN_CONFIG or the user's own].",
)
_json = click.option("--json", "as_json", is_flag=True, help="Write JSON to standard output.")
_cache = click.option(
    "--cache",
    type=click.Path(path_type=Path),
    help="Cache directory [default: $RESPIN_CACHE or ~/.cache/respin].",
)


def _world(path: Path | None, cache: Path | None = None, **more: Any) -> World:
    return World(
        config=configured(path), cache=Cache(cache), clock=lambda: datetime.now(UTC), **more
    )


def _state(path: Path | None) -> tuple[State, Nightly]:
    """Open the state read-only; write neither to it nor to a cache."""
    settings = configured(path).nightly
    return State(settings.state_folder(), read_only=True), settings


@click.command(name="nightly")
@_config
@_cache
@_json
@click.option("--quiet", "-q", is_flag=True, help="Print nothing if nothing changed.")
@click.option("--verbose", "-v", is_flag=True, help="Print what is happening.")
@click.pass_context
def nightly_command(
    context: click.Context,
    path: Path | None,
    cache: Path | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Watch the releases in respin.toml, rebuild what is new, publish it, show the state.

    Prints one line with the result on standard output. The exit code is 0, or that of the first
    thing that went wrong tonight, which is explained on standard error.
    """
    said: list[str] = []

    def note(target: str, text: str) -> None:
        if verbose:
            terminal.tell(f"{target}: {text}")
        elif target in ("notify", "key"):
            said.append(f"{target}: {text}")

    done = night.nightly(_world(path, cache, note=note))
    if as_json:
        values = status.to_json(done.rows)
        values["runs"] = status.history_json(done.runs)["runs"]
        values["published"], values["code"] = list(done.published), done.code
        values["repaired"] = dict(done.repaired)
        terminal.say_json(values)
    elif not quiet or done.runs or done.published or done.code:
        terminal.say(summary(done))
    altered = [f"{name}: {text}" for name, text in done.repaired]
    for line in [*said, *altered, *_troubles(done)]:
        terminal.tell(line)
    context.exit(done.code)


def summary(done: Summary) -> str:
    """Return the result of a night in one line."""
    count = len([row for row in done.rows if row.outcome != status.ENDED])
    parts = [f"{count} watched"]
    new = {row.target: row.ours for row in done.rows if row.target in done.published and row.ours}
    if new:
        parts.append("offered: " + ", ".join(f"{name} {ours}" for name, ours in new.items()))
    clear = [name for name in done.published if name not in new]
    if clear:
        parts.append(f"nothing to offer: {', '.join(clear)}")
    wrong = [r for r in done.rows if r.outcome in ("failed", "unknown", status.PROBLEM)]
    bad = [f"{r.target} ({r.outcome})" for r in wrong]
    bad += [f"{r.target} {f.version} ({f.outcome})" for r in done.rows for f in r.older]
    if bad:
        parts.append("wrong: " + ", ".join(bad))
    people = [row.target for row in done.rows if row.needs_person]
    if people:
        parts.append(f"needs attention: {', '.join(people)}")
    if len(parts) == 1:
        parts.append("nothing new")
    return f"respin nightly: {'; '.join(parts)}"


def _troubles(done: Summary) -> list[str]:
    """Return a line for each release with a failure, if something went wrong tonight."""
    if not done.code:
        return []
    lines = []
    for row in done.rows:
        found: tuple[status.Row | status.Failure, ...] = (row, *row.older)
        for each in found:
            then = f", next try {status.iso(each.next_retry)}" if each.next_retry else ""
            if each.code:
                code = f"(exit code {each.code}{then})"
                lines.append(f"{row.target} {each.version or ''}: {each.why} {code}")
    return lines


@click.command(name="status")
@_config
@_json
def status_command(path: Path | None, as_json: bool) -> None:
    """Show the state of every release."""
    state, settings = _state(path)
    with state:
        found = status.rows(state, settings.publish.keep, int(time.time()))
    if as_json:
        terminal.say_json(status.to_json(found))
        return
    if not found:
        terminal.say(f"{admin.NOTHING}: {admin.BEGIN}")
        return
    head = ("RELEASE", "POCKET", "DISTRO HAS", "WE OFFER", "OUTCOME", "SINCE", "NEXT RETRY")
    lines = [
        (
            row.target,
            row.pocket or "-",
            row.version or "-",
            row.ours or "-",
            row.outcome + (" !" if row.needs_person else ""),
            status.iso(row.since) or "-",
            status.iso(row.next_retry) or "-",
        )
        for row in found
    ]
    for line in terminal.aligned([head, *lines]):
        terminal.say(line)
    for row in found:
        if row.needs_person:
            terminal.say(f"! {row.target} needs attention: {row.why}")
        for each in row.older:
            terminal.say(
                f"{row.target} {each.version} (an older version): {each.outcome}: {each.why}"
            )


@click.command(name="history")
@_config
@_json
@click.argument("targets", nargs=-1, metavar="[RELEASE]…")
def history_command(path: Path | None, as_json: bool, targets: tuple[str, ...]) -> None:
    """List every run with its reason and its result, oldest first."""
    state, _ = _state(path)
    with state:
        for name in targets:
            admin.find(state, name)
        runs = [run for run in state.runs() if not targets or run.target in targets]
    if as_json:
        terminal.say_json(status.history_json(runs))
        return
    head = ("RUN", "STARTED", "RELEASE", "VERSION", "OUTCOME", "OURS", "WHY IT WAS MADE")
    for line in terminal.aligned([head, *map(_line, runs)]):
        terminal.say(line)


def _line(run: RunRow) -> tuple[str, ...]:
    outcome = run.outcome or "running"
    if run.withdrawn:
        outcome = status.WITHDRAWN
    started = status.iso(run.started) or "-"
    return (
        *(str(run.id), started, run.target, run.version, outcome, run.ours or "-"),
        ": ".join(filter(None, (run.reason, run.brief, run.why))),
    )


@click.command(name="retry")
@_config
@_json
@click.argument("targets", nargs=-1, metavar="[RELEASE]…")
def retry_command(path: Path | None, as_json: bool, targets: tuple[str, ...]) -> None:
    """Make the next night run a release again; without a name, every one that failed."""
    asked = admin.retry(_world(path), targets)
    if as_json:
        terminal.say_json({"schema": status.SCHEMA, "asked": list(asked)})
    else:
        terminal.say(
            "the next `respin nightly` will run: "
            f"{', '.join(asked) or 'nothing, since no release has failed'}"
        )


@click.command(name="forget")
@_config
@_json
@click.option("--version", help="Forget only this version of the distro.")
@click.argument("target", metavar="RELEASE")
def forget_command(path: Path | None, as_json: bool, version: str | None, target: str) -> None:
    """Forget the runs of a release, except those that are offered, and treat it as new."""
    count = admin.forget(_world(path), target, version)
    if as_json:
        terminal.say_json({"schema": status.SCHEMA, "target": target, "forgotten": count})
    else:
        terminal.say(f"{count} run{'s' if count > 1 else ''} of {target} forgotten")


@click.command(name="withdraw")
@_config
@_json
@click.option(
    "--why", required=True, metavar="TEXT", help="Reason, for the history and the status page."
)
@click.argument("target", metavar="RELEASE")
@click.argument("version", metavar="VERSION")
def withdraw_command(path: Path | None, as_json: bool, why: str, target: str, version: str) -> None:
    """Remove a rebuilt VERSION from the repository immediately."""
    now = admin.withdraw(_world(path), target, version, why)
    if as_json:
        terminal.say_json({"schema": status.SCHEMA, "target": target, "offered": now or None})
        return
    terminal.say(f"{target} now offers {now or 'nothing: clients get the package of the distro'}")
    back = f"iproute2={now}" if now else f"iproute2/{target}"
    terminal.say(
        f"on machines that have it installed, run: apt-get install --allow-downgrades {back}"
    )


@click.command(name="publish")
@_config
@_json
@click.option(
    "--to", metavar="dput:HOST", help="Upload the patched source to a build farm instead."
)
@click.option("--key", default="", help="Key that signs the upload [default: as debsign chooses].")
@click.option(
    "--distribution", default="", help="Distribution of the upload [default: from the changelog]."
)
@click.argument("folder", metavar="DIRECTORY", type=FOLDER)
def publish_command(
    path: Path | None,
    as_json: bool,
    to: str | None,
    key: str,
    distribution: str,
    folder: Path,
) -> None:
    """Publish the run in DIRECTORY: in its release's repository, or as a source upload."""
    if to is None:
        if key or distribution:
            raise UsageError("--key and --distribution are valid only with --to dput:HOST")
        target, version = admin.publish(_world(path), folder)
    else:
        kind, _, target = to.partition(":")
        if kind != "dput" or not target or target.startswith("-"):
            raise UsageError(f"respin does not know --to {to}", hint="use --to dput:HOST")
        version = dput.dput(folder, target, key=key, distribution=distribution)
    if as_json:
        values = {"schema": status.SCHEMA, "published": version, "to": to or target}
        terminal.say_json(values)
    else:
        terminal.say(f"published {version} to {to or target}")


COMMANDS = (
    nightly_command,
    status_command,
    history_command,
    retry_command,
    forget_command,
    withdraw_command,
    publish_command,
)
