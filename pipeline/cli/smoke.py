# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""``respin smoke``: the smoke test on its own, from the command line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from pipeline.cli import summaries, terminal
from pipeline.cli.options import address, configured
from pipeline.errors import RespinError, SmokeFailed, SmokeImpossible, TestbedLost, UsageError
from pipeline.host import leftovers, temporary
from pipeline.host.cache import Cache
from pipeline.host.progress import Progress
from pipeline.model import CaseResult, Cell, Seen, SmokeReport
from pipeline.smoke import cases, render, standalone
from pipeline.smoke.bpf_object import UserObject, user_section
from pipeline.smoke.standalone import Measured

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_TO = click.Path(path_type=Path, dir_okay=False)


def objects(names: Sequence[str], by: Sequence[str]) -> tuple[UserObject, ...]:
    """Return the user's objects, FILE or FILE:SECTION, one for each way.

    Raises UsageError for one that is none, and for what is no way, also without any object.
    """
    for way in by:
        if way not in cases.ways():
            known = ", ".join(cases.ways())
            raise UsageError(f"{way} is no way to load an object", hint=f"There are: {known}")
    found = []
    for name in names:
        path, section = Path(name), None
        # Not Path.exists(): it raises where a directory on the way is closed to this user.
        if not os.access(path, os.F_OK) and ":" in name:
            head, _, section = name.rpartition(":")
            path = Path(head)
        if not os.access(path, os.R_OK) or path.is_dir():
            raise UsageError(
                f"--object {name}: there is no such file for this user",
                hint="give FILE or FILE:SECTION",
            )
        for way in by:
            item = UserObject(path=path, section=section, way=way)
            user_section(item)  # refuses what is no object, before anything is built
            found.append(item)
    return tuple(found)


def _listing(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if not value:
        return
    summaries.show_cases(cases.all_cases())
    context.exit()


@click.command(name="smoke")
@click.option("--deb", type=_FILE, required=True, help="The iproute2 package to test.")
@click.option("--against", type=_FILE, help="The one that it is held against: the one before.")
@click.option("--release", help="Codename or number [default: this machine's].")
@click.option(
    "--kernel",
    multiple=True,
    metavar="PACKAGE|FILE|newest|all",
    help="A kernel of the release by its package, a kernel's .deb, the newest of each series and"
    " flavour, or all.",
)
@click.option(
    "--case", "names", multiple=True, metavar="NAME", help="Only this case [default: every one]."
)
@click.option(
    "--way", "by", multiple=True, metavar="NAME", help="Only by this way [default: every one]."
)
@click.option(
    "--object",
    "objects_",
    multiple=True,
    metavar="FILE[:SECTION]",
    help="An object of yours; no case then but those that --case names.",
)
@click.option(
    "--place",
    type=click.Choice(["auto", "guest", "netns"]),
    default="auto",
    help="A virtual machine, or namespaces on this kernel (root) [default: auto, the guest].",
)
@click.option("--html", type=_TO, metavar="FILE", help="The matrix as a page.")
@click.option("--markdown", type=_TO, metavar="FILE", help="The matrix as a table for a text.")
@click.option("--junit", type=_TO, metavar="FILE", help="The matrix for CI systems.")
@click.option("--json", "as_json", is_flag=True, help="The matrix on standard output.")
@click.option("--logs", type=click.Path(path_type=Path), help="[default: kept if it fails]")
@click.option("--config", type=_FILE, help="[default: $RESPIN_CONFIG or the user's own]")
@click.option(
    "--mirror",
    metavar="URI",
    callback=address,
    help="Archive [default: as apt uses here].",
)
@click.option("--keyring", type=_FILE, help="Keys that may sign its index.")
@click.option("--cache", type=click.Path(path_type=Path), help="[default: ~/.cache/respin]")
@click.option("--verbose", "-v", is_flag=True, help="Say what happens.")
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_listing,
    help="List the cases and their ways.",
)
def smoke(**options: Any) -> None:
    """Say what the tc of a package loads, on a real kernel: every case, by every way.

    With --against, before and after. Exit 14 if a cell is not as it must be for this tc.
    """
    by = options["by"]
    wanted = objects(options["objects_"], by or ("tc",))
    only = bool(wanted) and not options["names"]
    packages = (options["against"], options["deb"]) if options["against"] else (options["deb"],)
    if options["place"] == "netns" and (options["kernel"] or options["release"]):
        raise UsageError("--place netns has this machine's kernel: no --kernel, no --release")
    with _logs(options["logs"]) as logs:
        _measure(options, packages, wanted, only, logs)


