"""What all tests share: what happens where a program is missing."""

from __future__ import annotations

import os

import pytest

from pipeline import command


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what lacks a program on a laptop; in CI let it fail."""
    if os.environ.get("CI") or os.environ.get("RESPIN_NEED_ALL"):
        return
    for item in items:
        for mark in item.iter_markers("needs"):
            if command.which(mark.args[0]) is None:
                item.add_marker(pytest.mark.skip(reason=f"{mark.args[0]} is not installed"))
