# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""How the process of the command line ends: with one sentence, and the exit code of the README.

The code that raises an expected error says what happened. An unexpected exception is a bug in
respin; it is reported as one, with its traceback. Running out of disk space, permissions or memory,
or being given bytes that are not text, is not a bug: this module catches those where no other code
has a better sentence for them.
"""

from __future__ import annotations

import contextlib
import errno
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
"""The errors of a system call that mean a shortage on this machine, not a bug."""


def run(command_line: Callable[[], Any]) -> NoReturn:
    """Call the command line; end the process with its exit code."""
    streams.prepare()
    interrupts.install()
    try:
        code = _code(command_line)
    except KeyboardInterrupt as e:  # while something else was ending the process
        code = _failed(e)
    interrupts.close()
    with contextlib.suppress(OSError, ValueError):
        streams.flush()
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
    """Report how the command failed; return the exit code."""
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
        error.add_note(f"respin could not remove {path}; you can delete it")
    terminal.show_error(error)
    return error.exit_code


def _chain(e: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and those that caused it."""
    seen = set[int]()
    while e is not None and id(e) not in seen:
        seen.add(id(e))
        yield e
        e = e.__cause__ or e.__context__


def _interrupted(chain: tuple[BaseException, ...], left: tuple[Path, ...]) -> int:
    """Report what an interrupt left behind, or that it left nothing; return the exit code."""
    kept = [*leftovers.what_is_whole()]
    kept += [note for each in chain for note in getattr(each, "__notes__", ())]
    kept += [f"respin could not remove {path}; you can delete it" for path in left]
    if kept:
        terminal.tell("respin: interrupted")
        for note in dict.fromkeys(kept):
            terminal.tell(f"  {note}")
    else:
        terminal.tell("respin: interrupted; nothing was left behind")
    return 128 + (interrupts.ending or signal.SIGINT)


def of_machine(e: BaseException) -> UsageError | None:
    """Return the error to show for an exception that is not a bug in respin; None if it is one."""
    where = _place(e)
    wrong = streams.problem()
    if isinstance(e, OSError) and wrong and (e.errno, e.filename) == (wrong.errno, None):
        return UsageError(
            f"respin could not write to standard output: {e.strerror}",
            details="\n".join(leftovers.what_is_whole()),
            hint="check where standard output goes",
        )
    if isinstance(e, OSError) and e.errno in OF_THE_MACHINE:
        what = f"{e.filename}: {e.strerror}" if e.filename else str(e.strerror)
        return UsageError(
            f"the system refused an operation that respin needs: {what}",
            details=where,
            hint=_HINTS[e.errno],
        )
    if isinstance(e, MemoryError):
        return UsageError(
            "respin ran out of memory", details=where, hint="close other programs and try again"
        )
    if isinstance(e, UnicodeError):
        return UsageError(
            "a name or a text that respin was given is not UTF-8",
            details=f"{e}\n{where}",
            hint="if everything you passed is UTF-8, please report this as a bug",
        )
    if isinstance(e, RecursionError):
        return UsageError(
            "a file that respin was given is nested too deeply",
            details=where,
            hint="if none of your files is, please report this as a bug",
        )
    return None


class _Hints(dict[int | None, str]):
    def __missing__(self, key: int | None) -> str:
        return "check that file or directory, or choose another one"


_HINTS = _Hints(
    {
        errno.ENOSPC: "free some space, or use directories on another disk with --cache and --out",
        errno.EDQUOT: "free some space, or use directories on another disk with --cache and --out",
        errno.EMFILE: "allow this user more open files: ulimit -n",
        errno.ENFILE: "close programs that have many files open",
        errno.ENOMEM: "close other programs and try again",
        errno.EAGAIN: "allow this user more processes: ulimit -u",
    }
)


def _place(e: BaseException) -> str:
    """Return the last place in respin's code that an exception passed, for a bug report."""
    package = str(Path(pipeline.__file__).parent)
    frames = [f for f in traceback.extract_tb(e.__traceback__) if f.filename.startswith(package)]
    if not frames:
        return ""
    last = frames[-1]
    return f"(in {Path(last.filename).relative_to(package)}, {last.name}, line {last.lineno})"
