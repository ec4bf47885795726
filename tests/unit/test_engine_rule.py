# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Which tests without an engine are skipped, and which fail (tests/support/engine.py)."""

from __future__ import annotations

import pytest
from support import engine

START, SKIP, FAIL = "start", "skip", "fail"


@pytest.mark.parametrize(
    ("root", "ci", "program", "given", "becomes"),
    [
        (True, True, True, False, START),
        (True, False, True, False, START),
        (True, True, False, False, FAIL),
        (True, False, False, False, SKIP),
        (False, True, True, True, FAIL),
        (False, False, True, True, SKIP),
        (False, True, True, False, SKIP),
        (False, False, True, False, SKIP),
        (False, True, False, False, SKIP),
    ],
)
def test_what_becomes_of_a_test_without_its_engine(
    root: bool, ci: bool, program: bool, given: bool, becomes: str
) -> None:
    found = engine.lack("it does not answer", root=root, ci=ci, program=program, given=given)
    if becomes == START:
        assert found is None
        engine.stop(found)
        return
    assert found is not None and found.why.startswith("it does not answer, ")
    with pytest.raises((pytest.skip.Exception, pytest.fail.Exception)) as caught:
        engine.stop(found)
    assert isinstance(caught.value, pytest.fail.Exception) == (becomes == FAIL)
    assert found.why in str(caught.value)


def test_an_ordinary_user_in_ci_is_told_what_would_help() -> None:
    found = engine.lack("it is not there", root=False, ci=True, program=True, given=False)
    assert found is not None and not found.fails
    assert "cannot start it" in found.why and "DOCKER_HOST" in found.why
