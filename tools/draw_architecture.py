# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Draw which directory of pipeline/ imports which: python tools/draw_architecture.py [--check]

The floors are those of import-linter's contract in pyproject.toml, the dots are what the code
imports, and the words are the first lines of the directories' own docstrings. It writes the picture
docs/architecture.svg and the table of floors in docs/architecture.md; with --check it writes
nothing, and ends with a sentence if either is not up to date.
"""

import ast
import sys
import tomllib
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- floors: written by tools/draw_architecture.py -->", "<!-- end of the floors -->"
SQUARE, LEFT, TOP = 22, 118, 92
STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.page { fill: #ffffff } .floor { fill: #eef1f4 } .line { stroke: #d0d7de }
.own { fill: #c9d1d9 } .dot { fill: #0550ae }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .page { fill: #0d1117 } .floor { fill: #1b222c } .line { stroke: #3d444d }
  .own { fill: #3d444d } .dot { fill: #79c0ff }
}"""


def floors() -> list[list[str]]:
    """Return the names on each floor, the top one first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = project["tool"]["importlinter"]["contracts"]
    return [floor.split(" | ") for floor in contract["layers"]]


def arrows(names: list[str]) -> set[tuple[str, str]]:
    """Return who imports whom."""
    graph = grimp.build_graph("pipeline", cache_dir=None)
    for name in names:
        graph.squash_module(f"pipeline.{name}")
    found = set()
    for name in names:
        below = graph.find_modules_directly_imported_by(f"pipeline.{name}")
        found |= {(name, each.removeprefix("pipeline.")) for each in below}
    return {(a, b) for a, b in found if b in names and a != b}


def path(name: str) -> Path:
    """Return where the module or directory ``name`` is."""
    module = ROOT / "pipeline" / f"{name}.py"
    return module if module.is_file() else ROOT / "pipeline" / name


def shown(name: str) -> str:
    """Return its name as a reader looks for it."""
    return path(name).name + ("/" if path(name).is_dir() else "")


def purpose(name: str) -> str:
    """Return the first line of its docstring."""
    where = path(name)
    text = (where / "__init__.py" if where.is_dir() else where).read_text()
    return (ast.get_docstring(ast.parse(text)) or "").splitlines()[0]


def picture(layers: list[list[str]], found: set[tuple[str, str]]) -> str:
    """Return the SVG: a row and a column for each name, a dot where the row imports the column."""
    names = [name for floor in layers for name in floor]
    side = SQUARE * len(names)
    width, height = LEFT + side + 14, TOP + side + 40
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        ' role="img" aria-labelledby="title">',
        '<title id="title">Which part of pipeline/ imports which on lower floors</title>',
        f"<style>\n{STYLE}\n</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
    ]
    at = 0
    for number, floor in enumerate(layers):
        y, high = TOP + at * SQUARE, len(floor) * SQUARE
        if number % 2 == 0:
            out.append(f'<rect class="floor" y="{y}" width="{width}" height="{high}"/>')
        at += len(floor)
    for number, name in enumerate(names):
        middle = SQUARE * number + SQUARE // 2
        label = escape(shown(name))
        out.append(f'<text x="10" y="{TOP + middle + 4}">{label}</text>')
        x = LEFT + middle
        out.append(f'<text transform="translate({x + 4} {TOP - 8}) rotate(-90)">{label}</text>')
        x, y = LEFT + SQUARE * number, TOP + SQUARE * number
        out.append(f'<line class="line" x1="{x}" y1="{TOP}" x2="{x}" y2="{TOP + side}"/>')
        out.append(f'<rect class="own" x="{x}" y="{y}" width="{SQUARE}" height="{SQUARE}"/>')
    for importer, imported in sorted(found):
        x = LEFT + SQUARE * names.index(imported) + SQUARE // 2
        y = TOP + SQUARE * names.index(importer) + SQUARE // 2
        out.append(f'<circle class="dot" cx="{x}" cy="{y}" r="5"/>')
    words = "A row imports the columns where it has a dot. A band is a floor."
    out.append(f'<text x="10" y="{height - 14}">{words}</text>')
    return "\n".join([*out, "</svg>", ""])


def table(layers: list[list[str]]) -> str:
    """Return the floors as a table in Markdown."""
    lines = ["| floor | part | what it is |", "|---|---|---|"]
    for number, floor in enumerate(layers):
        for name in floor:
            link = f"[{shown(name)}](../{path(name).relative_to(ROOT)})"
            lines.append(f"| {len(layers) - number} | {link} | {purpose(name)} |")
    return "\n".join(lines)


def main(check: bool) -> None:
    """Write the picture and the table, or say that they are not up to date."""
    layers = floors()
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        sys.exit(f"{PAGE} has no place for the floors, from {BEGIN} to {END}")
    found = arrows([name for floor in layers for name in floor])
    made = {
        PICTURE: picture(layers, found),
        PAGE: f"{before}{BEGIN}\n\n{table(layers)}\n\n{END}{after}",
    }
    for where, text in made.items():
        if not check:
            where.write_text(text)
        elif not where.is_file() or where.read_text() != text:
            sys.exit(
                f"{where.relative_to(ROOT)} is not what the code is now: "
                "run python tools/draw_architecture.py"
            )


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
