# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Call the real command line with many inputs, several at once, each in a separate process.

Standard input: JSON lines, each a call (``argv``, ``cwd``, ``env`` on top of this environment or
null to remove a variable, ``out`` and ``err`` for its output, ``closed`` descriptors,
``limits`` of resources by name, ``seconds``). Standard output: a line of JSON for each that has
ended, ``[number, status, seconds]``; status null: it did not end in time, and was killed.

The processes are forked from this one, which has imported all modules, so a start costs nothing.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from pipeline.cli import main as cli

AT_ONCE = 4


def child(call: dict[str, Any]) -> NoReturn:
    """Become one call of respin."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name, value in call["env"].items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    os.chdir(call["cwd"])
    if call.get("gone"):
        Path(call["cwd"]).rmdir()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    for standard, path in ((1, call["out"]), (2, call["err"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), standard)
    # A new interpreter does the same with a descriptor that is closed.
    for number in call["closed"]:
        os.close(number)
        for name in (("stdin",), ("stdout",), ("stderr",))[number]:
            setattr(sys, name, None)
            setattr(sys, f"__{name}__", None)
    for name, value in call["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    code = 99
    try:
        cli.main(call["argv"])
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else int(e.code is not None)
    finally:
        os._exit(code)


def main() -> None:
    """Start the calls, and wait for each."""
    calls = [json.loads(line) for line in sys.stdin]
    gc.freeze()  # a child need not look for garbage among the modules
    waiting, running = list(enumerate(calls))[::-1], dict[int, tuple[int, float]]()
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            number, call = waiting.pop()
            process = os.fork()
            if process == 0:
                child(call)
            running[process] = number, time.monotonic()
        for process, (number, began) in list(running.items()):
            took = time.monotonic() - began
            done, status = os.waitpid(process, os.WNOHANG)
            late = not done and took > calls[number]["seconds"]
            if late:
                os.killpg(process, signal.SIGKILL)
                os.waitpid(process, 0)
            if done or late:
                del running[process]
                found = None if late else os.waitstatus_to_exitcode(status)
                print(json.dumps([number, found, round(took, 3)]), flush=True)
        time.sleep(0.01)


if __name__ == "__main__":
    main()
