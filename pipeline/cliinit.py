"""`respin init`: files that put respin to work elsewhere (a timer, a cluster, a CI)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pipeline import schedule
from pipeline.errors import UsageError
from pipeline.schedule import Schedule

_PATH = click.Path(path_type=Path)
Command = Callable[..., Any]


@click.group(name="init")
def init() -> None:
    """Write what starts respin elsewhere: a timer, a crontab, a CronJob."""


def _schedule_options(function: Command) -> Command:
    for option in reversed(
        [
            click.option("--user", default="respin", help="Who runs it [default: respin]."),
            click.option("--config", type=_PATH, help="The respin.toml, an absolute path."),
            click.option("--program", type=_PATH, help="The path of respin [default: this one]."),
            click.option("--cache", type=_PATH, default=Path("/var/cache/respin")),
            click.option("--hourly", is_flag=True, help="Every hour: retries come when due."),
        ]
    ):
        function = option(function)
    return function


def _schedule(program: Path | None, cache: Path, **options: Any) -> Schedule:
    found = program or Path(sys.argv[0]).absolute()
    return Schedule(program=found, cache=cache, **options)


@init.command()
@_schedule_options
@click.option("--out", type=_PATH, default=Path(), help="The folder for both [default: here].")
def systemd(out: Path, **options: Any) -> None:
    """Write respin-nightly.service and respin-nightly.timer; their paths on standard output."""
    for name, text in schedule.systemd(_schedule(**options)).items():
        path = out / name
        try:
            out.mkdir(parents=True, exist_ok=True)
            if path.exists() and path.read_text() != text:
                raise UsageError(f"{path} exists already", hint="move it away, or choose --out DIR")
            path.write_text(text)
        except OSError as e:
            raise UsageError(f"{path} cannot be written: {e.strerror}") from e
        click.echo(path)


@init.command()
@_schedule_options
def cron(**options: Any) -> None:
    """Print a file for /etc/cron.d."""
    click.echo(schedule.cron(_schedule(**options)), nl=False)


@init.command()
@click.option("--image", required=True, help="A container image that has respin.")
@click.option("--hourly", is_flag=True, help="Every hour: retries come when due.")
def kubernetes(image: str, hourly: bool) -> None:
    """Print a CronJob with its volumes, as YAML for kubectl apply."""
    click.echo(schedule.kubernetes(image, hourly=hourly), nl=False)
