# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""``respin tc``: a run's tc and ip as files that run without being installed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from pipeline.archives import host_apt
from pipeline.cli import terminal
from pipeline.cli.options import (
    ARCHIVE,
    COMMON,
    DIRECTORY,
    PATH,
    ArchiveOptions,
    CommonOptions,
    takes,
)
from pipeline.cli.request import request_again
from pipeline.errors import NotVerified
from pipeline.proof import check
from pipeline.publish import trust
from pipeline.runs import unpacked
from pipeline.runs.report_reader import read
from pipeline.runs.request import Request

SCHEMA = 1
ALSO_RUNS = {"amd64": "i386", "arm64": "armhf"}
"""What the processors of an architecture usually run, too."""


@dataclass(frozen=True, kw_only=True)
class UnpackedOptions:
    """The options of ``respin tc``."""

    run: Path
    archive: ArchiveOptions
    out: Path
    common: CommonOptions


@click.command(name="tc")
@click.argument("run", metavar="RUN", type=DIRECTORY)
@ARCHIVE
@click.option(
    "--out", type=PATH, default=Path("respin-tc"), help="New directory [default: respin-tc]."
)
@COMMON
@takes(UnpackedOptions)
def tc_command(options: UnpackedOptions) -> None:
    """Unpack tc and ip of RUN, the directory of a run, so that they run without being installed.

    The directory has them with all libraries that they need, and can be copied into a container or
    to a machine on which no package can be installed. Prints the paths of both, and says if no
    trusted key has signed the run.
    """
    request = request_again(options.run, options.archive, options.common.cache)
    paths = unpack(options.run, request, options.out, options.common)
    _tell_who_vouches(options.run, request)
    if options.common.as_json:
        terminal.say_json({"schema": SCHEMA, "programs": [str(p.absolute()) for p in paths]})


def _tell_who_vouches(run: Path, request: Request) -> None:
    """Say what is not known of a run: whoever can write to it can write its report, too."""
    for text in read(run).unverified:
        terminal.tell(f"respin: not verified: {text}")
    try:
        check.directory(run, trust.trusted(request.config))
    except NotVerified as e:
        terminal.tell(f"respin: not verified: {e.brief}; its tc and ip may be anybody's")


def unpack(run: Path, request: Request, dest: Path, common: CommonOptions) -> tuple[Path, ...]:
    """Unpack a run at ``dest``; print where the programs are, and return it."""
    with terminal.Terminal(verbose=common.verbose) as shown:
        found = unpacked.of_run(run, request, dest, shown)
    if not common.as_json:
        for path in found:
            terminal.say(path)
    here, there = host_apt.architecture(), read(run).architecture
    if there not in ("", here, ALSO_RUNS.get(here)):
        terminal.tell(
            f"respin: tc and ip in {dest} are for {there} and do not run on this machine, which is "
            f"{here}: copy {dest} to a machine or image of {there}"
        )
    return found
