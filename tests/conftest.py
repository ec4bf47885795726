"""Set-up for all tests. Its place puts tests/ on sys.path, for ``import support``."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

from pipeline import command

# No example's time is judged, and nothing is written into the checkout (a user who may not
# write there runs the tests too).
hypothesis.settings.register_profile("respin", deadline=None, database=None)
hypothesis.settings.load_profile("respin")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what lacks a program on a developer's machine; in CI let it fail."""
    if os.environ.get("CI"):
        return
    for item in items:
        for mark in item.iter_markers("needs"):
            if command.which(mark.args[0]) is None:
                item.add_marker(pytest.mark.skip(reason=f"{mark.args[0]} is not installed"))


# The tests' own configuration: no archive but the machine's mirror is asked.
os.environ["RESPIN_CONFIG"] = str(Path(__file__).with_name("support") / "respin.toml")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of the variants; here, for only this file is read where workers run."""
    reports = terminalreporter.stats.get("passed", [])
    noted = [each for report in reports for each in report.user_properties]
    lines = [line for name, line in noted if name == "figure"]
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)
