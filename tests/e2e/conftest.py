# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the real thing share."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator

import pytest
from support import cli


@pytest.fixture(scope="session", autouse=True)
def _no_installation_left() -> Iterator[None]:
    yield
    cli.remove_installed()


@pytest.fixture(scope="session")
def ordinary_user() -> Iterator[str | None]:
    """Return the name of an ordinary user with an empty home; None if that is who we are."""
    if os.geteuid() != 0:
        yield None
        return
    name = f"respin-test-{os.getpid()}"
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", name], check=True)
    try:
        yield pwd.getpwnam(name).pw_name
    finally:
        # Trees of roots belong to the user's subordinate ids; root removes those too.
        subprocess.run(["userdel", "--remove", name], check=True, capture_output=True)
