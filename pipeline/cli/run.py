# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""``respin run``: one source from fetch to proof, and what is shown of any part of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import click

from pipeline import run as pipeline_run
from pipeline.cli import smoke, summaries, terminal, unpacked
from pipeline.cli.options import (
    ARCHITECTURES,
    COMMON,
    CONTAINER,
    PATH,
    SIGN,
    SOURCE,
    CommonOptions,
    ContainerOptions,
    SourceOptions,
    takes,
)
from pipeline.cli.request import request_of, signed_by
from pipeline.containers.engines import Kind
from pipeline.errors import RespinError, UsageError
from pipeline.host.progress import Journal
from pipeline.runs import architectures, report
from pipeline.runs import unpacked as checked
from pipeline.runs.report import Outcome, Report
from pipeline.runs.request import Request
from pipeline.smoke import own_cases
from pipeline.smoke.cases import select

Pipeline = Callable[[Request, Path, Journal | None], Report]
Pipelines = Callable[
    [Request, tuple[str, ...], Path, Journal | None], dict[str, Report | RespinError]
]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of ``respin run``."""

    source: SourceOptions
    objects: tuple[str, ...]
    way: str
    cases: tuple[str, ...]
    architectures: tuple[str, ...]
    container: ContainerOptions
    prove: bool
    compare: bool
    offline: bool
    keep: bool
    unpacked: Path | None
    sign_with: str | None
    expected: str | None
    common: CommonOptions


def _digest(value: str | None) -> str:
    """Return the SHA-256 that a .dsc must have, in lower case. Raises UsageError."""
    if value is not None and not re.fullmatch(r"[0-9A-Fa-f]{64}", value):
        raise UsageError(
            "--expect-dsc needs a SHA-256 digest of 64 hexadecimal digits",
            hint="give the digest of the .dsc, which sha256sum FILE.dsc prints",
        )
    return (value or "").lower()


def _cases(names: tuple[str, ...], request: Request) -> tuple[str, ...] | None:
    if names:  # refuses an unknown name before anything is built
        select(names, own=own_cases.of(request.applied))
    return names or None


@click.command(name="run")
@SOURCE
@click.option(
    "--object",
    "objects",
    multiple=True,
    metavar="FILE[:SECTION]",
    help="Object of your own that the new package must load.",
)
@click.option(
    "--way",
    metavar="NAME",
    default="tc",
    help="Attach type of your objects; `respin smoke --list` lists them [default: tc].",
)
@click.option(
    "--case",
    "cases",
    multiple=True,
    metavar="NAME",
    help="Run only this smoke case [default: the short set].",
)
@ARCHITECTURES
@CONTAINER
@click.option("--prove", is_flag=True, help="Run the smoke test even if no fix is needed.")
@click.option(
    "--compare-build",
    "compare",
    is_flag=True,
    help="Build the source without the patch, too, and say which functions the patch changed.",
)
@click.option(
    "--offline",
    is_flag=True,
    help="With --locked, take everything from the cache and use no network.",
)
@click.option(
    "--expect-dsc",
    "expected",
    metavar="SHA256",
    help="Fail unless the source is the one whose .dsc has this SHA-256.",
)
@click.option("--keep", is_flag=True, help="Keep the unfinished directory of a failed run.")
@click.option(
    "--unpacked",
    type=PATH,
    metavar="DIR",
    help="Also leave tc and ip in DIR, to run without being installed; implies --prove.",
)
@SIGN
@COMMON
@takes(RunOptions)
def run_command(options: RunOptions) -> None:
    """Do everything from fetch to proof; leave the .deb, the patch and the report in a directory.

    Prints the paths of the new .debs on standard output. With several architectures, each has a
    directory of its own in the output directory.
    """
    expected = _digest(options.expected)
    request = signed_by(request_of(options.source, options.common.cache), options.sign_with)
    if options.offline and not options.source.locked:
        raise UsageError(
            "--offline needs a lock: without one, a run begins with asking the archive what it has",
            hint="give the respin.lock of an earlier run with --locked",
        )
    request = replace(
        built(request, options.container),
        cases=_cases(options.cases, request),
        objects=smoke.objects(options.objects, (options.way,)),
        # What is unpacked was proven, also if no fix is needed.
        prove=options.prove or options.unpacked is not None,
        compare=options.compare,
        offline=options.offline,
        keep=options.keep,
        expected=expected,
    )
    if options.unpacked:
        if len(architectures.choose(request, options.architectures)) > 1:
            raise UsageError(
                "--unpacked is for one architecture",
                hint="unpack the run of each afterwards with respin tc",
            )
        checked.check(options.unpacked)
    out = options.source.out or Path(f"respin-{request.release.codename}")
    go_each(
        pipeline_run.run,
        pipeline_run.run_each,
        request,
        options.architectures,
        out,
        options.common,
    )
    if options.unpacked:
        unpacked.unpack(out, request, options.unpacked, options.common)


def built(request: Request, options: ContainerOptions) -> Request:
    """Return the request with the place where it is built."""
    return replace(
        request,
        container=options.container,
        image=options.image,
        force_host=options.force_host,
    )


def go_each(
    one: Pipeline,
    several: Pipelines,
    request: Request,
    names: tuple[str, ...],
    out: Path | None,
    common: CommonOptions,
) -> None:
    """Call a stage, or all of them, for the architectures that the user names."""
    chosen = architectures.choose(request, names)
    if request.locked and chosen and chosen != (request.target,):
        raise UsageError(
            f"{request.locked.path} is the lock file of a run for {request.target}",
            hint="omit --architecture",
        )
    if len(chosen) < 2:
        go(one, replace(request, architecture=(chosen or (request.architecture,))[0]), out, common)
        return
    if request.container is Kind.HOST:  # its builds share /build and this machine's packages
        raise UsageError(
            "--container host builds for one architecture at a time",
            hint="call respin once for each, with another --out",
        )
    out = out or Path(f"respin-{request.release.codename}")
    with terminal.Terminal(verbose=common.verbose) as shown:
        ended = several(request, chosen, out, shown)
    if common.as_json:
        terminal.say_json(
            {
                name: {"error": done.brief, "exit_code": done.exit_code}
                if isinstance(done, RespinError)
                else report.to_json(done, (out / name).absolute())
                for name, done in ended.items()
            }
        )
    summaries.show_signers(request.signer)
    errors = []
    for name, done in ended.items():
        summaries.show_architecture(name, done)
        if isinstance(done, RespinError):
            errors.append(done)
        elif done.built and not common.as_json:
            for deb in done.built.debs:
                terminal.say(deb.path)
    for error in errors[1:]:
        terminal.show_error(error)
    if errors:
        raise errors[0]


def go(what: Pipeline, request: Request, out: Path | None, common: CommonOptions) -> None:
    """Call a stage, or all of them, and show what came of it; ``out`` is where it is left."""
    out = out or Path(f"respin-{request.release.codename}")
    with terminal.Terminal(verbose=common.verbose) as shown:
        done = what(request, out, shown)
    summaries.show_report(done)
    summaries.show_signers(request.signer)
    if common.as_json:
        terminal.say_json(report.to_json(done, out.absolute()))
    elif done.built:
        for deb in done.built.debs:
            terminal.say(deb.path)
    elif done.outcome is Outcome.PATCHED and done.patched:
        terminal.say(done.patched.dsc)
    elif done.outcome is Outcome.FETCHED:
        terminal.say(done.source.dsc)
