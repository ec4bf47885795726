# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The adversary: every test here is an attack, a bad input or a fault, and is marked as one.

``attack``: somebody means harm (a source, a build, a mirror, a neighbour …). ``bad_input``: the
user, an archive or a guest gives something invalid. ``fault``: the machine fails (a full disk, a
lost signal). The number of each is printed at the end of a test run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

KINDS = ("attack", "bad_input", "fault")
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note the kind of each test; refuse one that does not say which it is."""
    for item in items:
        if not item.path.is_relative_to(HERE):
            continue
        kinds = [kind for kind in KINDS if item.get_closest_marker(kind)]
        if len(kinds) != 1:
            raise pytest.UsageError(f"{item.nodeid}: mark it as one of {', '.join(KINDS)}")
        item.user_properties.append(("adversary", kinds[0]))


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Count more than one of a kind in a test that plays many: ``count("bad_input", 300)``."""

    def add(kind: str, number: int) -> None:
        assert kind in KINDS
        record_property(f"adversary-{kind}", number)

    return add
