# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""`respin init`: files that run respin from a timer, in a cluster or in a CI system."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pipeline.cli import engines, schedule, terminal
from pipeline.cli.engines import Engine
from pipeline.cli.options import PATH, options, takes
from pipeline.cli.schedule import Schedule
from pipeline.errors import UsageError
from pipeline.files import bounded, own_files
from pipeline.host import command


@click.group(name="init")
def init() -> None:
    """Write the files that run respin from systemd, cron, Buildbot, Kubernetes or a CI system."""


HOURLY = click.option(
    "--hourly", is_flag=True, help="Run every hour, so that retries happen on time."
)
OUT = click.option(
    "--out", type=PATH, default=Path(), help="Directory to write to [default: the current one]."
)
SCHEDULE = options(
    click.option("--user", default="respin", help="User to run as [default: respin]."),
    click.option("--config", type=PATH, help="Absolute path of respin.toml."),
    click.option("--program", type=PATH, help="Path of respin [default: this one]."),
    click.option("--cache", type=PATH, default=Path("/var/cache/respin")),
    HOURLY,
)


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions:
    """The options of ``respin init cron``."""

    user: str
    config: Path | None
    program: Path | None
    cache: Path
    hourly: bool


@dataclass(frozen=True, kw_only=True)
class SystemdOptions:
    """The options of ``respin init systemd``."""

    schedule: ScheduleOptions
    out: Path


def _schedule(options: ScheduleOptions) -> Schedule:
    this = Path(sys.argv[0]).absolute()
    if options.program is None and this.name != "respin":  # such as python -m pipeline
        installed = command.which("respin")
        if installed is None:
            raise UsageError(
                "respin is not on the PATH", hint="say where it is with --program PATH"
            )
        this = Path(installed)
    return Schedule(
        program=options.program or this,
        user=options.user,
        config=options.config,
        hourly=options.hourly,
        cache=options.cache,
    )


@init.command()
@SCHEDULE
@OUT
@takes(SystemdOptions)
def systemd(options: SystemdOptions) -> None:
    """Write respin-nightly.service and respin-nightly.timer, and print their paths."""
    for name, text in schedule.systemd(_schedule(options.schedule)).items():
        _write(options.out / name, text)


def _write(path: Path, text: str) -> None:
    """Write a file and print its path; refuse to replace one with other content."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and bounded.read(path, bounded.SMALL) != text.encode():
            raise UsageError(
                f"{path} already exists with other content",
                hint="move it away, or choose --out DIR",
            )
        own_files.write(path, text)
    except OSError as e:
        raise UsageError(f"respin could not write {path}: {e.strerror}") from e
    terminal.say(path)


@init.command()
@SCHEDULE
@takes(ScheduleOptions)
def cron(options: ScheduleOptions) -> None:
    """Print a file for /etc/cron.d."""
    terminal.say_lines(schedule.cron(_schedule(options)))


def _engine(engine: Engine) -> click.Command:
    """Return the command that writes, or prints, the files of an engine."""
    kind = engine.record()

    def call(options: Any) -> None:
        chosen = dataclasses.asdict(options)
        for name, text in engines.texts(engine, chosen).items():
            if name == engines.PRINTED:
                terminal.say_lines(text)
            else:
                _write(options.out / name, text)
        for warning in engines.warnings(engine, chosen):
            terminal.tell(f"respin: {warning}")

    call.__annotations__["options"] = kind
    params: list[click.Parameter] = []
    for option in engine.options:
        # A default of None would count as a value, which then is not required (click 8.3).
        more: dict[str, Any] = {} if option.default is None else {"default": option.default}
        params.append(
            click.Option(
                [f"--{option.name}", option.key],
                metavar=option.metavar,
                help=option.help,
                required=option.required,
                multiple=option.multiple,
                is_flag=option.flag,
                **more,
            )
        )
    command = click.Command(
        engine.name, callback=takes(kind)(call), help=engine.help, params=params
    )
    return command if engine.printed else OUT(command)


for each in engines.engines():
    init.add_command(_engine(each))
