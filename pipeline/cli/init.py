# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""`respin init`: files that put respin to work elsewhere (a timer, a cluster, a CI)."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pipeline.cli import ci_workflow, schedule, terminal
from pipeline.cli.options import configured
from pipeline.cli.schedule import Schedule
from pipeline.errors import UsageError
from pipeline.files import bounded, own_files
from pipeline.host import command
from pipeline.releases import releases

_PATH = click.Path(path_type=Path)
Command = Callable[..., Any]


@click.group(name="init")
def init() -> None:
    """Write what starts respin elsewhere: a timer, a crontab, a CronJob, a CI's workflow."""


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
    this = Path(sys.argv[0]).absolute()
    if program is None and this.name != "respin":  # such as python -m pipeline
        installed = command.which("respin")
        if installed is None:
            raise UsageError("respin is not in the PATH", hint="name it with --program PATH")
        this = Path(installed)
    return Schedule(program=program or this, cache=cache, **options)


@init.command()
@_schedule_options
@click.option("--out", type=_PATH, default=Path(), help="The directory for both [default: here].")
def systemd(out: Path, **options: Any) -> None:
    """Write respin-nightly.service and respin-nightly.timer; their paths on standard output."""
    for name, text in schedule.systemd(_schedule(**options)).items():
        _write(out / name, text)


def _write(path: Path, text: str) -> None:
    """Write a file of the user's, but over none that says something else; print its path."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and bounded.read(path, bounded.SMALL) != text.encode():
            raise UsageError(f"{path} exists already", hint="move it away, or choose --out DIR")
        own_files.write(path, text)
    except OSError as e:
        raise UsageError(f"{path} cannot be written: {e.strerror}") from e
    terminal.say(path)


@init.command()
@_schedule_options
def cron(**options: Any) -> None:
    """Print a file for /etc/cron.d."""
    terminal.say_lines(schedule.cron(_schedule(**options)))


@init.command()
@click.option("--image", required=True, help="A container image that has respin.")
@click.option("--hourly", is_flag=True, help="Every hour: retries come when due.")
def kubernetes(image: str, hourly: bool) -> None:
    """Print a CronJob with its volumes, as YAML for kubectl apply."""
    terminal.say_lines(schedule.kubernetes(image, hourly=hourly))
    if "@sha256:" not in image:
        terminal.tell(
            f"respin: the tag of {image} may move, and the pod has the key to the repository. "
            "To pin it, give --image NAME@sha256:DIGEST"
        )


def _ci_options(function: Command) -> Command:
    for option in reversed(
        [
            click.option(
                "--repository",
                required=True,
                metavar="URL",
                help="Where git fetches respin from.",
            ),
            click.option(
                "--ref", required=True, help="Commit of respin's; a branch or tag may move."
            ),
            click.option(
                "--release",
                "names",
                multiple=True,
                help="[default: each that is supported and has a defect]",
            ),
            click.option(
                "--image",
                "base",
                multiple=True,
                metavar="RELEASE=NAME@sha256:DIGEST",
                help="What a release's package is built on [default: its official image].",
            ),
            click.option(
                "--tools-image",
                default="",
                metavar="NAME@sha256:DIGEST",
                help="What respin itself runs in [default: Debian 12's official image].",
            ),
            click.option("--out", type=_PATH, default=Path(), help="[default: here]"),
        ]
    ):
        function = option(function)
    return function


def _ci(
    kind: str,
    repository: str,
    ref: str,
    names: tuple[str, ...],
    base: tuple[str, ...],
    tools_image: str,
    docker_image: str,
    out: Path,
) -> None:
    chosen = tuple(releases.find(name) for name in names)
    chosen = chosen or ci_workflow.affected(configured(None), datetime.date.today())
    pairs = (each.partition("=") for each in base)
    images = ci_workflow.Images(
        base={releases.find(name).codename: image for name, _, image in pairs},
        tools=tools_image,
        docker=docker_image,
    )
    text = ci_workflow.workflow(kind, repository, ref, chosen, images)
    _write(out / ci_workflow.PATHS[kind], text)
    if ci_workflow.moves(ref):
        terminal.tell(
            f"respin: {ref} is a name that may move: whoever may move it in {repository} decides "
            f"what your CI runs. To pin it, give --ref the commit (git ls-remote {repository})"
        )


@init.command()
@_ci_options
def github(**options: Any) -> None:
    """Write a workflow for GitHub Actions that builds and proves each release every night.

    It is .github/workflows/iproute2.yml below --out, the top of a repository of yours.
    """
    _ci("github", docker_image=ci_workflow.DOCKER, **options)


@init.command()
@_ci_options
@click.option(
    "--docker-image",
    default=ci_workflow.DOCKER,
    metavar="NAME@sha256:DIGEST",
    help="What the jobs and their daemon run in [default: Docker's official image].",
)
def gitlab(**options: Any) -> None:
    """Write a .gitlab-ci.yml that builds and proves each release, for a pipeline schedule."""
    _ci("gitlab", **options)
