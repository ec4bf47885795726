# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""``respin nightly``: one night, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click

from pipeline.cli import terminal
from pipeline.cli.options import CACHE, CONFIG, JSON, PATH, takes
from pipeline.cli.request import configured
from pipeline.errors import UsageError
from pipeline.host.cache import Cache
from pipeline.nightly import attention, collect, here, night, status
from pipeline.nightly.collect import Taken
from pipeline.nightly.context import World
from pipeline.nightly.night import Summary
from pipeline.nightly.state import Need
from pipeline.text import visible


def world_of(config: Path | None, cache: Path | None = None) -> World:
    """Return what a night, or a command over its state, works with."""
    return World(config=configured(config), cache=Cache(cache), clock=lambda: datetime.now(UTC))


@dataclass(frozen=True, kw_only=True)
class NightlyOptions:
    """The options of ``respin nightly``."""

    config: Path | None
    cache: Path | None
    as_json: bool
    quiet: bool
    verbose: bool
    planned: bool
    collected: bool
    again: bool
    jobs: int | None
    directories: tuple[Path, ...]


@click.command(name="nightly")
@click.option(
    "--plan", "planned", is_flag=True, help="Only print the runs that are due, as JSON; run none."
)
@click.option(
    "--collect",
    "collected",
    is_flag=True,
    help="Run nothing: take the directories of runs that were made elsewhere, and publish them.",
)
@click.option(
    "--prove-again", "again", is_flag=True, help="With --collect, repeat the smoke test here."
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 999),
    metavar="N",
    help="Runs to make at once [default: one for 2 processors and 2 GiB of memory].",
)
@CONFIG
@CACHE
@JSON
@click.option("--quiet", "-q", is_flag=True, help="Print nothing if nothing changed.")
@click.option("--verbose", "-v", is_flag=True, help="Print what is happening.")
@click.argument("directories", type=PATH, nargs=-1, metavar="[DIRECTORY]...")
@takes(NightlyOptions)
def nightly_command(options: NightlyOptions) -> None:
    """Watch the releases in respin.toml, rebuild what is new, publish it, show the state.

    Prints one line with the result on standard output. The exit code is 0, or that of the first
    thing that went wrong tonight, which is explained on standard error.
    """
    _check(options)
    said: list[str] = []

    def note(target: str, text: str) -> None:
        if options.verbose:
            terminal.tell(f"{target}: {text}")
        elif options.planned or target in ("notify", "key", "page", "state"):
            said.append(f"{target}: {text}")

    world = replace(world_of(options.config, options.cache), note=note)
    if options.planned:
        _plan(world, said)
    taken: tuple[Taken, ...] = ()
    if options.collected:
        done, taken = collect.collect(world, options.directories, prove_again=options.again)
    else:
        done = night.nightly(world, options.jobs or here.at_once())
    refused = [one.error.exit_code for one in taken if one.error]
    code = refused[0] if refused else done.code
    if options.as_json:
        values = status.to_json(done.rows, done.needs)
        values["runs"] = status.history_json(done.runs)["runs"]
        values["published"], values["code"] = list(done.published), code
        values["repaired"] = dict(done.repaired)
        if options.collected:
            values["collected"] = [_taken_json(one) for one in taken]
        terminal.say_json(values)
    for one in taken if not options.as_json else ():
        terminal.say(_taken_line(one))
    if not options.as_json and (not options.quiet or done.runs or done.published or code):
        terminal.say(summary(done))
    altered = [f"{name}: {text}" for name, text in done.repaired]
    # The key has its own line, from earlier on.
    needs = [need for need in done.needs if need.about != attention.KEY]
    wanted = [need for need in needs if need.waiting or not options.quiet]
    for line in [*said, *altered, *map(needed, wanted), *_troubles(done)]:
        terminal.tell(line)
    click.get_current_context().exit(code)


