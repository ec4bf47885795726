# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""``respin smoke``: the smoke test alone, from the command line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from pipeline.cli import summaries, terminal
from pipeline.cli.options import ARCHIVE, CACHE, FILE, PATH, VERBOSE, ArchiveOptions, takes
from pipeline.cli.request import configured
from pipeline.errors import RespinError, SmokeFailed, SmokeImpossible, TestbedLost, UsageError
from pipeline.host import leftovers, temporary
from pipeline.host.cache import Cache
from pipeline.host.progress import Progress
from pipeline.model import CaseResult, Cell, Seen, SmokeReport
from pipeline.smoke import cases, expectation, render, standalone
from pipeline.smoke.expectation import NOTHING, Expectation
from pipeline.smoke.standalone import Measured
from pipeline.smoke.user_object import UserObject, user_section

_TO = click.Path(path_type=Path, dir_okay=False)


def objects(
    names: Sequence[str], by: Sequence[str], expect: Expectation = NOTHING
) -> tuple[UserObject, ...]:
    """Return the user's objects, FILE or FILE:SECTION, one for each attach type.

    Raises UsageError for a file that is not an object, and for an unknown attach type.
    """
    for way in by:
        if way not in cases.attach_types():
            known = ", ".join(cases.attach_types())
            raise UsageError(f"{way} is not an attach type", hint=f"the attach types are: {known}")
    found = []
    for name in names:
        path, section = Path(name), None
        # Not Path.exists(): it raises if this user cannot enter a directory of the path.
        if not os.access(path, os.F_OK) and ":" in name:
            head, _, section = name.rpartition(":")
            path = Path(head)
        if not os.access(path, os.R_OK) or path.is_dir():
            raise UsageError(
                f"--object {name}: this user can read no such file",
                hint="give FILE or FILE:SECTION",
            )
        for way in by:
            item = UserObject(path=path, section=section, way=way, expect=expect)
            user_section(item)  # refuses a file that is not an object before anything is built
            found.append(item)
    return tuple(found)


def _listing(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if not value:
        return
    summaries.show_cases(cases.all_cases())
    context.exit()


@dataclass(frozen=True, kw_only=True)
class SmokeOptions:
    """The options of ``respin smoke``."""

    deb: Path
    against: Path | None
    release: str | None
    kernels: tuple[str, ...]
    cases: tuple[str, ...]
    ways: tuple[str, ...]
    objects: tuple[str, ...]
    together: bool
    expect: tuple[str, ...]
    send: Path | None
    place: str
    html: Path | None
    markdown: Path | None
    junit: Path | None
    as_json: bool
    logs: Path | None
    archive: ArchiveOptions
    cache: Path | None
    verbose: bool


@click.command(name="smoke")
@click.option("--deb", type=FILE, required=True, help="iproute2 package to test.")
@click.option("--against", type=FILE, help="Package to compare it with: the one before.")
@click.option("--release", help="Codename or number of the release [default: this machine's].")
@click.option(
    "--kernel",
    "kernels",
    multiple=True,
    metavar="PACKAGE|FILE|newest|all",
    help="Kernel to test on: a package of the release, a .deb file (of Ubuntu, also that of its "
    "modules), `newest` of each series and flavour, or `all`.",
)
@click.option(
    "--case", "cases", multiple=True, metavar="NAME", help="Run only this case [default: all]."
)
@click.option(
    "--way", "ways", multiple=True, metavar="NAME", help="Use only this attach type [default: all]."
)
@click.option(
    "--object",
    "objects",
    multiple=True,
    metavar="FILE[:SECTION]",
    help="Object of your own; then only the cases that --case names run.",
)
@click.option(
    "--together",
    is_flag=True,
    help="Load the objects in order, in one network and one bpffs [default: each alone].",
)
@click.option(
    "--expect",
    multiple=True,
    metavar="received=N|map:NAME[KEY]=N",
    help="What must be seen of each object besides that it loads: how many frames pass, or what a "
    "pinned map holds.",
)
@click.option(
    "--send",
    type=FILE,
    help="Capture (pcap) whose frames to send to each object [default: 7 UDP frames].",
)
@click.option(
    "--place",
    type=click.Choice(["auto", "guest", "netns"]),
    default="auto",
    help="Where to test: a virtual machine, or namespaces on this kernel (needs root) [default: "
    "auto, which is guest].",
)
@click.option("--html", type=_TO, metavar="FILE", help="Write the matrix as an HTML page.")
@click.option("--markdown", type=_TO, metavar="FILE", help="Write the matrix as a Markdown table.")
@click.option("--junit", type=_TO, metavar="FILE", help="Write the matrix as JUnit XML.")
@click.option(
    "--json", "as_json", is_flag=True, help="Write the matrix to standard output as JSON."
)
@click.option(
    "--logs",
    type=PATH,
    help="Directory for the logs [default: kept only if the test fails].",
)
@ARCHIVE
@CACHE
@VERBOSE
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_listing,
    help="List the cases with their attach types, and exit.",
)
@takes(SmokeOptions)
def smoke(options: SmokeOptions) -> None:
    """Test what a package's tc loads on a real kernel: every case, with every attach type.

    With --against, test before and after. Exits 14 if a result is not the one that this tc must
    give.
    """
    if not options.objects and (options.together or options.expect or options.send):
        raise UsageError("--together, --expect and --send concern objects of your own: --object")
    expect = expectation.parse(options.expect, options.send)
    wanted = objects(options.objects, options.ways or ("tc",), expect)
    _refuse_capture(wanted)
    if options.place == "netns" and (options.kernels or options.release):
        raise UsageError(
            "--place netns uses the running kernel, so --kernel and --release do not apply"
        )
    with _logs(options.logs) as logs:
        _measure(options, wanted, logs)


