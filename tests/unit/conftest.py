# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guard of the unit tests: no process, no network."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

FORBIDDEN = ("os.fork", "os.exec", "os.posix_spawn", "os.system", "subprocess.Popen")
_on = False


def _hook(event: str, args: tuple[object, ...]) -> None:
    if not _on:
        return
    if event in FORBIDDEN or event == "socket.connect":
        raise AssertionError(f"a unit test must not do this: {event} {args!r}")


sys.addaudithook(_hook)


@pytest.fixture(autouse=True)
def _guard() -> Iterator[None]:
    """Refuse processes and connections while a unit test runs."""
    global _on
    _on = True
    try:
        yield
    finally:
        _on = False
