# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""``respin``, and ``python3 -m pipeline``: what a Ctrl-C ends before respin is all there.

To import the rest takes a third of a second. Python would show a traceback of it.
"""

import importlib.util
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

LATER = ("jinja2", "requests")
"""Libraries that are imported when they are needed, which for many commands is never."""


def load() -> Callable[[], NoReturn]:
    """Return the command line, which takes the signals itself (host/interrupts.py).

    Raises ImportError for a library that is missing, even if it is needed only later.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)
    for name in LATER:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    from pipeline.cli.main import main as command_line

    return lambda: end_with(command_line)


def main() -> NoReturn:
    """Run the command line; the program of the installed respin."""
    load()()


def end_with(command_line: Callable[[], None]) -> NoReturn:
    """Run the command line, and end the process with its exit code, at once.

    All is written and removed then (cli/ending.py). To free every object, as Python does at its
    end, would take a quarter of the time of a short command.
    """
    code: object = 0
    try:
        command_line()
    except SystemExit as e:
        code = e.code
    os._exit(code if isinstance(code, int) else int(code is not None))


def _interrupted(number: int, frame: FrameType | None) -> NoReturn:
    # There is nothing to clean up yet. An exception could end up in the middle of an import.
    try:
        os.write(2, b"respin: interrupted; nothing was left behind\n")
    finally:
        os._exit(128 + number)


if __name__ == "__main__":
    main()
