# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The only place that starts a program.

A command runs in a session of its own, so that everything that it started can be stopped
with it: on a time-out, on Ctrl-C, and when another stage of the same run has failed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import sh

from pipeline.errors import RespinError, UsageError
from pipeline.host.deadlines import Limit as Limit
from pipeline.host.deadlines import Watch, kill
from pipeline.host.interrupts import interrupts
from pipeline.host.outputs import Log, Output

TAIL = 40
"""Lines of a failed command's output that its error shows."""

TAIL_BYTES = 16 << 10

FULL = (errno.ENOSPC, errno.EDQUOT)
ROOM = "free some space, or use directories on another disk with --cache DIR and --out DIR"

Arg = str | Path

# From sh 2 on, a call returns the command only on request; sh 1, which Debian 12 has, always
# does, and does not know that option.
_RETURN_COMMAND = {"_return_cmd": True} if int(sh.__version__.split(".")[0]) >= 2 else {}


@dataclass(frozen=True, kw_only=True)
class Completed:
    """A command that has ended: its exit status (negative: killed by that signal) and output."""

    argv: tuple[str, ...]
    status: int
    out: Output
    err: Output
    error: type[RespinError] = RespinError

    @property
    def stdout(self) -> bytes:
        """All of its standard output. Raises the caller's error if it was more than is kept."""
        return self._whole(self.out)

    @property
    def stderr(self) -> bytes:
        """All of its standard error. Raises the caller's error if it was more than is kept."""
        return self._whole(self.err)

    @property
    def text(self) -> str:
        """Standard output as text; what is not UTF-8 is replaced. Raises as ``stdout`` does."""
        return self.stdout.decode("utf-8", "replace")

    @property
    def end(self) -> bytes:
        """The end of both outputs, however much came before it."""
        return self.out.end() + self.err.end()

    def _whole(self, output: Output) -> bytes:
        data = output.whole()
        if data is None:
            raise self.error(
                f"{Path(self.argv[0]).name} printed too much: {output.size} bytes",
                details=f"{printable(self.argv)}\n{tail(output.end())}",
            )
        return data


class _Group:
    """Commands that are stopped together, and the groups inside this one with it."""

    def __init__(self, outer: _Group | None = None) -> None:
        self._outer = outer
        self.stopped = False

    def stopping(self) -> bool:
        """Tell whether its commands are to end."""
        return self.stopped or (self._outer is not None and self._outer.stopping())


_running: dict[int, _Group] = {}
_lock = threading.Lock()
_all = _Group()
_group: ContextVar[_Group] = ContextVar("_group")

ENDED_WITH_US = ("/usr/bin/setpriv", "--pdeathsig", "KILL", "--")
"""Begins every command, so that the kernel ends it if we are killed and no longer can (prctl(2),
PR_SET_PDEATHSIG: the parent is the thread, which waits for the end). From util-linux, Essential."""


def word(arg: Arg) -> str:
    """Return a word of a command line; a path that begins with a dash would be an option."""
    return f"./{arg}" if isinstance(arg, Path) and str(arg).startswith("-") else str(arg)


def printable(argv: Sequence[Arg], *, cwd: Path | None = None) -> str:
    """Return the command as a line that a shell would run again."""
    line = shlex.join(map(word, argv))
    return f"(cd {shlex.quote(word(cwd))} && {line})" if cwd else line


def which(program: str) -> str | None:
    """Return the path of a program, looking in the sbin directories too, or None."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    return shutil.which(program, path=path)


def environment() -> dict[str, str]:
    """Return this process's environment with messages in English, for programs of the host."""
    return {**os.environ, "LC_ALL": "C.UTF-8"}


def tail(data: bytes, lines: int = TAIL) -> str:
    """Return the last lines of some output, and no more than TAIL_BYTES of them."""
    return "\n".join(data[-TAIL_BYTES:].decode("utf-8", "replace").splitlines()[-lines:])


def _mine() -> _Group:
    """Return the group of this thread."""
    return _group.get(_all)