def _check(options: NightlyOptions) -> None:
    """Raise UsageError for options that do not go together."""
    if options.planned and options.collected:
        raise UsageError(
            "--plan and --collect are mutually exclusive",
            hint="plan first; collect when the runs have ended",
        )
    if options.directories and not options.collected:
        raise UsageError(
            "respin nightly takes directories only with --collect",
            hint="say --collect before them, or use respin publish for a run that no plan has",
        )
    if options.again and not options.collected:
        raise UsageError("--prove-again needs --collect", hint="add --collect and the directories")
    if options.jobs and (options.planned or options.collected):
        raise UsageError(
            "--plan and --collect run nothing, so --jobs cannot be used with them",
            hint="omit --jobs",
        )


def _taken_line(one: Taken) -> str:
    """Return what came of a directory in one line."""
    where = visible.line(str(one.directory))
    if one.error:
        return f"refused    {where}: {visible.line(one.error.brief)}"
    without = ", ".join(one.unchecked)
    more = f" (not compared with the distro's {without}, which the archive lacks)" * bool(without)
    return f"collected  {where}{more}"


def _taken_json(one: Taken) -> dict[str, Any]:
    """Return what came of a directory as JSON."""
    return {
        "directory": str(one.directory),
        "name": one.name,
        "run": one.run.id if one.run else None,
        "taken": one.error is None,
        "why": one.error.brief if one.error else "",
        "details": one.error.details if one.error else "",
        "code": one.error.exit_code if one.error else 0,
        "not_compared": list(one.unchecked),
    }


def _plan(world: World, said: Sequence[str]) -> NoReturn:
    """Print the runs that are due, and what could not be found out; end the command."""
    planned, code = night.plan_only(world)
    terminal.say_json(planned)
    for line in said:
        terminal.tell(line)
    if not planned["runs"] and not code:
        terminal.tell("respin nightly: nothing is due")
    click.get_current_context().exit(code)


def summary(done: Summary) -> str:
    """Return the result of a night in one line."""
    count = len({row.target for row in done.rows if row.outcome != status.ENDED})
    parts = [f"{count} watched"]
    new = [row for row in done.rows if row.target in done.published and row.ours]
    if new:
        parts.append("offered: " + ", ".join(f"{row.name} {row.ours}" for row in new))
    clear = [name for name in done.published if name not in {row.target for row in new}]
    if clear:
        parts.append(f"nothing to offer: {', '.join(clear)}")
    wrong = [r for r in done.rows if r.outcome in ("failed", "unknown", status.PROBLEM)]
    bad = [f"{r.name} ({r.outcome})" for r in wrong]
    bad += [f"{r.name} {f.version} ({f.outcome})" for r in done.rows for f in r.older]
    if bad:
        parts.append("wrong: " + ", ".join(bad))
    people = [row.name for row in done.rows if row.needs_person]
    people += [need.about for need in done.needs if not need.waiting]
    if people:
        parts.append(f"needs attention: {', '.join(people)}")
    if len(parts) == 1:
        parts.append("nothing new")
    return f"respin nightly: {'; '.join(parts)}"


def needed(need: Need) -> str:
    """Return a line about what needs a person."""
    names = f"{', '.join(need.waiting)}: " if need.waiting else ""
    return f"{names}{need.text}: {need.remedy}"


def _troubles(done: Summary) -> list[str]:
    """Return a line for each release with a failure, if something went wrong tonight."""
    if not done.code:
        return []
    lines = []
    waiting = {target for need in done.needs for target in need.waiting}
    for row in done.rows:
        if row.here and row.target in waiting:
            continue  # it is said once for all of them
        found: tuple[status.TargetStatus | status.Failure, ...] = (row, *row.older)
        for each in found:
            then = f", next try {status.iso(each.next_retry)}" if each.next_retry else ""
            if each.code:
                code = f"(exit code {each.code}{then})"
                lines.append(f"{row.name} {each.version or ''}: {each.why} {code}")
    return lines
