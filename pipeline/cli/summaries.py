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
from pipeline.errors import RespinError
from pipeline.isolation.sandbox import Wall
from pipeline.model import (
    Cell,
    ChangedSymbol,
    Comparison,
    Difference,
    Finding,
    Seen,
    SmokeReport,
    Verdict,
)
from pipeline.proof.envelope import Signer
from pipeline.runs.report import Outcome, Report
from pipeline.smoke.cases import Case
from pipeline.text import visible

LINES = 20
"""Lines of a command's output that the terminal shows; a verifier's log has thousands."""

_COLOUR = {
    Verdict.NEEDED: "yellow",
    Verdict.FIXED: "green",
    Verdict.ABSENT: "dim",
    Verdict.UNKNOWN: "bold red",
}


_NAME, _TITLE = 36, 24
"""Columns that the matrix has at most for a name, and at least for a title, on a terminal of 80."""


def _heading(text: str) -> None:
    to = terminal.console()
    for line in terminal.wrapped(text, to.width):
        to.print(styled((line, "bold")), soft_wrap=True)


def _show(label: str, value: str) -> None:
    """Show a value after its label, broken only between words: no hash and no path is cut."""
    to = terminal.console()
    for line in terminal.wrapped(value, to.width, label):
        to.print(styled(line), soft_wrap=True)


def show_findings(findings: Iterable[Finding]) -> None:
    """Show the verdicts, function by function."""
    to = terminal.console()
    _heading("Verdicts")
    for finding in findings:
        half = " (half)" if finding.half else ""
        condition = f" {finding.condition}" if finding.condition else ""
        verdict = (f"{finding.verdict}{half}", _COLOUR[finding.verdict])
        to.print(styled(f"  {finding.fix}: ", verdict, condition))
        for site in finding.sites:
            place = f" ({site.file}:{site.line})" if site.file else ""
            to.print(styled(f"    {site.function}{place}"), soft_wrap=True)
            _show("      ", f"{site.verdict}: {site.reason}")


def show_report(report: Report) -> None:
    """Show the summary of a run."""
    to = terminal.console()
    source = report.source
    _heading("Source")
    _show("  package   ", f"{source.name} {source.version}")
    _show("  release   ", f"{source.release.distro} {source.release.codename}")
    _show("  from      ", source.origin)
    for verified in dict.fromkeys(file.verified for file in source.files):
        _show("  verified  ", verified)
    if report.sandbox is Wall.CONTAINER:
        _show("  read      ", "inside this container, in which no sandbox can be made")
    for file in source.files:
        _show("  file      ", file.path.name)
        _show("    SHA-256 ", file.sha256)
    show_findings(report.findings)
    _show_patches(report)
    if report.built:
        _heading("Packages")
        for deb in report.built.debs:
            _show("  file      ", f"{deb.path.name} ({deb.size:,} bytes)")
            _show("    SHA-256 ", deb.sha256)
    if report.comparison:
        show_comparison(report.comparison)
    if report.smoke:
        show_smoke(report.smoke)
    took = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.timings.items())
    _heading("Timings (stages overlap)")
    _show("  ", took)
    for text in report.unverified:
        _show("Not verified: ", text)
    if report.smoke and report.smoke.kept is not None:
        rows = f"{report.smoke.kept} of {len(report.smoke.cases)} cases"
        _show("Proven: ", f"the distro's package loads {rows}, and so does the new one")
    good = {Outcome.NOT_NEEDED: "cyan", Outcome.PROVEN: "yellow"}.get(report.outcome, "green")
    to.print(styled(("Outcome: ", "bold"), (report.outcome, f"bold {good}")))


def _show_patches(report: Report) -> None:
    """Show what came of the user's own patches, and the patched source."""
    if report.user_patches:
        _heading("Your patches")
    for own in report.user_patches:
        because = f": {own.reason}" if own.reason else ""
        _show("  patch     ", f"{own.name}, {own.fate}{because}")
    if report.patched:
        _heading("Patch")
        _show("  version   ", report.patched.version)
        for path in report.patched.patches:
            _show("  patch     ", str(path))
        _show("  source    ", str(report.patched.dsc))


def show_signers(signer: Signer | None) -> None:
    """Show who has signed the statements about a run, in provenance.json."""
    who = " and ".join(signer.fingerprints) if signer else "nobody, since there is no key"
    _show("Signed by: ", who)


def show_comparison(found: Comparison) -> None:
    """Show what the patch changed in the packages."""
    _heading("Changed by the patch")
    for how in Difference:
        files = [f"{each.package}: /{each.path}" for each in found.files if each.how is how]
        if files:
            _show(f"  {how:9}", ", ".join(files))
    for title, chosen in (
        ("the patch changes its source", [s for s in found.symbols if s.in_patch]),
        ("the same source, compiled differently", [s for s in found.symbols if not s.in_patch]),
    ):
        for (place, programs), group in _grouped(chosen).items():
            _show("  ", f"{place}, in {' and '.join(programs) or 'no program'}; {title}:")
            for how in Difference:
                names = sorted(each.name for each in group if each.how is how)
                if names:
                    _show(f"    {how:9}", ", ".join(names))
    for place in found.unread:
        _show(
            "  differs  ", f"{place}, whose functions cannot be compared (link-time optimization)"
        )
    _show("  ", f"{found.objects} object files were compared; everything else in them is the same.")