def _stop(ended: _Group) -> None:
    """Stop every command of a group that is running, and refuse new ones from now on."""
    ended.stopped = True
    with _lock:
        running = tuple(pid for pid, group in _running.items() if group.stopping())
    for pid in running:
        kill(pid, signal.SIGTERM)


@contextlib.contextmanager
def threads(workers: int, *, nice: int = 0) -> Iterator[ThreadPoolExecutor]:
    """Yield threads for work that overlaps; if the block fails, their commands are stopped.

    Those of threads that this was called in go on, so that a failure of one of them does not make
    the others' end look like an interruption. If what is around the block fails, all are stopped.
    ``nice`` is added to the niceness of these threads and of what they start (nice(2)).
    """
    own = _Group(_mine())

    def begin() -> None:
        _group.set(own)
        if nice:
            os.nice(nice)  # on Linux, of this thread alone (sched(7))

    pool = ThreadPoolExecutor(workers, initializer=begin)
    try:
        yield pool
    except BaseException:
        with interrupts.held():
            _stop(own)
            pool.shutdown(wait=True, cancel_futures=True)
        raise
    pool.shutdown()


def _wait(process: sh.RunningCommand) -> None:
    # Never wait(timeout): sh then does not wait for the output that is still in the pipe.
    with contextlib.suppress(sh.ErrorReturnCode):
        process.wait()


def _end(process: sh.RunningCommand, group: int) -> None:
    """Stop a command and everything that it started: SIGTERM, then SIGKILL."""
    with interrupts.held():
        with Watch(Limit(0.0)).over(group):
            _wait(process)
        kill(group, signal.SIGKILL)


def _to_the_end(
    start: Callable[..., sh.RunningCommand], watch: Watch, *, cleanup: bool
) -> sh.RunningCommand:
    """Start a command, wait for its end and return it."""
    process: sh.RunningCommand | None = None
    try:
        with interrupts.held():
            process = start(
                _out_bufsize=65536,
                _err_bufsize=65536,
                **_RETURN_COMMAND,
                _bg=True,
                _bg_exc=False,
                _new_session=True,
                _tty_out=False,
                _no_out=True,
                _no_err=True,
            )
            with _lock:
                _running[process.pid] = _mine()
        if _mine().stopping() and not cleanup:
            kill(process.pid, signal.SIGTERM)
        with watch.over(process.pid):
            _wait(process)
        if watch.fired:
            kill(process.pid, signal.SIGKILL)  # what outlived the command itself
    except BaseException:
        if process is not None:
            _end(process, process.pid)
        raise
    finally:
        if process is not None:
            with _lock:
                _running.pop(process.pid, None)
    return process


def _check_words(words: Sequence[str], error: type[RespinError]) -> None:
    """Raise ``error`` for a word that cannot be passed to a program."""
    for word in words:
        try:
            word.encode("utf-8")
        except UnicodeEncodeError as e:
            shown = word.encode("utf-8", "backslashreplace").decode()
            raise error(f"a name is not UTF-8: {shown}", hint="rename the file") from e
        if "\0" in word:
            raise error(f"an argument of {words[0]} contains a NUL: {word!r}"[:200])


