# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""End the real command line in every way: each row is a process that is forked from this one.

Standard input is a JSON list of rows, standard output the exit status of each, as JSON. A child
lets the interpreter end as it does for a user: nothing here turns an exception into a status.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
from types import SimpleNamespace
from typing import Any

from pipeline import errors
from pipeline.cli import main, run, stages, unpacked
from pipeline.model import Release
from pipeline.runs.request import Request
from support.filled import filled

rows = json.load(sys.stdin)


def raising(name: str) -> Any:
    """Return a function that ends as a row says: with an error by name, or with a night's code."""

    def end(*_: object, **__: object) -> object:
        if name.isdigit():
            return SimpleNamespace(
                rows=(), runs=(), published=(), repaired=(), needs=(), code=int(name)
            )
        kind = getattr(errors, name, None) or getattr(importlib.import_module("builtins"), name)
        raise kind("made up")

    return end


def child(argv: list[str], place: str, how: str) -> None:
    """Become one call of respin, in which ``place`` does not do its work."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    module, _, name = place.rpartition(".")
    setattr(importlib.import_module(module), name, raising(how))
    release = Release(distro="debian", codename="bookworm", version="12")
    request = filled(Request, release=release)
    for each in (run, stages, unpacked):
        vars(each).update(dict.fromkeys(("request_of", "request_again"), lambda *_: request))
    main.main(argv)


# The interpreter of a child would otherwise look for garbage among all that was imported here,
# which takes two thirds of the child's time.
gc.freeze()
found = []
for row in rows:
    pid = os.fork()
    if pid == 0:
        child(*row)
        break  # main always exits: if it returns, the interpreter's own status shows it
    found.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
else:
    print(json.dumps(found))
