"""The only place that starts a program.

A command runs in a session of its own, so that all of what it started can be stopped
with it: on a time-out, on Ctrl-C, and when another stage of the same run has failed.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import IO, Any, cast

import sh

from pipeline.errors import RespinError, UsageError

TAIL = 40
"""Lines of a failed command's output that its error shows."""

GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""

Arg = str | Path

# From sh 2 on a call returns the command only if asked to; sh 1, which Debian 12 has, always
# does, and does not know the question.
_RETURN_COMMAND = {"_return_cmd": True} if int(sh.__version__.split(".")[0]) >= 2 else {}


@dataclass(frozen=True, kw_only=True)
class Completed:
    """A command that has ended: its exit status (negative: killed by that signal) and output."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text; what is not UTF-8 is replaced."""
        return self.stdout.decode("utf-8", "replace")


class _Tee:
    """A binary stream for sh to write to, copied into the log as it comes."""

    def __init__(self, sink: IO[bytes], log: IO[bytes] | None) -> None:
        self._sink = sink
        self._log = log

    def write(self, chunk: bytes) -> int:
        self._sink.write(chunk)
        if self._log is not None:
            self._log.write(chunk)
        return len(chunk)

    def flush(self) -> None:
        self._sink.flush()

    def kept(self) -> bytes:
        return self._sink.getvalue() if isinstance(self._sink, io.BytesIO) else b""


_running: set[int] = set()
_lock = threading.Lock()
_stopping = threading.Event()

ENDED_WITH_US = ("/usr/bin/setpriv", "--pdeathsig", "KILL", "--")
"""Begins every command, so that the kernel ends it if we are killed and no longer can (prctl(2),
PR_SET_PDEATHSIG: the parent is the thread, which waits for the end). Of util-linux, Essential."""


def printable(argv: Sequence[Arg], *, cwd: Path | None = None) -> str:
    """Return the command as a line that a shell would run again."""
    line = shlex.join(str(a) for a in argv)
    return f"(cd {shlex.quote(str(cwd))} && {line})" if cwd else line


def which(program: str) -> str | None:
    """Return the path of a program, looking in the sbin folders too, or None."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    return shutil.which(program, path=path)


def environment() -> dict[str, str]:
    """Return this process's environment with messages in English, for programs of the host."""
    return {**os.environ, "LC_ALL": "C.UTF-8"}


def tail(data: bytes, lines: int = TAIL) -> str:
    """Return the last lines of some output."""
    return "\n".join(data.decode("utf-8", "replace").splitlines()[-lines:])


def _kill(group: int, *signals: int) -> None:
    for sig in signals:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, sig)


def stop_all() -> None:
    """Stop every command that is running, and refuse new ones from now on."""
    _stopping.set()
    with _lock:
        groups = tuple(_running)
    for group in groups:
        _kill(group, signal.SIGTERM)


@contextlib.contextmanager
def threads(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Yield threads for work that overlaps; if the block fails, their commands are stopped."""
    pool = ThreadPoolExecutor(workers)
    try:
        yield pool
    except BaseException:
        stop_all()
        pool.shutdown(wait=True, cancel_futures=True)
        _stopping.clear()
        raise
    pool.shutdown()


class Interrupts:
    """Ctrl-C and a stop by SIGTERM, but never between a program's start and the note of it.

    A program that was started and not noted would outlive the run. ``install`` takes the
    signals; before that, and in other programs that use this package, Python's own handler
    stays.
    """

    def __init__(self) -> None:
        self._held = 0
        self._pending = False

    def install(self) -> None:
        """Take the signals by which a user or a service manager ends a program."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # A shell lets background jobs ignore SIGINT, nohup SIGHUP; that is theirs to say.
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._take)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._held:
            self._pending = True
        else:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold what comes while the block runs; it comes at its end. For the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if self._pending and not self._held:
            self._pending = False
            raise KeyboardInterrupt


interrupts = Interrupts()


class Limit:
    """How long a command may take, for one whose time does not always count."""

    def __init__(self, seconds: float, *, excused: Callable[[], bool] = lambda: False) -> None:
        """Begin with ``seconds`` from now; they begin anew if it is ``excused`` at their end."""
        self.seconds = seconds
        self._excused = excused
        self._at = time.monotonic() + seconds

    def renew(self) -> None:
        """Begin anew from now."""
        self._at = time.monotonic() + self.seconds

    def left(self) -> float:
        """Return the seconds that are left, none or less if time is up."""
        if time.monotonic() >= self._at and self._excused():
            self.renew()
        return self._at - time.monotonic()


