# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""`respin init`: files that run respin from a timer, in a cluster or in a CI system."""

from __future__ import annotations

import datetime
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from pipeline.cli import ci_workflow, schedule, terminal
from pipeline.cli.options import PATH, options, takes
from pipeline.cli.request import configured
from pipeline.cli.schedule import Schedule
from pipeline.errors import UsageError
from pipeline.files import bounded, own_files
from pipeline.host import command
from pipeline.releases import releases


@click.group(name="init")
def init() -> None:
    """Write a file that runs respin from systemd, cron, Kubernetes or a CI system."""


HOURLY = click.option(
    "--hourly", is_flag=True, help="Run every hour, so that retries happen on time."
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
@click.option(
    "--out", type=PATH, default=Path(), help="Directory to write to [default: the current one]."
)
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


@dataclass(frozen=True, kw_only=True)
class KubernetesOptions:
    """The options of ``respin init kubernetes``."""

    image: str
    hourly: bool


@init.command()
@click.option("--image", required=True, help="Container image that contains respin.")
@HOURLY
@takes(KubernetesOptions)
def kubernetes(options: KubernetesOptions) -> None:
    """Print a CronJob with its volumes, as YAML for kubectl apply."""
    terminal.say_lines(schedule.kubernetes(options.image, hourly=options.hourly))
    if "@sha256:" not in options.image:
        terminal.tell(
            f"respin: the tag of {options.image} can move, and the pod holds the signing key of "
            "the repository. To pin the image, use --image NAME@sha256:DIGEST"
        )


CI = options(
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
    click.option("--out", type=PATH, default=Path(), help="Directory to write to [default: here]."),
)


@dataclass(frozen=True, kw_only=True)
class CiOptions:
    """The options of ``respin init github``."""

    repository: str
    ref: str
    names: tuple[str, ...]
    base: tuple[str, ...]
    tools_image: str
    out: Path


@dataclass(frozen=True, kw_only=True)
class GitlabOptions:
    """The options of ``respin init gitlab``."""

    ci: CiOptions
    docker_image: str


def _ci(kind: str, options: CiOptions, docker_image: str) -> None:
    repository, ref = options.repository, options.ref
    chosen = tuple(releases.find(name) for name in options.names)
    chosen = chosen or ci_workflow.affected(configured(None), datetime.date.today())
    pairs = (each.partition("=") for each in options.base)
    images = ci_workflow.Images(
        base={releases.find(name).codename: image for name, _, image in pairs},
        tools=options.tools_image,
        docker=docker_image,
    )
    text = ci_workflow.workflow(kind, repository, ref, chosen, images)
    _write(options.out / ci_workflow.PATHS[kind], text)
    if ci_workflow.moves(ref):
        terminal.tell(
            f"respin: {ref} is a name that can move: whoever can move it in {repository} decides "
            f"what your CI runs. To pin it, pass a commit to --ref (git ls-remote {repository})"
        )


@init.command()
@CI
@takes(CiOptions)
def github(options: CiOptions) -> None:
    """Write a GitHub Actions workflow that builds and proves each release every night.

    The file is .github/workflows/iproute2.yml below --out, the top of your repository.
    """
    _ci("github", options, ci_workflow.DOCKER)


@init.command()
@CI
@click.option(
    "--docker-image",
    default=ci_workflow.DOCKER,
    metavar="NAME@sha256:DIGEST",
    help="Image for the jobs and their daemon [default: Docker's official image].",
)
@takes(GitlabOptions)
def gitlab(options: GitlabOptions) -> None:
    """Write a .gitlab-ci.yml that builds and proves each release on a pipeline schedule."""
    _ci("gitlab", options.ci, options.docker_image)
