# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""``respin object``: what a BPF object contains, without a package and without a kernel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pipeline.cli import terminal
from pipeline.cli.options import FILE, JSON, takes
from pipeline.errors import UsageError
from pipeline.smoke import as_btf, object_report
from pipeline.smoke.bpf_object import read


@dataclass(frozen=True, kw_only=True)
class ObjectOptions:
    """The options of ``respin object``."""

    file: Path
    as_json: bool
    as_btf: bool


@click.command(name="object")
@click.argument("file", metavar="FILE", type=FILE)
@click.option("--as-btf", is_flag=True, help="Print the legacy maps as definitions in .maps.")
@JSON
@takes(ObjectOptions)
def object_command(options: ObjectOptions) -> None:
    """Show the programs, maps and sections of a BPF object, and which loaders refuse it.

    No package and no kernel is needed. With --as-btf, print the legacy maps as C source that
    defines them in .maps, which libbpf 1.0 and later loads.
    """
    if options.as_json and options.as_btf:
        raise UsageError("--json and --as-btf print different things; omit one of them")
    if options.as_btf:
        terminal.say_lines(as_btf.source(read(options.file), options.file.name))
        return
    report = object_report.examine(options.file)
    if options.as_json:
        terminal.say_json(report)
    else:
        for line in _lines(report):
            terminal.say(line)


def _lines(report: dict[str, Any]) -> list[str]:
    debug = f"{report['btf']} bytes of BTF" if report["btf"] else "no BTF"
    lines = [f"{report['file']}: {report['byte_order']}-endian, {debug}", ""]
    lines += _table(
        ("program", "functions", "for", "maps"),
        [
            (p["section"], ", ".join(p["functions"]), _KIND[p["kind"]], ", ".join(p["maps"]))
            for p in report["programs"]
        ],
    )
    lines += _table(
        ("map", "section", "type", "key", "value", "entries", "flags", "id", "pinning", "inner"),
        [_map(m) for m in report["maps"]],
    )
    lines += _table(("section", "bytes"), [(s["name"], s["size"]) for s in report["sections"]])
    names = object_report.titles()
    for limit in report["limits"]:
        verb = "Refused" if limit["certain"] else "Sometimes refused"
        remedy = limit["remedy"]
        lines.append(f"{verb}: {limit['what']}.")
        lines.append(f"  {remedy[0].upper()}{remedy[1:]}.")
        lines += [f"  by: {names[loader]}" for loader in limit["loaders"]]
    return lines if report["limits"] else [*lines, "No known loader refuses it."]


_KIND = {"tc": "tc", "xdp": "XDP", "lwt": "routes", "any": "any", "other": "neither tc nor ip"}


def _map(each: dict[str, Any]) -> tuple[object, ...]:
    inner = f"{each['inner_id']} at {each['inner_idx']}" if each["inner_id"] else ""
    static = " (static)" if each["static"] else ""
    names = ("type_name", "key_size", "value_size", "max_entries", "flags", "id", "pinning")
    return (f"{each['name']}{static}", each["section"], *(each[name] for name in names), inner)


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    """Return the lines of a table, and an empty one; none for a table without rows."""
    if not rows:
        return []
    shown = [["" if cell is None else str(cell) for cell in row] for row in rows]
    return [*terminal.aligned([head, *shown]), ""]