def _grouped(
    symbols: Iterable[ChangedSymbol],
) -> dict[tuple[str, tuple[str, ...]], list[ChangedSymbol]]:
    found: dict[tuple[str, tuple[str, ...]], list[ChangedSymbol]] = {}
    for each in symbols:
        found.setdefault((each.object, each.programs), []).append(each)
    return found


def show_architecture(name: str, done: Report | RespinError) -> None:
    """Show in a line how the run for one of several architectures ended."""
    if isinstance(done, RespinError):
        _show(f"{name:9} ", f"failed, exit code {done.exit_code}: {done.brief}")
        return
    proof = ""
    if done.smoke:
        cells, where = done.smoke.cells, done.smoke.machine or done.smoke.accelerator
        good = sum(cell.ok for _, _, cell in cells)
        proof = f": {good} of {len(cells)} results as expected on {done.smoke.kernel} ({where})"
    _show(f"{name:9} ", f"{done.outcome}{proof}")


def _cell(cell: Cell | None) -> Text:
    if cell is None:
        return styled("")
    more = f", counted {cell.counted}" if cell.counted >= 0 else ""
    more += f", received {cell.received} of {cell.sent}" if cell.sent else ""
    if cell.seen is Seen.SURVIVES:
        more = f": {cell.output}"
    elif cell.seen is Seen.NOT_POSSIBLE:
        more = f": {cell.reason.rpartition(': ')[2]}"
    good = cell.seen in (Seen.LOADS, Seen.SURVIVES)
    colour = "green" if good else "dim" if cell.seen is Seen.NOT_POSSIBLE else "yellow"
    if cell.ok:
        return styled((cell.seen, colour), more)
    return styled(("✗ ", "bold red"), (cell.seen, colour), f"{more}\n{cell.why}")


def _short(name: str) -> str:
    """Return the name of a case or of the user's object, which is shown below as a whole, too."""
    return name if len(name) <= _NAME else f"{name[: _NAME // 2 - 1]}…{name[-_NAME // 2 :]}"


def _show_words(smoke: SmokeReport) -> None:
    """Show what was said in each cell that is not as expected, up to LINES lines of it."""
    to = terminal.console()
    for row, when, cell in smoke.cells:
        lines = (cell.verifier or cell.output).strip("\n").splitlines()
        if cell.ok or not lines:
            continue
        phase = f", {when}" if smoke.after else ""
        cut = len(lines) > LINES
        part = f"; the last {LINES} of {len(lines)} lines, all are in the page and the JSON"
        _heading(f"What was said of {row.case} ({row.way}{phase}{part if cut else ''})")
        for line in lines[-LINES:]:
            to.print(styled(f"  {line}"), soft_wrap=True)


def show_smoke(smoke: SmokeReport) -> None:
    """Show the smoke matrix, before → after."""
    how = {"tcg": "emulation"}.get(smoke.accelerator, smoke.accelerator)
    guest = ", ".join(filter(None, (smoke.architecture, how)))
    where = guest if how else "namespaces of this machine"
    title = f"Smoke test on {smoke.kernel} ({where})"
    table = Table(title=title, title_justify="left", title_style="bold")
    columns = ("before", "after") if smoke.after else (smoke.packages[0],)
    # Rich would fold a name to make room for the words in another column.
    wide = max(_TITLE, *(len(_short(row.case)) for row in smoke.cases))
    table.add_column("case", no_wrap=True)
    for column in ("attach type", *columns):
        table.add_column(column, overflow="fold")
    last = ""
    for row in smoke.cases:
        # The title of the user's own object is its path, which a narrow column would cut.
        about = row.title.rpartition(", ")[2] if row.yours else row.title
        about = "\n".join(terminal.wrapped(about, wide))
        name = styled(f"{_short(row.case)}\n", (about, "dim")) if row.title != last else ""
        table.add_row(name, row.way, *(_cell(cell) for _, cell in row.cells))
        last = row.title
    to = terminal.console()
    to.print(table)
    for row in {row.title: row for row in smoke.cases if row.yours}.values():
        _heading(f"The object {row.title}")
        for line in row.object.splitlines():
            _show("  ", line)
        for limit in row.limits:
            _show(f"Why {row.case} is refused: ", limit)
    _show_words(smoke)
    if smoke.crashes:
        to.print(f"The guest crashed {smoke.crashes} times and was booted again.")


def show_cases(cases: Iterable[Case]) -> None:
    """List the smoke cases on standard output: name, title, attach types."""
    found: dict[str, list[str]] = {}
    titles = {}
    for case in cases:
        found.setdefault(case.name, []).append(case.way.name)
        titles[case.name] = case.title
    wide = max(map(len, found), default=0)
    for name, names in found.items():
        terminal.say_wrapped(f"{name:{wide}} ", f"{titles[name]} ({', '.join(names)})")


def show_doctor(checks: Iterable[Check]) -> None:
    """Show what this machine has and lacks."""
    to = terminal.console()
    _heading("This machine")
    checks = list(checks)
    wide = max(len(check.what) for check in checks)
    for stages in dict.fromkeys(check.stages for check in checks):
        to.print(styled((", ".join(stages), "dim")))
        for check in checks:
            if check.stages == stages:
                bad = ("✗", "bold red") if check.required else ("–", "yellow")
                to.print(styled("  ", ("✓", "green") if check.ok else bad, " "), end="")
                # The mark takes the first four columns.
                lines = terminal.wrapped(check.found, to.width - 4, f"{check.what:{wide}}  ")
                to.print(styled("\n    ".join(lines)), soft_wrap=True)
                if check.remedy:
                    to.print(styled(f"    → {visible.line(check.remedy)}"), soft_wrap=True)
