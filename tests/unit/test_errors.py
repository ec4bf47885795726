# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The exit codes are those that the README and respin(1) give, and each is one class's own."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline import errors

CODES = {
    "RespinError": 1,
    "UsageError": 2,
    "FetchError": 10,
    "DiagnosisRefused": 11,
    "PatchError": 12,
    "BuildError": 13,
    "SmokeFailed": 14,
    "SmokeImpossible": 15,
    "TestbedLost": 16,
    "PublishError": 17,
    "LockHeld": 18,
    "NotVerified": 19,
}


def test_exit_codes_are_unique_and_as_documented() -> None:
    kinds: list[type[errors.RespinError]] = [errors.RespinError]
    kinds += errors.RespinError.__subclasses__()
    seen = {cls.__name__: cls.exit_code for cls in kinds}
    assert seen == CODES
    assert len(set(seen.values())) == len(seen)
    for kind in kinds[1:]:  # a finer class says more, and ends the run alike
        assert {cls.exit_code for cls in errors.tree(kind)} == {kind.exit_code}


def test_the_readme_lists_them_all() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    table = readme[readme.index("## Exit codes") :].split("##")[1]
    assert {int(n) for n in re.findall(r"\| (\d+) (?=\|)", table)} == {0, *CODES.values()}


def test_an_error_carries_what_happened_and_what_to_do() -> None:
    error = errors.BuildError("it broke", details="line 1\nline 2", hint="mend it")
    assert str(error) == error.brief == "it broke"
    assert (error.details, error.hint) == ("line 1\nline 2", "mend it")
