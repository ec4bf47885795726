# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""`respin init`: files that run respin from a timer, in a cluster or in a CI system."""

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
    """Write a file that runs respin from systemd, cron, Kubernetes or a CI system."""


def _schedule_options(function: Command) -> Command:
    for option in reversed(
        [
            click.option("--user", default="respin", help="User to run as [default: respin]."),
            click.option("--config", type=_PATH, help="Absolute path of respin.toml."),
            click.option("--program", type=_PATH, help="Path of respin [default: this one]."),
            click.option("--cache", type=_PATH, default=Path("/var/cache/respin")),
            click.option(
                "--hourly", is_flag=True, help="Run every hour, so that retries happen on time."
            ),
        ]
    ):
        function = option(function)
    return function


def _schedule(program: Path | None, cache: Path, **options: Any) -> Schedule:
    this = Path(sys.argv[0]).absolute()
    if program is None and this.name != "respin":  # such as python -m pipeline
        installed = command.which("respin")
        if installed is None:
            raise UsageError(
                "respin is not on the PATH", hint="say where it is with --program PATH"
            )
        this = Path(installed)
    return Schedule(program=program or this, cache=cache, **options)


@init.command()
@_schedule_options
@click.option(
    "--out", type=_PATH, default=Path(), help="Directory to write to [default: the current one]."
)
def systemd(out: Path, **options: Any) -> None:
    """Write respin-nightly.service and respin-nightly.timer, and print their paths."""
    for name, text in schedule.systemd(_schedule(**options)).items():
        _write(out / name, text)


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
@_schedule_options
def cron(**options: Any) -> None:
    """Print a file for /etc/cron.d."""
    terminal.say_lines(schedule.cron(_schedule(**options)))


@init.command()
@click.option("--image", required=True, help="Container image that contains respin.")
@click.option("--hourly", is_flag=True, help="Run every hour, so that retries happen on time.")
def kubernetes(image: str, hourly: bool) -> None:
    """Print a CronJob with its volumes, as YAML for kubectl apply."""
    terminal.say_lines(schedule.kubernetes(image, hourly=hourly))
    if "@sha256:" not in image:
        terminal.tell(
            f"respin: the tag of {image} can move, and the pod holds the signing key of the "
            "repository. To pin the image, use --image NAME@sha256:DIGEST"
        )


def _ci_options(function: Command) -> Command:
    for option in reversed(
        [
            click.option(
                "--repository",
                required=True,
                metavar="URL",
                help="URL that git fetches respin from.",
            ),
            click.option(
                "--ref", required=True, help="Commit of respin to use; a branch or a tag can move."
            ),
            click.option(
                "--release",
                "names",
                multiple=True,
                help="Release to build [default: every supported one that has a defect].",
            ),
            click.option(
                "--image",
                "base",
                multiple=True,
                metavar="RELEASE=NAME@sha256:DIGEST",
                help="Image to build a release's package on [default: its official image].",
            ),
            click.option(
                "--tools-image",
                default="",
                metavar="NAME@sha256:DIGEST",
                help="Image that respin itself runs in [default: Debian 12's official image].",
            ),
            click.option(
                "--out", type=_PATH, default=Path(), help="Directory to write to [default: here]."
            ),
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
            f"respin: {ref} is a name that can move: whoever can move it in {repository} decides "
            f"what your CI runs. To pin it, pass a commit to --ref (git ls-remote {repository})"
        )


@init.command()
@_ci_options
def github(**options: Any) -> None:
    """Write a GitHub Actions workflow that builds and proves each release every night.

    The file is .github/workflows/iproute2.yml below --out, the top of your repository.
    """
    _ci("github", docker_image=ci_workflow.DOCKER, **options)


@init.command()
@_ci_options
@click.option(
    "--docker-image",
    default=ci_workflow.DOCKER,
    metavar="NAME@sha256:DIGEST",
    help="Image for the jobs and their daemon [default: Docker's official image].",
)
def gitlab(**options: Any) -> None:
    """Write a .gitlab-ci.yml that builds and proves each release on a pipeline schedule."""
    _ci("gitlab", **options)
