# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the tables of docs/architectures.md from what `respin smoke --json` printed.

    tools/architecture_table.py amd64.json arm64.json ... >tables.md

Each file is one comparison (--against) of one architecture. The first table says on what each ran,
the second what each row gave, before and after; a result that was not expected is bold.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROW = ("case", "way")


def tables(reports: Sequence[Mapping[str, Any]]) -> str:
    """Return both tables; a row that an architecture did not run is empty there."""
    lines = ["| architecture | machine | kernel | packages | as expected |", "|---" * 5 + "|"]
    for report in reports:
        cells = [cell for case in report["cases"] for cell in _cells(case)]
        good = sum(cell["ok"] for cell in cells)
        what = (report["architecture"], _machine(report), report["kernel"])
        lines.append(
            f"| {' | '.join(what)} | {', '.join(report['packages'])} | "
            f"{good} of {len(cells)} results |"
        )
    names = [report["architecture"] for report in reports]
    lines += ["", f"| case | attach type | {' | '.join(names)} |", "|---" * (2 + len(names)) + "|"]
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for report in reports:
        for case in report["cases"]:
            row = rows.setdefault(tuple(case[name] for name in ROW), {})
            row[report["architecture"]] = " → ".join(map(_seen, _cells(case)))
    for key, row in rows.items():
        lines.append(f"| {' | '.join(key)} | {' | '.join(row.get(n, '') for n in names)} |")
    return "\n".join(lines) + "\n"


def _machine(report: Mapping[str, Any]) -> str:
    how = "emulation" if report["accelerator"] == "tcg" else report["accelerator"]
    return f"{report['machine'].removeprefix('qemu-system-')}, {how}"


def _cells(case: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [cell for cell in (case["before"], case["after"]) if cell]


def _seen(cell: Mapping[str, Any]) -> str:
    return str(cell["seen"]) if cell["ok"] else f"**{cell['seen']}**"


if __name__ == "__main__":
    found = [json.loads(Path(name).read_text())["reports"][0] for name in sys.argv[1:]]
    sys.stdout.write(tables(found))