def run(
    argv: Sequence[Arg],
    *,
    begin: Sequence[Arg] = (),
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | Path | None = None,
    timeout: float | Limit | None = None,
    log: Path | None = None,
    check: bool = True,
    error: type[RespinError] = RespinError,
    brief: str = "",
    hint: str = "",
    stdout: IO[bytes] | None = None,
    limit: int | None = None,
    look: Callable[[int], str] | None = None,
    cleanup: bool = False,
) -> Completed:
    """Run a program to its end.

    ``begin`` is a command line that runs it, such as that of a wall (isolation/order.py), and is
    never shown. ``env`` replaces the environment; ``timeout`` is in seconds; ``log`` is a file
    to which the command and both its outputs are appended as they come, up to ``outputs.LOG``
    bytes; ``stdout`` takes standard output in place of memory. With ``check``, a status other than
    0 raises ``error`` with ``brief``, the command as it can be run again, the end of its output,
    the log's path and ``hint``. ``limit`` is the most bytes that its standard output may have.
    ``look`` is called with its process id about every second; if it returns words, they end the
    command. A missing program, an elapsed time-out, more output than the ``limit``, and a log or a
    ``stdout`` that cannot be written always raise ``error``. Without a limit, a program may write
    as much as it likes, but only the end is sure to be kept (``Completed``). A ``cleanup`` runs
    even when everything is being stopped.
    """
    line = printable(argv, cwd=cwd)
    words = tuple(map(word, (*begin, *argv)))
    _check_words(words, error)
    program = which(words[0]) if "/" not in words[0] else words[0]
    if program is None or not os.access(program, os.X_OK):
        raise UsageError(
            f"the program {words[0]} is missing",
            hint="run respin doctor, which shows the package that has it",
        )
    if _mine().stopping() and not cleanup:
        raise KeyboardInterrupt
    watch = Watch(Limit(timeout) if isinstance(timeout, int | float) else timeout, look=look)
    with contextlib.ExitStack() as stack:
        logfile = stack.enter_context(contextlib.closing(_log(log, line, error))) if log else None
        source: Any = None
        if isinstance(stdin, Path):
            source = stack.enter_context(stdin.open("rb"))
        elif stdin is not None:
            source = stdin
        # One log for both outputs; what a caller takes as a file does not go into it.
        out = Output(log=None if stdout else logfile, failed=watch.end, sink=stdout, limit=limit)
        err = Output(log=logfile, failed=watch.end)
        start = partial(
            sh.Command(ENDED_WITH_US[0]),
            *ENDED_WITH_US[1:],
            program,
            *words[1:],
            _cwd=str(cwd) if cwd else None,
            _env=dict(env) if env is not None else dict(os.environ),
            _in=source,
            _out=cast(IO[bytes], out),
            _err=cast(IO[bytes], err),
        )
        process = _to_the_end(start, watch, cleanup=cleanup)
        if _mine().stopping() and not cleanup:
            raise KeyboardInterrupt
    done = Completed(
        argv=words[len(begin) :], status=process.exit_code, out=out, err=err, error=error
    )
    what = _why(done, watch)
    if not what and (done.status == 0 or not check):
        return done
    parts = [f"{line}\n{what or f'exit status {done.status}'}", tail(done.end)]
    if log is not None:
        parts.append(f"The whole log: {log}")
    raise error(
        (brief or f"{argv[0]} failed") + (f": {watch.seen}" if watch.seen else full(done)),
        details="\n".join(p for p in parts if p),
        hint=ROOM if full(done) else hint,
    )


def _log(path: Path, line: str, error: type[RespinError]) -> Log:
    """Return a log that begins with a command. Raises ``error`` if it cannot be written."""
    try:
        log = Log(path)
        try:
            log.write(f"$ {line}\n".encode("utf-8", "backslashreplace"))
        except OSError:
            log.close()
            raise
    except OSError as e:
        raise error(f"the log {path} cannot be written: {e.strerror}", hint=ROOM) from e
    return log


def _why(done: Completed, watch: Watch) -> str:
    """Return in words why a command was ended before its own end; empty if it was not."""
    for output in (done.out, done.err):
        if output.problem is not None:
            return f"its output cannot be written: {output.problem.strerror}"
        if output.over:
            return f"stopped because it wrote more than {output.limit} bytes"
    if watch.seen:
        return f"stopped because {watch.seen}"
    return f"stopped after {watch.seconds:g} s" if watch.passed else ""


def full(done: Completed) -> str:
    """Return words to add to an error if a command, or respin itself, filled a disk."""
    mine = any(o.problem and o.problem.errno in FULL for o in (done.out, done.err))
    said = tail(done.end, 20)
    theirs = done.status != 0 and any(os.strerror(number) in said for number in FULL)
    return ": the disk is full" if mine or theirs else ""
