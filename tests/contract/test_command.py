# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs are started, watched and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import DiagnosisRefused, RespinError
from pipeline.fixes import coccinelle, diagnose, fixes
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


def test_threads_that_fail_do_not_stop_their_neighbours(tmp_path: Path) -> None:
    """Threads in threads: what fails stops what it has begun itself, and no more."""
    begun = tmp_path / "begun"

    def goes_on() -> int:
        with command.threads(1) as pool:
            slow = pool.submit(command.run, ["sh", "-c", f"touch {begun}; sleep 2"])
            return slow.result().status

    def fails() -> None:
        wait_for(begun.exists)
        with command.threads(1) as pool:
            pool.submit(command.run, ["sleep", "60"])
            raise RespinError("while it runs")

    with command.threads(2) as pool:
        other, failed = pool.submit(goes_on), pool.submit(fails)
        assert isinstance(failed.exception(timeout=20), RespinError)
        assert other.result() == 0

    def long() -> None:
        with command.threads(1) as pool:
            pool.submit(command.run, ["sleep", "60"]).result()

    with pytest.raises(ValueError, match="the end of all"), command.threads(1) as pool:
        inner = pool.submit(long)
        raise ValueError("the end of all")
    assert inner.cancelled() or isinstance(inner.exception(), KeyboardInterrupt)


def test_the_diagnosis_of_one_fix_that_fails_is_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for an interruption of another fix's diagnosis, which takes longer."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/bpf.c").write_text("int main;\n")
    slow, *_, broken = fixes.all_fixes()

    def report(trees: Sequence[Path], cocci: Path, *_: object, **others: Any) -> list[list[Any]]:
        if cocci == broken.diagnose_cocci:
            with command.threads(1) as pool:
                begin = ["sh", "-c", "sleep 0.3; exit 1"]
                pool.submit(command.run, begin, error=others["error"], brief="broken").result()
        with command.threads(1) as pool:
            pool.submit(command.run, ["sleep", "1"]).result()
        return [[] for _ in trees]

    monkeypatch.setattr(coccinelle, "report", report)
    with pytest.raises(DiagnosisRefused, match="broken"):
        diagnose.diagnose_all([tmp_path], [slow, broken])


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


def test_threads_that_stand_back_do_so_alone() -> None:
    mine = os.nice(0)
    with command.threads(1, nice=3) as aside:
        said = aside.submit(command.run, ["nice"]).result().text
    assert int(said) == mine + 3
    assert int(command.run(["nice"]).text) == mine


@pytest.mark.parametrize(("end", "status"), [("3", 3), ("'words'", 1), ("None", 0)])
def test_respin_ends_with_its_status_and_at_once(end: str, status: int) -> None:
    code = f"""
import atexit, sys
from pipeline.__main__ import end_with
atexit.register(print, "Python's own end")
end_with(lambda: sys.exit({end}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (status, b"", b"")
