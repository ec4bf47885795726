# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs are started, watched and ended."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import RespinError
from pipeline.host import command, deadlines
from pipeline.isolation import namespaces


def test_a_command_is_ended_at_its_limit() -> None:
    with pytest.raises(RespinError, match="sleep failed") as e:
        command.run(["sleep", "60"], timeout=0.2)
    assert "stopped after 0.2 s" in e.value.details


def test_time_that_is_excused_does_not_count() -> None:
    waiting = [True, True, True, False]
    limit = command.Limit(0.1, excused=lambda: waiting.pop(0))
    with pytest.raises(RespinError):
        command.run(["sleep", "60"], timeout=limit)
    assert waiting == []
    assert command.run(["sleep", "0.5"], timeout=command.Limit(0.1, excused=lambda: True))


def test_a_limit_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    limit = command.Limit(60.0)
    now[0] += 45.0
    assert limit.left() == 15.0
    limit.renew()
    assert limit.left() == 60.0
    now[0] += 60.0
    assert limit.left() == 0.0


def test_a_command_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "GRACE", 0.2)
    script = "trap '' TERM; while :; do sleep 0.1; done"
    with pytest.raises(RespinError) as e:
        command.run(["sh", "-c", script], timeout=0.3)
    assert "stopped after" in e.value.details
    done = command.run(["sh", "-c", "kill -KILL $$"], check=False)
    assert done.status == -signal.SIGKILL


@pytest.mark.parametrize("how", ["as it is", "in namespaces"])
def test_nothing_outlives_us_when_we_are_killed(how: str) -> None:
    word = f"60.{time.time_ns()}"
    begin = [] if how == "as it is" else namespaces.unshare()
    script = f"from pipeline.host import command; command.run({[*begin, 'sleep', word]!r})"
    with subprocess.Popen([sys.executable, "-c", script]) as us:
        wait_for(lambda: sleeps(word))
        us.kill()
    wait_for(lambda: not sleeps(word))


def sleeps(word: str) -> bool:
    """Tell whether a process ``sleep word`` is there."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
            if words[0].endswith(b"sleep") and words[1] == word.encode():
                return True
        except OSError:
            continue
    return False


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, at most 20 s."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "this never happened"
        time.sleep(0.02)