class _Deadline:
    """Ends a command when its time is up: SIGTERM, then SIGKILL."""

    def __init__(self, group: int, limit: Limit | None) -> None:
        self.passed = False
        self._group = group
        self._limit = limit
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Deadline:
        if self._limit is not None:
            self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _run(self) -> None:
        assert self._limit is not None
        while (left := self._limit.left()) > 0:
            if self._over.wait(left):
                return
        if self._over.is_set():
            return
        self.passed = True
        _kill(self._group, signal.SIGTERM)
        if not self._over.wait(GRACE):
            _kill(self._group, signal.SIGKILL)


def _wait(process: sh.RunningCommand) -> None:
    # Never wait(timeout): sh then does not wait for the output that is still in the pipe.
    with contextlib.suppress(sh.ErrorReturnCode):
        process.wait()


def _end(process: sh.RunningCommand, group: int) -> None:
    """Stop a command and all that it started: SIGTERM, then SIGKILL."""
    with _Deadline(group, Limit(0.0)):
        _wait(process)
    _kill(group, signal.SIGKILL)


def _to_the_end(
    start: Callable[..., sh.RunningCommand], limit: Limit | None, *, cleanup: bool
) -> tuple[sh.RunningCommand, bool]:
    """Start a command and wait for its end; return it, and whether it ended in time."""
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
                _running.add(process.pid)
        if _stopping.is_set() and not cleanup:
            _kill(process.pid, signal.SIGTERM)
        with _Deadline(process.pid, limit) as deadline:
            _wait(process)
        if deadline.passed:
            _kill(process.pid, signal.SIGKILL)  # what outlived the command itself
    except BaseException:
        if process is not None:
            _end(process, process.pid)
        raise
    finally:
        if process is not None:
            with _lock:
                _running.discard(process.pid)
    return process, not deadline.passed


def run(
    argv: Sequence[Arg],
    *,
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
    cleanup: bool = False,
) -> Completed:
    """Run a program to its end.

    ``env`` replaces the environment; ``timeout`` is in seconds; ``log`` is a file to which
    the command and both its outputs are appended as they come; ``stdout`` takes standard
    output in place of memory. With ``check`` a status other than 0 raises ``error`` with
    ``brief``, the command as it can be run again, the end of its output, the log's path
    and ``hint``. A missing program and an elapsed time-out always raise it. A ``cleanup``
    runs even when everything is being stopped.
    """
    words = tuple(str(a) for a in argv)
    program = which(words[0]) if "/" not in words[0] else words[0]
    if program is None or not os.access(program, os.X_OK):
        raise UsageError(
            f"{words[0]}: this program is missing",
            hint="respin doctor says which package has it",
        )
    if _stopping.is_set() and not cleanup:
        raise KeyboardInterrupt
    with contextlib.ExitStack() as stack:
        logfile = None
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            logfile = stack.enter_context(log.open("ab", buffering=0))
            logfile.write(f"$ {printable(words, cwd=cwd)}\n".encode())
        source: Any = None
        if isinstance(stdin, Path):
            source = stack.enter_context(stdin.open("rb"))
        elif stdin is not None:
            source = stdin

        # One log for both outputs; what a caller takes as a file does not go into it.
        out = _Tee(stdout or io.BytesIO(), logfile if stdout is None else None)
        err = _Tee(io.BytesIO(), logfile)
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
        limit = Limit(timeout) if isinstance(timeout, int | float) else timeout
        process, in_time = _to_the_end(start, limit, cleanup=cleanup)
        if _stopping.is_set() and not cleanup:
            raise KeyboardInterrupt
        status = process.exit_code
        done = Completed(argv=words, status=status, stdout=out.kept(), stderr=err.kept())
    if in_time and (status == 0 or not check):
        return done
    what = f"exit status {status}"
    if not in_time and limit is not None:
        what = f"stopped after {limit.seconds:g} s"
    parts = [f"{printable(words, cwd=cwd)}\n{what}", tail(done.stdout + done.stderr)]
    if log is not None:
        parts.append(f"The whole log: {log}")
    raise error(brief or f"{words[0]} failed", details="\n".join(p for p in parts if p), hint=hint)
