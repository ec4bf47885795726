# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the real thing share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from support import cli, users


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
    with users.ordinary() as name:
        yield name
