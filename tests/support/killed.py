# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Play nights that are killed: killed.py CONFIG CACHE PREPARED SECONDS.

Each line on standard input is a number N. A process is forked that plays a night at SECONDS
since 1970, and is killed by SIGKILL at the Nth moment at which others may see an effect of it (a
file opened for writing, renamed, removed or linked; a program started; a step of the database);
with 0 it is not killed. The answer is a line with its exit status, negative for a signal, and the
number of such moments.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from pipeline.config import config
from pipeline.host import resources
from pipeline.host.cache import Cache
from pipeline.nightly import state
from pipeline.nightly.context import World
from pipeline.nightly.night import nightly
from support.standin import runner

EVENTS = ("os.", "shutil.", "open", "subprocess.", "sqlite3.", "fcntl.", "tempfile.")
NOISE = ("os.listdir", "os.scandir", "os.walk", "os.fwalk", "os.getxattr", "os.listxattr")

counted = 0
fatal = 0
me = 0


def moment() -> None:
    """Count a moment, and die if it is the Nth."""
    global counted
    if me and os.getpid() == me:
        counted += 1
        if counted == fatal:
            os.kill(me, signal.SIGKILL)


def hook(event: str, args: tuple[object, ...]) -> None:
    """Take the moments from Python's own audit events (PEP 578)."""
    if not event.startswith(EVENTS) or event in NOISE:
        return
    if event == "open" and not (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)):
        return
    moment()


class Traced(state.State):
    """A state that counts every statement as a moment."""

    def __init__(self, directory: Path, *, create: bool = False) -> None:
        super().__init__(directory, create=create)
        self._db._db.set_trace_callback(lambda statement: moment())


def prepare() -> None:
    """Do once, before the first night, what each would do again in its own process.

    The templates are compiled; and Python does not look for garbage among what was there before,
    since the kernel copies each page that this writes to.
    """
    top = resources.project_data("templates")
    for path in (*top.glob("*.j2"), *top.glob("repository/*.j2")):
        name = str(path.relative_to(top))
        resources._environment(resources.language(name)).get_template(name)
    gc.collect()
    gc.freeze()


def main() -> None:
    """Read numbers and answer with statuses."""
    global fatal, me
    path, cache, prepared, seconds = sys.argv[1:]
    found = config.load(Path(path))
    now = datetime.fromtimestamp(int(seconds), UTC)
    run = runner(Path(prepared))
    sys.modules["pipeline.nightly.night"].State = Traced  # type: ignore[attr-defined]
    sys.addaudithook(hook)
    prepare()
    for line in sys.stdin:
        fatal = int(line)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            me = os.getpid()
            done = nightly(
                World(config=found, cache=Cache(Path(cache)), clock=lambda: now, run=run)  # type: ignore[arg-type]
            )
            os.write(write, str(counted).encode())
            os._exit(done.code)
        os.close(write)
        _, status = os.waitpid(child, 0)
        with os.fdopen(read) as answer:
            print(os.waitstatus_to_exitcode(status), answer.read() or 0, flush=True)


main()
