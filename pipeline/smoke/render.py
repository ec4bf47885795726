# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Render the smoke matrix as an HTML page, JSON, JUnit XML or Markdown.

docs/smoke.md explains the JSON, pipeline/smoke/smoke.schema.json defines it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree as ET

from pipeline import __version__
from pipeline.host.resources import render
from pipeline.model import GOOD, CaseResult, Cell, Seen, SmokeReport
from pipeline.smoke.cases import attach_types, loaders
from pipeline.text import visible
from pipeline.text.quoting import markdown as quoted

SCHEMA = 1


def html(reports: Sequence[SmokeReport]) -> str:
    """Return a self-contained page without scripts, with a matrix for each report."""
    return render(
        "smoke.html.j2",
        reports=reports,
        ways=attach_types(),
        loaders={loader.name: loader.title for loader in loaders()},
        answer=answer,
        count=count,
        change=change,
        version=__version__,
    )


def change(row: CaseResult) -> str:
    """Return how a row changed: ``same``, ``better``, ``worse`` or ``other``."""
    if row.after is None or row.before.seen is row.after.seen:
        return "same"
    if row.after.seen in GOOD:
        return "better"
    return "worse" if row.before.seen in GOOD else "other"


def answer(reports: Sequence[SmokeReport]) -> str:
    """Return in one sentence what the reports, of one comparison on each kernel, have shown."""
    rows = [row for report in reports for row in report.cases]
    last = [row.after or row.before for row in rows]
    good = sum(cell.seen in GOOD for cell in last)
    impossible = sum(cell.seen is Seen.NOT_POSSIBLE for cell in last)
    wrong = sum(not cell.ok for report in reports for _, _, cell in report.cells)
    where = f"On {len(reports)} kernels, " if len(reports) > 1 else ""
    if reports[0].after:
        better = sum(change(row) == "better" for row in rows)
        worse = sum(change(row) == "worse" for row in rows)
        lost = (
            f"{worse} that loaded before {_do(worse)} not"
            if worse
            else ("nothing that loaded before is refused")
        )
        parts = [f"{good} of {len(rows)} load now, {better} of which did not before", lost]
    else:
        parts = [f"{good} of {len(rows)} load"]
    if impossible:
        parts.append(f"{impossible} {'was' if impossible == 1 else 'were'} not possible here")
    if wrong:
        parts.append(f"{wrong} result{' is' if wrong == 1 else 's are'} not as expected")
    elif not reports[0].after:
        parts.append("every result is as expected")
    return f"{where}{'; '.join(parts)}."


def _do(number: int) -> str:
    return "does" if number == 1 else "do"


def count(report: SmokeReport) -> dict[str, int]:
    """Return how many rows changed how, and how many cells are not as expected."""
    found = dict.fromkeys(("same", "better", "worse", "other", "bad", "impossible"), 0)
    for row in report.cases:
        found[change(row)] += 1
    found["bad"] = sum(not cell.ok for _, _, cell in report.cells)
    found["impossible"] = sum(c.seen is Seen.NOT_POSSIBLE for _, _, c in report.cells)
    return found


def markdown(report: SmokeReport) -> str:
    """Return a matrix as a Markdown table, without values that differ between runs."""
    both = bool(report.after)
    lines = ["| case | attach type | " + ("before | after |" if both else "seen |")]
    lines.append("|---" * (4 if both else 3) + "|")
    for row in report.cases:
        cells = " | ".join(_mark(cell) for _, cell in row.cells)
        lines.append(f"| {quoted(f'{row.case}: {row.title}')} | {quoted(row.way)} | {cells} |")
    return "\n".join(lines) + "\n"


def _mark(cell: Cell) -> str:
    text = cell.seen.value if cell.ok else f"**{cell.seen.value}**"
    if cell.seen is Seen.LOADS and cell.received != cell.sent:
        return f"{text}, {cell.received} of {cell.sent} received"
    if cell.seen is Seen.NOT_POSSIBLE:
        return f"{text}: {quoted(cell.reason.rpartition(': ')[2])}"
    return text


def to_json(reports: Sequence[SmokeReport]) -> dict[str, Any]:
    """Return reports as JSON values."""
    return {
        "schema": SCHEMA,
        "tool": "iproute2-respin",
        "tool_version": __version__,
        "ok": all(report.ok for report in reports),
        "reports": [dataclasses.asdict(report) for report in reports],
    }


def junit(reports: Sequence[SmokeReport]) -> str:
    """Return reports as JUnit XML: a suite for each kernel and package, a case for each cell."""
    root = ET.Element("testsuites", name="respin smoke")
    for report in reports:
        for when, package in zip(("before", "after"), report.packages, strict=False):
            cells = [(row, cell) for row, phase, cell in report.cells if phase == when]
            root.append(_suite(f"{package} on Linux {report.kernel}", when, cells))
    ET.indent(root)
    for element in root.iter():
        _clean(element)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _clean(element: ET.Element) -> None:
    """Show characters by number that XML cannot contain or nobody can see."""
    element.attrib = {name: visible.lines(value) for name, value in element.attrib.items()}
    if element.text:
        element.text = visible.lines(element.text)


def _suite(name: str, when: str, cells: Sequence[tuple[CaseResult, Cell]]) -> ET.Element:
    suite = ET.Element(
        "testsuite",
        name=name,
        tests=str(len(cells)),
        failures=str(sum(not c.ok and c.seen is not Seen.LOST for _, c in cells)),
        errors=str(sum(not c.ok and c.seen is Seen.LOST for _, c in cells)),
        skipped=str(sum(c.seen is Seen.NOT_POSSIBLE for _, c in cells)),
        time=f"{sum(c.seconds for _, c in cells):.3f}",
    )
    for row, cell in cells:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=f"smoke.{when}",
            name=f"{row.case} ({row.way})",
            time=f"{cell.seconds:.3f}",
        )
        if cell.seen is Seen.NOT_POSSIBLE:
            ET.SubElement(case, "skipped", message=cell.reason)
        elif not cell.ok:
            kind = "error" if cell.seen is Seen.LOST else "failure"
            ET.SubElement(case, kind, message=cell.why).text = cell.output
        ET.SubElement(case, "system-out").text = f"$ {cell.command}\n{cell.output}"
    return suite
