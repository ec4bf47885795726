# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""An ordinary user of this machine, for tests that root runs."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
from collections.abc import Iterator

NUMBERS = itertools.count()


@contextlib.contextmanager
def ordinary() -> Iterator[str]:
    """Yield the name of a new user with an empty home directory, who is removed afterwards."""
    name = f"respin-test-{os.getpid()}-{next(NUMBERS)}"
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", name], check=True)
    try:
        yield name
    finally:
        # Trees of roots belong to the user's subordinate ids; root removes those too.
        subprocess.run(["userdel", "--remove", name], check=True, capture_output=True)
