# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Summaries for people: a run's verdicts, smoke matrix and packages, and this machine."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from pipeline.cli import terminal
from pipeline.cli.doctor import Check
from pipeline.cli.terminal import styled
from pipeline.isolation.sandbox import Wall
from pipeline.model import Cell, Finding, Seen, SmokeReport, Verdict
from pipeline.runs.report import Outcome, Report
from pipeline.smoke.cases import Case

_COLOUR = {
    Verdict.NEEDED: "yellow",
    Verdict.FIXED: "green",
    Verdict.ABSENT: "dim",
    Verdict.UNKNOWN: "bold red",
}


def _table(title: str, *columns: str, header: bool = True) -> Table:
    table = Table(title=title, show_header=header, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def show_findings(findings: Iterable[Finding]) -> None:
    """Show the verdicts, function by function."""
    table = _table("Verdicts", "fix", "verdict", "function", "place", "reason")
    for finding in findings:
        for n, site in enumerate(finding.sites):
            first = f"{finding.verdict}{' (half)' if finding.half else ''}" if n == 0 else ""
            table.add_row(
                finding.fix if n == 0 else "",
                styled((first, _COLOUR[finding.verdict])),
                site.function,
                f"{site.file}:{site.line}" if site.file else "",
                f"{site.verdict}: {site.reason}",
            )
        table.add_section()
    terminal.console().print(table)


def show_report(report: Report) -> None:
    """Show the summary of a run."""
    to = terminal.console()
    table = _table("Source", header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    source = report.source
    table.add_row("package", f"{source.name} {source.version}")
    table.add_row("release", f"{source.release.distro} {source.release.codename}")
    table.add_row("from", source.origin)
    for file in source.files:
        table.add_row(file.path.name, f"SHA-256 {file.sha256}")
    for verified in dict.fromkeys(file.verified for file in source.files):
        table.add_row("verified", verified)
    if report.sandbox is Wall.CONTAINER:
        table.add_row("read", "inside this container, in which no sandbox can be made")
    to.print(table)
    show_findings(report.findings)
    if report.patched:
        table = _table("Patch", header=False)
        table.add_row("version", report.patched.version)
        for path in report.patched.patches:
            table.add_row("patch", str(path))
        table.add_row("source", str(report.patched.dsc))
        to.print(table)
    if report.built:
        table = _table("Packages", "file", "bytes", "SHA-256")
        for deb in report.built.debs:
            table.add_row(deb.path.name, f"{deb.size:,}", deb.sha256)
        to.print(table)
    if report.smoke:
        show_smoke(report.smoke)
    took = "   ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.timings.items())
    to.print(styled(("Timings", "bold"), f" (stages overlap): {took}"))
    for text in report.unverified:
        to.print(styled(("Not verified: ", "yellow"), text), soft_wrap=True)
    good = {Outcome.NOT_NEEDED: "cyan", Outcome.PROVEN: "yellow"}.get(report.outcome, "green")
    to.print(styled(("Outcome: ", "bold"), (report.outcome, f"bold {good}")))


def _cell(cell: Cell | None) -> Text:
    if cell is None:
        return styled("")
    more = f", counted {cell.counted}" if cell.counted >= 0 else ""
    more += f", received {cell.received} of {cell.sent}" if cell.sent else ""
    if cell.seen in (Seen.SURVIVES, Seen.NOT_POSSIBLE):
        more = f": {cell.output or cell.reason.rpartition(': ')[2]}"
    good = cell.seen in (Seen.LOADS, Seen.SURVIVES)
    colour = "green" if good else "dim" if cell.seen is Seen.NOT_POSSIBLE else "yellow"
    if cell.ok:
        return styled((cell.seen, colour), more)
    return styled(("✗ ", "bold red"), (cell.seen, colour), f"{more}\n{cell.why}")


def show_smoke(smoke: SmokeReport) -> None:
    """Show the smoke matrix, before → after."""
    where = smoke.accelerator or "namespaces of this machine"
    columns = ("before", "after") if smoke.after else (smoke.packages[0],)
    table = _table(f"Smoke test on {smoke.kernel} ({where})", "case", "attach type", *columns)
    last = ""
    for row in smoke.cases:
        name = styled(f"{row.case}\n", (row.title, "dim")) if row.case != last else ""
        table.add_row(name, row.way, *(_cell(cell) for _, cell in row.cells))
        last = row.case
    to = terminal.console()
    to.print(table)
    for text in dict.fromkeys(row.object for row in smoke.cases if row.yours):
        to.print(styled(("The object\n", "bold"), text), soft_wrap=True)
    for limit in dict.fromkeys(limit for row in smoke.cases for limit in row.limits):
        to.print(styled(("A limit: ", "yellow"), limit), soft_wrap=True)
    if smoke.crashes:
        to.print(f"The guest crashed {smoke.crashes} times and was booted again.")


def show_cases(cases: Iterable[Case]) -> None:
    """List the smoke cases on standard output: name, title, attach types."""
    found: dict[str, list[str]] = {}
    titles = {}
    for case in cases:
        found.setdefault(case.name, []).append(case.way.name)
        titles[case.name] = case.title
    for name, names in found.items():
        terminal.say(f"{name:20} {titles[name]} ({', '.join(names)})")


def show_doctor(checks: Iterable[Check]) -> None:
    """Show what this machine has and lacks."""
    table = _table("This machine", "stages", "what", "", "found", "how to fix it")
    for check in checks:
        bad = ("✗", "bold red") if check.required else ("–", "yellow")
        mark = styled(("✓", "green") if check.ok else bad)
        table.add_row(", ".join(check.stages), check.what, mark, check.found, check.mend)
    terminal.console().print(table)