@contextmanager
def _logs(named: Path | None) -> Iterator[Path]:
    """Yield the directory of the logs; one that nobody named is kept only if an error says so."""
    if named:
        yield named
        return
    with leftovers.folder(temporary.system(), "respin-smoke-") as logs:
        try:
            yield logs
        except RespinError:
            if any(logs.iterdir()):
                leftovers.done(logs)
            raise


def _measure(
    options: dict[str, Any],
    packages: tuple[Path, ...],
    wanted: tuple[UserObject, ...],
    only: bool,
    logs: Path,
) -> None:
    by = options["by"]
    order = standalone.Order(
        packages=packages,
        cases=() if only else cases.select(options["names"] or None, by, whole=True),
        objects=wanted,
        place="netns" if options["place"] == "netns" else "guest",
        release=options["release"],
        kernels=options["kernel"],
        config=configured(options["config"]),
        mirror=options["mirror"],
        keyring=options["keyring"],
        cache=Cache(options["cache"]),
        log_dir=logs,
    )
    with terminal.Terminal(verbose=options["verbose"]) as shown:
        measured = standalone.measure(order, Progress(shown))
    _leave(measured.reports, options)
    _judge(measured, logs)


def _leave(reports: Sequence[SmokeReport], options: dict[str, Any]) -> None:
    """Leave the matrix wherever it is asked for."""
    for report in reports:
        summaries.show_smoke(report)
    writers = (("html", render.html), ("junit", render.junit), ("markdown", _tables))
    for option, text in writers:
        if options[option]:
            try:
                options[option].write_text(text(reports), "utf-8")
            except OSError as e:
                raise UsageError(f"{options[option]} cannot be written: {e.strerror}") from e
    if options["as_json"]:
        terminal.say_json(render.to_json(reports))


def _tables(reports: Sequence[SmokeReport]) -> str:
    return "\n".join(render.markdown(report) for report in reports)


def _judge(measured: Measured, logs: Path) -> None:
    """Raise what the exit code is to say, if not all is well.

    A cell that is not as it must be comes first, then a guest that was lost; whatever is
    raised, the kernels that were not tested on are named.
    """
    cells = [(row, when, cell) for report in measured.reports for row, when, cell in report.cells]
    bad = [(row, when, cell) for row, when, cell in cells if not cell.ok]
    refused = [f"{kernel}: {e.brief}" for kernel, e in measured.refused]
    lost = sum(isinstance(e, TestbedLost) for _, e in measured.refused)
    if bad:
        only_lost = all(cell.seen is Seen.LOST for _, _, cell in bad)
        raise (TestbedLost if only_lost else SmokeFailed)(
            f"{len(bad)} of {len(cells)} cells are not as they must be",
            details="\n".join([*map(_complaint, bad), *refused]),
            hint=f"The logs are in {logs}",
        )
    if lost:
        raise TestbedLost(
            f"the guest was lost on {lost} of the kernels, and could not go on",
            details="\n".join(refused),
            hint=f"What is said of the others stands. The logs are in {logs}",
        )
    if all(cell.seen is Seen.NOT_POSSIBLE for _, _, cell in cells):
        raise SmokeImpossible(
            "nothing was proven: none of it is possible here",
            details="\n".join([*dict.fromkeys(cell.reason for _, _, cell in cells), *refused]),
            hint="Try another kernel (--kernel) or place (--place).",
        )
    if refused:
        raise SmokeImpossible(
            f"{len(refused)} of the kernels cannot be tested on",
            details="\n".join(refused),
            hint="What is said of the others stands.",
        )


def _complaint(bad: tuple[CaseResult, str, Cell]) -> str:
    row, when, cell = bad
    return f"{row.case} ({row.way}){f', {when}' if row.after else ''}: {cell.why}"
