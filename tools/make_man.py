#!/usr/bin/python3 -I
# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the manual pages: tools/make_man.py build/man

docs/man/NAME.SECTION.md is Markdown for pandoc. In the place of a line ``@commands A B``, the
commands A and B (or those of the group A) are described by what their own ``--help`` says, so a
page cannot differ from the program; a command that no page describes, or that two pages do, is an
error. It runs with Debian's own Python, as ./respin does, so that a package's build needs pandoc
and respin's own dependencies only.
"""

import datetime
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import click  # noqa: E402

from pipeline import __version__  # noqa: E402
from pipeline.cli.main import cli  # noqa: E402

SOURCES = ROOT / "docs" / "man"
LINE = re.compile(r"^@commands (.+)$", re.MULTILINE)


def escaped(text: str) -> str:
    """Return plain text as Markdown that says the same; what stands in backticks is bold."""
    plain = re.sub(r"([^\w\s`])", r"\\\1", " ".join(text.split()))
    return re.sub(r"`([^`]*)`", r"**\1**", plain)


def leaves(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Context]]:
    """Yield the name and the context of a command, or of those of a group, by name."""
    if not isinstance(command, click.Group):
        yield context.command_path, context
        return
    for name, below in sorted(command.commands.items()):
        yield from leaves(below, click.Context(below, info_name=name, parent=context))


def described(context: click.Context) -> str:
    """Return the section of one command: its usage, its help and its options."""
    command = context.command
    usage = escaped(" ".join(command.collect_usage_pieces(context)))
    parts = [f"## {context.command_path}", f"**{context.command_path}** {usage}"]
    parts += [escaped(text) for text in (command.help or "").split("\n\n")]
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None or "--help" in parameter.opts:
            continue
        names = re.sub(r"(?<!\S)--?[\w-]+", r"`\g<0>`", record[0])
        parts.append(f"{escaped(names)}\n:   {escaped(record[1])}")
    return "\n\n".join(parts)


def commands(of: str) -> dict[str, str]:
    """Return the sections of the commands that a line of a page names, by their whole names."""
    top = click.Context(cli, info_name="respin", max_content_width=100)
    found = {}
    for name in of.split():
        below = cli.commands[name]
        for path, context in leaves(below, click.Context(below, info_name=name, parent=top)):
            found[path] = described(context)
    return found


def pages() -> dict[str, str]:
    """Return the Markdown of each page by its name, such as respin.1.

    Ends the program with a sentence if a command is in no page, or in more than one.
    """
    top = click.Context(cli, info_name="respin")
    seen: Counter[str] = Counter()
    made = {}
    for source in sorted(SOURCES.glob("*.md")):

        def section(match: re.Match[str]) -> str:
            found = commands(match[1])
            seen.update(found.keys())
            return "\n\n".join(found.values())

        made[source.stem] = LINE.sub(section, source.read_text("utf-8"))
    wrong = [path for path, _ in leaves(cli, top) if seen[path] != 1]
    if wrong:
        sys.exit(f"describe each command in one page of docs/man, and in one only: {wrong}")
    return made


def dated() -> str:
    """Return the day of SOURCE_DATE_EPOCH, or of the newest release in CHANGELOG.md."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch:
        return datetime.datetime.fromtimestamp(int(epoch), datetime.UTC).date().isoformat()
    day = re.search(r"^## .*(\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    return day[1] if day else datetime.date.today().isoformat()


def main(out: Path) -> None:
    """Write each page below ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        title, _, section = name.rpartition(".")
        argv = ["pandoc", "--standalone", "--from", "markdown-smart", "--to", "man"]
        for key, value in {
            "title": title.upper(),
            "section": section,
            "date": dated(),
            "footer": f"iproute2-respin {__version__}",
            "header": "iproute2-respin",
        }.items():
            argv += ["--metadata", f"{key}={value}"]
        page = subprocess.run(argv, input=text, text=True, stdout=subprocess.PIPE, check=True)
        (out / name).write_text(page.stdout, "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
