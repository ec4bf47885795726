"""What a person sees: progress, tables and errors, all on standard error."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Sequence

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from pipeline.cases import Case
from pipeline.doctor import Check
from pipeline.errors import RespinError
from pipeline.model import Cell, Finding, Seen, SmokeReport, Verdict
from pipeline.report import Outcome, Report

_COLOUR = {
    Verdict.NEEDED: "yellow",
    Verdict.FIXED: "green",
    Verdict.ABSENT: "dim",
    Verdict.UNKNOWN: "bold red",
}


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table: words in columns."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]


def console() -> Console:
    """Return the console: colours and width only where standard error is a terminal."""
    wide = None if sys.stderr.isatty() else 120
    return Console(stderr=True, highlight=False, soft_wrap=False, width=wide)


class Terminal:
    """A journal that shows the stages with the time each has taken.

    Off a terminal it is quiet, but for the notes that ``verbose`` asks for.
    """

    def __init__(self, *, verbose: bool) -> None:
        self._console = console()
        self._verbose = verbose
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}", table_column=Column(no_wrap=True, min_width=14)),
            TimeElapsedColumn(),
            TextColumn(
                "[dim]{task.fields[note]}",
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
            expand=True,
            console=self._console,
            disable=not self._console.is_terminal,
        )

    def __enter__(self) -> Terminal:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._progress.disable:  # rich 13.3 (Debian 12) ends with an empty line even so
            self._progress.stop()

    def begin(self, stage: str) -> None:
        """Show a stage that begins."""
        with self._lock:
            self._tasks[stage] = self._progress.add_task(stage, total=1, note="")

    def note(self, stage: str, text: str) -> None:
        """Show what happened in a stage."""
        with self._lock:
            if stage in self._tasks:
                self._progress.update(self._tasks[stage], note=escape(text))
            if self._verbose:
                self._console.print(f"[bold]{escape(stage)}[/]: {escape(text)}")

    def end(self, stage: str, seconds: float, failed: bool) -> None:
        """Show that a stage has ended."""
        with self._lock:
            text = f"[red]{stage} failed" if failed else stage
            self._progress.update(self._tasks[stage], description=text, completed=1)
            if self._verbose:
                word = "failed after" if failed else "took"
                self._console.print(f"[bold]{escape(stage)}[/]: {word} {seconds:.1f} s")


def show_error(error: RespinError) -> None:
    """Show what happened, the details, and what to do next."""
    to = console()
    to.print(f"[bold red]respin: {escape(error.brief)}[/]", soft_wrap=True)
    for line in error.details.splitlines():
        to.print(f"  {escape(line)}", soft_wrap=True)
    for note in getattr(error, "__notes__", ()):
        to.print(f"  {escape(note)}", soft_wrap=True)
    if error.hint:
        to.print(f"[bold]→[/] {escape(error.hint)}", soft_wrap=True)


def show_findings(findings: Iterable[Finding]) -> None:
    """Show the verdicts, function by function."""
    table = Table(title="Verdicts", title_justify="left", title_style="bold")
    for column in ("fix", "verdict", "function", "place", "reason"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        for n, site in enumerate(finding.sites):
            first = f"{finding.verdict}{' (half)' if finding.half else ''}" if n == 0 else ""
            colour = _COLOUR[finding.verdict]
            table.add_row(
                finding.fix if n == 0 else "",
                f"[{colour}]{first}[/]",
                site.function,
                f"{site.file}:{site.line}" if site.file else "",
                f"{site.verdict}: {escape(site.reason)}",
            )
        table.add_section()
    console().print(table)


def show_report(report: Report) -> None:
    """Show the summary of a run."""
    to = console()
    table = Table(show_header=False, title="Source", title_justify="left", title_style="bold")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    source = report.source
    table.add_row("package", f"{source.name} {source.version}")
    table.add_row("release", f"{source.release.distro} {source.release.codename}")
    table.add_row("from", escape(source.origin))
    for file in source.files:
        table.add_row(file.path.name, f"SHA-256 {file.sha256}")
    for verified in dict.fromkeys(file.verified for file in source.files):
        table.add_row("verified", escape(verified))
    to.print(table)
    show_findings(report.findings)
    if report.patched:
        table = Table(show_header=False, title="Patch", title_justify="left", title_style="bold")
        table.add_row("version", report.patched.version)
        for path in report.patched.patches:
            table.add_row("patch", str(path))
        table.add_row("source", str(report.patched.dsc))
        to.print(table)
    if report.built:
        table = Table(title="Packages", title_justify="left", title_style="bold")
        for column in ("file", "bytes", "SHA-256"):
            table.add_column(column, overflow="fold")
        for deb in report.built.debs:
            table.add_row(deb.path.name, f"{deb.size:,}", deb.sha256)
        to.print(table)
    if report.smoke:
        show_smoke(report.smoke)
    took = "   ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.timings.items())
    to.print(f"[bold]Timings[/] (stages overlap): {took}")
    good = "green" if report.outcome is not Outcome.NOT_NEEDED else "cyan"
    to.print(f"[bold]Outcome: [{good}]{report.outcome}[/{good}][/]")


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return ""
    more = f", counted {cell.counted}" if cell.counted >= 0 else ""
    more += f", received {cell.received} of {cell.sent}" if cell.sent else ""
    if cell.seen in (Seen.SURVIVES, Seen.NOT_POSSIBLE):
        more = f": {escape(cell.output or cell.reason.rpartition(': ')[2])}"
    good = cell.seen in (Seen.LOADS, Seen.SURVIVES)
    colour = "green" if good else "dim" if cell.seen is Seen.NOT_POSSIBLE else "yellow"
    text = f"[{colour}]{cell.seen}[/]{more}"
    return text if cell.ok else f"[bold red]✗[/] {text}\n{escape(cell.why)}"


def show_smoke(smoke: SmokeReport) -> None:
    """Show the smoke matrix, before → after."""
    where = smoke.accelerator or "namespaces of this machine"
    title = f"Smoke test on {smoke.kernel} ({where})"
    table = Table(title=title, title_justify="left", title_style="bold")
    columns = ("before", "after") if smoke.after else (smoke.packages[0],)
    for column in ("case", "way", *columns):
        table.add_column(escape(column), overflow="fold")
    last = ""
    for row in smoke.cases:
        name = f"{row.case}\n[dim]{escape(row.title)}[/]" if row.case != last else ""
        cells = [_cell(cell) for _, cell in row.cells]
        table.add_row(name, row.way, *cells)
        last = row.case
    to = console()
    to.print(table)
    for text in dict.fromkeys(row.object for row in smoke.cases if row.yours):
        to.print(f"[bold]The object[/]\n{escape(text)}", soft_wrap=True)
    for limit in dict.fromkeys(limit for row in smoke.cases for limit in row.limits):
        to.print(f"[yellow]A limit:[/] {escape(limit)}", soft_wrap=True)
    if smoke.crashes:
        to.print(f"The guest crashed {smoke.crashes} times and was booted again.")


def show_cases(cases: Iterable[Case]) -> None:
    """List the smoke cases on standard output: name, ways, title."""
    found: dict[str, list[str]] = {}
    titles = {}
    for case in cases:
        found.setdefault(case.name, []).append(case.way.name)
        titles[case.name] = case.title
    for name, names in found.items():
        click.echo(f"{name:20} {titles[name]} ({', '.join(names)})")


def show_doctor(checks: Iterable[Check]) -> None:
    """Show what this machine has and lacks."""
    table = Table(title="This machine", title_justify="left", title_style="bold")
    for column in ("stages", "what", "", "found", "what mends it"):
        table.add_column(column, overflow="fold")
    for check in checks:
        mark = (
            "[green]✓[/]" if check.ok else ("[bold red]✗[/]" if check.required else "[yellow]–[/]")
        )
        table.add_row(
            ", ".join(check.stages),
            check.what,
            mark,
            escape(check.found),
            escape(check.mend),
        )
    console().print(table)
