# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Set-up for all tests. Its place puts tests/ on sys.path, for ``import support``."""

from __future__ import annotations

import ctypes
import gc
import os
from pathlib import Path

import hypothesis
import pytest

from pipeline.host import command

# No example's time is judged, and nothing is written into the checkout (a user who may not
# write there runs the tests too).
hypothesis.settings.register_profile("respin", deadline=None, database=None)
hypothesis.settings.load_profile("respin")


LONG = (
    *("e2e/test_hosts.py", "e2e/test_docker.py", "e2e/test_run.py", "e2e/test_nightly_killed.py"),
    *("variants/test_variants.py", "adversary/test_forged_runs.py", "adversary/test_exit_codes.py"),
    *("contract/test_forms_compile.py", "adversary/test_inputs.py", "e2e/test_nightly.py"),
    *("e2e/test_own_archive.py", "e2e/test_debian_package.py", "e2e/test_same_package.py"),
    *("e2e/test_rows_run.py", "e2e/test_smoke.py", "e2e/test_ubuntu.py"),
    *("e2e/test_three_architectures.py", "e2e/test_parts.py", "e2e/test_targets.py"),
    *("adversary/test_poisoned_cache.py", "e2e/test_breakages.py", "e2e/test_buildbot_night.py"),
    "contract/test_ci_night.py",
)
"""The files that take minutes. make test begins with them, so that no processor waits for one of
them in the end. Those up to test_inputs.py do not wait for each other's roots; the later ones find
in the tests' cache what test_run.py has left there: roots, and what was compiled."""
FIRST = {Path(__file__).parent / name: n for n, name in enumerate(LONG)}


def _place(item: pytest.Item) -> int:
    """Return where an item's file stands among the LONG ones; all others come after them."""
    return FIRST.get(item.path, len(FIRST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long; skip what lacks a program on a developer's machine.

    In CI, that fails.
    """
    if gone := [str(path) for path in FIRST if not path.is_file()]:
        raise pytest.UsageError(f"LONG in tests/conftest.py names what is gone: {', '.join(gone)}")
    items.sort(key=_place)
    if os.environ.get("CI"):
        return
    for item in items:
        for mark in item.iter_markers("needs"):
            if command.which(mark.args[0]) is None:
                item.add_marker(pytest.mark.skip(reason=f"{mark.args[0]} is not installed"))


def pytest_collection_finish() -> None:
    """Let Python look for garbage among what the tests leave, and not among the tests themselves.

    Three thousand of them are a million objects, which each full search reads, and each process
    that is forked from this one copies.
    """
    gc.collect()
    gc.freeze()


CLONE_NEWNS = 0x00020000
MS_PRIVATE_ALL = 0x4000 | 0x40000  # MS_REC | MS_PRIVATE


def pytest_configure() -> None:
    """Give this process mounts of its own, where it may (unshare(2), by root).

    Of two processes that test at once neither sees what the other mounts, so a test can hold
    that nothing was left mounted; and what a test leaves mounted ends with the process.
    """
    libc = ctypes.CDLL(None)
    if os.geteuid() == 0 and libc.unshare(CLONE_NEWNS) == 0:
        libc.mount(None, b"/", None, ctypes.c_ulong(MS_PRIVATE_ALL), None)


# What a test starts is what a user starts: with nothing of coverage's or the Makefile's in its
# environment, and so not slower, with no more files open, and with Python's own allocator.
if "PYTEST_XDIST_WORKER" in os.environ:
    for _name in ("COVERAGE_PROCESS_CONFIG", "PYTHONMALLOC", "GLIBC_TUNABLES"):
        os.environ.pop(_name, None)

# The tests' own configuration: no archive but the machine's mirror is asked.
os.environ["RESPIN_CONFIG"] = str(Path(__file__).with_name("support") / "respin.toml")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of the variants and of the adversary.

    Here, for only this file is read where workers run.
    """
    stats = terminalreporter.stats
    kinds = ("passed", "failed", "error")
    # What cannot be collected is an error without properties.
    ended = [r for k in kinds for r in stats.get(k, []) if isinstance(r, pytest.TestReport)]
    lines = [str(line) for r in ended for name, line in r.user_properties if name == "figure"]
    lines += _adversary(ended)
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)


def _adversary(ended: list[pytest.TestReport]) -> list[str]:
    """Return the line on the tests of tests/adversary: how many of each kind, and the findings."""
    counts = dict.fromkeys(("attack", "bad_input", "fault"), 0)
    findings = 0
    for report in ended:
        if not any(name == "adversary" for name, _ in report.user_properties):
            continue
        findings += report.failed
        if report.when != "call":
            continue
        for name, value in report.user_properties:
            if name == "adversary":
                counts[str(value)] += 1
            elif name.startswith("adversary-"):
                counts[name.removeprefix("adversary-")] += int(str(value)) - 1
    if not any(counts.values()):
        return []
    told = f"{counts['attack']} attacks, {counts['bad_input']} bad inputs, {counts['fault']} faults"
    return [f"adversary: {told}; findings: {findings}"]