def _refuse_capture(wanted: Sequence[UserObject]) -> None:
    """Raise UsageError if a capture cannot be sent to one of the attach types."""
    for item in wanted:
        send = cases.attach_types()[item.way].send
        if item.expect.frames and send not in ("ingress", "egress"):
            raise UsageError(
                f"--send sends Ethernet frames, which do not come to the attach type {item.way}",
                hint="use an attach type of an interface, such as tc, egress or xdp",
            )


@contextmanager
def _logs(named: Path | None) -> Iterator[Path]:
    """Yield the directory of the logs; keep a temporary one only after an error that names it."""
    if named:
        yield named
        return
    with leftovers.directory(temporary.system(), "respin-smoke-") as logs:
        try:
            yield logs
        except RespinError:
            if any(logs.iterdir()):
                leftovers.done(logs)
            raise


def _measure(options: SmokeOptions, wanted: tuple[UserObject, ...], logs: Path) -> None:
    only = bool(wanted) and not options.cases
    request = standalone.SmokeRequest(
        packages=(options.against, options.deb) if options.against else (options.deb,),
        cases=() if only else cases.select(options.cases or None, options.ways, whole=True),
        objects=wanted,
        together=options.together,
        place="netns" if options.place == "netns" else "guest",
        release=options.release,
        kernels=options.kernels,
        config=configured(options.archive.config),
        mirror=options.archive.mirror,
        keyring=options.archive.keyring,
        cache=Cache(options.cache),
        log_dir=logs,
    )
    with terminal.Terminal(verbose=options.verbose) as shown:
        measured = standalone.measure(request, Progress(shown))
    _leave(measured.reports, options)
    _judge(measured, logs)


def _leave(reports: Sequence[SmokeReport], options: SmokeOptions) -> None:
    """Write the matrix to every file that an option names."""
    for report in reports:
        summaries.show_smoke(report)
    for path, text in (
        (options.html, render.html),
        (options.junit, render.junit),
        (options.markdown, _tables),
    ):
        if path:
            try:
                path.write_text(text(reports), "utf-8")
            except OSError as e:
                raise UsageError(f"respin could not write {path}: {e.strerror}") from e
    if options.as_json:
        terminal.say_json(render.to_json(reports))


def _tables(reports: Sequence[SmokeReport]) -> str:
    return "\n".join(render.markdown(report) for report in reports)


def _judge(measured: Measured, logs: Path) -> None:
    """Raise the error that determines the exit code, if anything went wrong.

    A wrong result comes first, then a guest that was lost. Every error names the kernels that were
    not tested.
    """
    cells = [(row, when, cell) for report in measured.reports for row, when, cell in report.cells]
    bad = [(row, when, cell) for row, when, cell in cells if not cell.ok]
    refused = [f"{kernel}: {e.brief}" for kernel, e in measured.refused]
    lost = sum(isinstance(e, TestbedLost) for _, e in measured.refused)
    if bad:
        only_lost = all(cell.seen is Seen.LOST for _, _, cell in bad)
        raise (TestbedLost if only_lost else SmokeFailed)(
            f"{len(bad)} of {len(cells)} results are wrong",
            details="\n".join([*map(_complaint, bad), *refused]),
            hint=f"read the logs in {logs}",
        )
    if lost:
        raise TestbedLost(
            f"the guest was lost on {lost} kernels and could not continue",
            details="\n".join(refused),
            hint=f"the results on the other kernels are valid; read the logs in {logs}",
        )
    if all(cell.seen is Seen.NOT_POSSIBLE for _, _, cell in cells):
        raise SmokeImpossible(
            "nothing was proven: none of the cases is possible here",
            details="\n".join([*dict.fromkeys(cell.reason for _, _, cell in cells), *refused]),
            hint="try another kernel (--kernel) or place (--place)",
        )
    if refused:
        raise SmokeImpossible(
            f"respin could not test on {len(refused)} of the kernels",
            details="\n".join(refused),
            hint="the results on the other kernels are valid",
        )


def _complaint(bad: tuple[CaseResult, str, Cell]) -> str:
    row, when, cell = bad
    return f"{row.case} ({row.way}){f', {when}' if row.after else ''}: {cell.why}"
