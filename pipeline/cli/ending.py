# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""How the process of the command line ends: one sentence, and the exit code that DESIGN gives.

Errors that were foreseen say what happened where it happened. What nobody foresaw is a bug of
ours and says so, with its traceback; but where the machine has no room, no rights or no memory
left, or a text is none, that is no bug: the last net, for what no better sentence was found for.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import click

import pipeline
from pipeline.cli import streams, terminal
from pipeline.errors import RespinError, UsageError
from pipeline.host import leftovers, temporary
from pipeline.host.interrupts import interrupts

OF_THE_MACHINE = frozenset(
    getattr(errno, name)
    for name in (
        *("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS", "ESTALE", "ENODEV", "ENXIO"),
        *("EACCES", "EPERM", "ENAMETOOLONG", "ELOOP", "EMFILE", "ENFILE", "ENOMEM", "EAGAIN"),
    )
)
"""What a system call fails with that did nothing wrong."""


def run(command_line: Callable[[], Any]) -> NoReturn:
    """Call the command line; end the process with its exit code."""
    streams.prepare()
    interrupts.install()
    try:
        code = _code(command_line)
    except KeyboardInterrupt as e:  # in the moment in which something else was the end
        code = _failed(e)
    interrupts.close()
    if streams.problem():
        # Python would write it once more, and say that it cannot.
        os._exit(code)
    sys.exit(code)


def _code(command_line: Callable[[], Any]) -> int:
    try:
        with temporary.own():
            found = command_line()
        streams.flush()
        return int(found or 0)
    except BaseException as e:
        return _failed(e)


def _failed(e: BaseException) -> int:
    """Say how it failed; return the exit code."""
    interrupts.close()
    left = leftovers.clear_all()
    chain = tuple(_chain(e))
    if any(isinstance(each, KeyboardInterrupt | click.Abort) for each in chain):
        return _interrupted(chain, left)
    if isinstance(e, BrokenPipeError):
        return 128 + signal.SIGPIPE
    if isinstance(e, click.ClickException):
        terminal.show_usage(e)
        return UsageError.exit_code
    if isinstance(e, SystemExit):
        return e.code if isinstance(e.code, int) else 0
    error = e if isinstance(e, RespinError) else of_machine(e)
    if error is None:
        terminal.show_bug(e)
        return RespinError.exit_code
    for path in left:
        error.add_note(f"This could not be removed, and is left: {path}")
    terminal.show_error(error)
    return error.exit_code


def _chain(e: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and those that it came of."""
    seen = set[int]()
    while e is not None and id(e) not in seen:
        seen.add(id(e))
        yield e
        e = e.__cause__ or e.__context__


def _interrupted(chain: tuple[BaseException, ...], left: tuple[Path, ...]) -> int:
    """Say what an interrupt left behind, or that it left nothing; return the exit code."""
    kept = [*leftovers.what_is_whole()]
    kept += [note for each in chain for note in getattr(each, "__notes__", ())]
    kept += [f"This could not be removed, and is left: {path}" for path in left]
    if kept:
        terminal.tell("respin: interrupted")
        for note in dict.fromkeys(kept):
            terminal.tell(f"  {note}")
    else:
        terminal.tell("respin: interrupted; nothing unfinished is left behind")
    return 128 + (interrupts.ending or signal.SIGINT)


def of_machine(e: BaseException) -> UsageError | None:
    """Return what to say of an exception that is no bug of ours; None if it is one."""
    where = _place(e)
    wrong = streams.problem()
    if isinstance(e, OSError) and wrong and (e.errno, e.filename) == (wrong.errno, None):
        return UsageError(
            f"standard output cannot be written: {e.strerror}",
            details="\n".join(leftovers.what_is_whole()),
            hint="look at where it goes",
        )
    if isinstance(e, OSError) and e.errno in OF_THE_MACHINE:
        what = f"{e.filename}: {e.strerror}" if e.filename else str(e.strerror)
        return UsageError(
            f"this machine did not let respin go on: {what}", details=where, hint=_HINTS[e.errno]
        )
    if isinstance(e, MemoryError):
        return UsageError(
            "there is not memory enough", details=where, hint="end other programs, and try again"
        )
    if isinstance(e, UnicodeError):
        return UsageError(
            "a name or a text that was given is not UTF-8",
            details=f"{e}\n{where}",
            hint="if all that you gave is UTF-8, please report this",
        )
    if isinstance(e, RecursionError):
        return UsageError(
            "what was given is nested too deep",
            details=where,
            hint="if nothing of yours is, please report this",
        )
    return None


class _Hints(dict[int | None, str]):
    def __missing__(self, key: int | None) -> str:
        return "look at that file or directory, or name another one"


_HINTS = _Hints(
    {
        errno.ENOSPC: "free some space, or name directories on another disk with --cache and --out",
        errno.EDQUOT: "free some space, or name directories on another disk with --cache and --out",
        errno.EMFILE: "let this user have more open files: ulimit -n",
        errno.ENFILE: "end programs that have many files open",
        errno.ENOMEM: "end other programs, and try again",
        errno.EAGAIN: "let this user have more processes: ulimit -u",
    }
)


def _place(e: BaseException) -> str:
    """Return where of our code an exception came to, for a report."""
    package = str(Path(pipeline.__file__).parent)
    frames = [f for f in traceback.extract_tb(e.__traceback__) if f.filename.startswith(package)]
    if not frames:
        return ""
    last = frames[-1]
    return f"(in {Path(last.filename).relative_to(package)}, {last.name}, line {last.lineno})"
