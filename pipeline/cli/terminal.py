# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The terminal: progress, errors, and everything that goes to standard output and error.

This is the only module that writes to standard output and standard error. Everything goes through
text/visible.py, so no escape sequence from outside reaches a terminal, and nothing is read as
rich's markup.
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import threading
import traceback
from collections.abc import Sequence
from typing import Any, TextIO

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from pipeline.errors import RespinError, UsageError
from pipeline.text import visible


def say(text: object) -> None:
    """Write a line to standard output, where a program may read it."""
    click.echo(visible.line(str(text)))


def say_lines(text: str) -> None:
    """Write text to standard output."""
    click.echo(visible.lines(text).rstrip("\n"))


def say_json(value: Any) -> None:
    """Write JSON to standard output: ASCII, all else escaped."""
    click.echo(json.dumps(value, indent=2))


def tell(text: str) -> None:
    """Write a line to standard error, for people; on a terminal, it is broken between words."""
    for line in wrapped(text, _columns(sys.stderr)):
        click.echo(line, err=True)


def tell_lines(text: str) -> None:
    """Write text to standard error, for people."""
    click.echo(visible.lines(text).rstrip("\n"), err=True)


def _columns(stream: TextIO) -> int:
    """Return the columns of the terminal that a stream is; 0 for any other stream."""
    return shutil.get_terminal_size().columns if stream.isatty() else 0


def wrapped(text: str, width: int, label: str = "") -> list[str]:
    """Return text after its label in lines of ``width`` columns, broken only between words.

    No hash and no path is cut: a longer word has a line of its own. A width of 0 has no limit.
    """
    text, label = visible.line(text), visible.line(label)
    longest = max(map(len, text.split()), default=0)
    if not width or len(label) + len(text) <= width:
        return [f"{label}{text}"]
    fits = len(label) + longest <= width
    indent = len(label) if fits else min(4, len(label))
    lines = textwrap.wrap(
        text,
        width,
        initial_indent=label if fits else " " * indent,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    # A line may begin with a word that is a command there (text/visible.py).
    lines = lines if fits or not label else [label.rstrip(), *lines]
    return [visible.line(line) for line in lines]


def say_wrapped(label: str, text: str) -> None:
    """Write text after its label to standard output; on a terminal, it is broken between words."""
    for line in wrapped(text, _columns(sys.stdout), label):
        click.echo(line)


def say_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table to standard output: a line for each row.

    On a terminal that is too narrow for that, each cell has a line, after the name of its column.
    """
    lines, width = aligned([head, *rows]), _columns(sys.stdout)
    if not width or max(map(len, lines)) <= width:
        for line in lines:
            click.echo(line)
        return
    label = max(map(len, head)) + 2
    for number, row in enumerate(rows):
        if number:
            click.echo()
        for name, cell in zip(head, row, strict=True):
            say_wrapped(name.ljust(label), cell)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table with aligned columns."""
    rows = [[visible.line(cell) for cell in row] for row in rows]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]


class _Visible(Console):
    """A console that shows every text literally: without markup and escape sequences."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the renderable that rich makes from every str it is given."""
        return super().render_str(visible.lines(text), **options)


def console() -> Console:
    """Return the console: colours and width only where standard error is a terminal."""
    wide = None if sys.stderr.isatty() else 120
    return _Visible(stderr=True, highlight=False, markup=False, emoji=False, width=wide)


def styled(*parts: str | tuple[str, str]) -> Text:
    """Return text whose parts may have a style each: ``("text", "bold")``."""
    pairs = [part if isinstance(part, tuple) else (part, "") for part in parts]
    return Text.assemble(*((visible.lines(text), style) for text, style in pairs))


class Terminal:
    """A journal that shows the stages and the time that each has taken.

    Without a terminal it shows only the notes that ``verbose`` asks for.
    """

    def __init__(self, *, verbose: bool) -> None:
        self._console = console()
        self._verbose = verbose
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        name = Column(no_wrap=True, min_width=14)
        note = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        self._progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}", markup=False, table_column=name),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False, table_column=note),
            expand=True,
            console=self._console,
            disable=not self._console.is_terminal,
        )

    def __enter__(self) -> Terminal:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._progress.disable:  # rich 13.3 (Debian 12) would print an empty line
            self._progress.stop()

    def begin(self, stage: str) -> None:
        """Show a stage that begins."""
        with self._lock:
            task = self._progress.add_task(visible.line(stage), total=1, note="")
            self._tasks[stage] = task

    def note(self, stage: str, text: str) -> None:
        """Show what happened in a stage."""
        with self._lock:
            if stage in self._tasks:
                self._progress.update(self._tasks[stage], note=visible.line(text))
            if self._verbose:
                self._console.print(styled((stage, "bold"), f": {text}"))

    def end(self, stage: str, seconds: float, failed: bool) -> None:
        """Show that a stage has ended."""
        with self._lock:
            text = visible.line(f"✗ {stage} failed" if failed else stage)
            self._progress.update(self._tasks[stage], description=text, completed=1)
            if self._verbose:
                word = "failed after" if failed else "took"
                self._console.print(styled((stage, "bold"), f": {word} {seconds:.1f} s"))


def show_error(error: RespinError) -> None:
    """Show what happened, the details, and what to do next.

    On a terminal sentences wrap between words; the details, and what programs read, do not.
    """
    to = console()
    soft = not to.is_terminal
    # As other programs do: the name of the program stands before the colon, and once.
    brief = f"respin: {visible.line(error.brief).removeprefix('respin ')}"
    for line in wrapped(brief, 0 if soft else to.width):
        to.print(styled((line, "bold red")), soft_wrap=True)
    for line in error.details.splitlines():
        to.print(f"  {line}", soft_wrap=True)
    for note in getattr(error, "__notes__", ()):
        for line in wrapped(note, 0 if soft else to.width, "  "):
            to.print(line, soft_wrap=True)
    if error.hint:
        for line in wrapped(error.hint, 0 if soft else to.width, "→ "):
            to.print(line, soft_wrap=True)


def show_usage(error: click.ClickException) -> None:
    """Show click's error about a command line, which it quotes."""
    context = getattr(error, "ctx", None)
    said = error.format_message()
    if context is not None and said == context.get_help():  # a group without a command
        tell_lines(said)
        return
    said = f"{said[:1].lower()}{said[1:]}".removesuffix(".")
    hint = f"{context.command_path} --help shows the usage" if context is not None else ""
    show_error(UsageError(said, hint=hint))


def show_bug(error: BaseException) -> None:
    """Show an unexpected exception, and ask for a bug report."""
    tell_lines("".join(traceback.format_exception(error)))
    tell("respin: this is a bug in respin; please report the lines above")
