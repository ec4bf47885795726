# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Play work that is interrupted at any moment: signalled.py FOLDER.

Each line on standard input is ``N SIGNAL K SIGNAL``. A process is forked that works like a run,
and ends like the command line. It sends itself the first signal at the Nth moment at which others
may see an effect of it (a file opened for writing, made, renamed or removed; a program started),
and the second K moments later (0: none). The answer is a line of JSON with its exit status, its
output, and the number of such moments.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import NoReturn

from pipeline.cli import ending
from pipeline.host import command
from pipeline.host.cache import Cache
from pipeline.host.interrupts import interrupts
from pipeline.isolation.scratch import scratch
from pipeline.runs.directory import REPORT, open_run

EVENTS = ("os.", "shutil.", "open", "subprocess.", "fcntl.", "tempfile.")
NOISE = ("os.listdir", "os.scandir", "os.walk", "os.fwalk", "os.putenv", "os.unsetenv")
MAIN = threading.main_thread()

counted = 0
plan: dict[int, int] = {}
me = 0


def hook(event: str, args: tuple[object, ...]) -> None:
    """Count Python's audit events (PEP 578) in the main thread; send the signal that is due."""
    global counted
    if os.getpid() != me or not event.startswith(EVENTS) or event in NOISE:
        return
    if event == "open" and not (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)):
        return
    taken = signal.getsignal(signal.SIGINT) == interrupts._take
    if threading.current_thread() is not MAIN or not taken or interrupts._closed:
        return
    counted += 1
    if counted in plan:
        signal.raise_signal(plan[counted])


def work(directory: Path, *, keep: bool = False) -> None:
    """Do what a run does on a small scale."""
    cache = Cache(directory / "cache")

    def make(part: Path) -> None:
        part.mkdir()
        (part / "file").write_text("x")

    out = directory / "place/deep/out"
    with (
        open_run(out, cache, keep=keep) as run,
        command.threads(2) as pool,
        scratch(cache, "test") as aside,
    ):
        (run.path / "file").write_text("x")
        (aside / "folder").mkdir()
        beside = pool.submit(command.run, ["sh", "-c", "sleep 0.01"])
        command.run(["true"], log=run.log("stage"))
        cache.entry("things", "one", make)
        with tempfile.TemporaryDirectory() as other:
            (Path(other) / "file").write_text("x")
        beside.result()
        (run.path / REPORT).write_text('{"tool": "iproute2-respin"}')


def child(directory: Path, keep: bool, write: int) -> NoReturn:
    """Do the work in this process, and write how it ended."""
    global me
    os.dup2(write, 2)
    me = os.getpid()
    code = 99
    try:
        ending.run(lambda: work(directory, keep=keep))
    except SystemExit as e:
        code = int(e.code or 0)
    finally:
        os.write(write, f"\0{counted}".encode())
        os._exit(code)


def main() -> None:
    """Read plans and answer with their results."""
    global plan
    directory, keep = Path(sys.argv[1]), len(sys.argv) > 2
    sys.addaudithook(hook)
    for line in sys.stdin:
        first, one, later, two = map(int, line.split())
        plan = {first: one} | ({first + later: two} if later else {})
        read, write = os.pipe()
        number = os.fork()
        if number == 0:
            child(directory, keep, write)
        os.close(write)
        with os.fdopen(read, "rb") as stream:
            said, _, moments = stream.read().decode().rpartition("\0")
        _, status = os.waitpid(number, 0)
        values = {"status": os.waitstatus_to_exitcode(status), "said": said, "moments": moments}
        print(json.dumps(values), flush=True)


main()
