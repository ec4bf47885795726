# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A run that is stopped or killed is made again from its beginning, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import onerelease
from support.onerelease import Here

from pipeline.errors import BuildError
from pipeline.nightly import plan
from pipeline.nightly.state import State
from pipeline.runs.directory import open_run
from pipeline.runs.report import Report
from pipeline.runs.request import Request

pytestmark = pytest.mark.needs("aptly")


class Ending:
    """A run that fetches, and then ends in some way."""

    def __init__(self, how: BaseException, *, clears: bool = True) -> None:
        """Without ``clears``, its directory stays, as it does when the process is killed."""
        self.how, self.clears = how, clears

    def __call__(self, request: Request, out: Path) -> Report:
        try:
            with open_run(out, request.cache, logs=request.logs) as directory:
                assert [path.name for path in directory.path.iterdir()] == [".unfinished"]
                (directory.path / "source").mkdir()
                directory.log("fetch").write_text("fetched\n")
                raise self.how
        finally:
            if not self.clears:
                (directory.path / "source").mkdir(parents=True)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with onerelease.begin(tmp_path) as begun:
        begun.has("6.1.0-1")
        yield begun


def stop(here: Here, *, kill: bool = False) -> None:
    """Play a night that is stopped by a signal, or killed."""
    with pytest.raises(KeyboardInterrupt):
        here.nights.night(0, run=Ending(KeyboardInterrupt(), clears=not kill))


def left(here: Here) -> list[str]:
    """Return what lies in the directory of the runs."""
    return sorted(p.name[:8] for p in here.nights.world.directory.glob("runs/bookworm/[.0-9]*"))


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_it_is_made_again_from_its_beginning(here: Here, kill: bool) -> None:
    good = here.nights.world.run
    stop(here, kill=kill)
    assert left(here) == [".000001."] * kill + ["000001.l"]
    (run,) = here.nights.night(0, run=good).runs
    assert (run.reason, run.outcome) == ("killed while it ran", "fixed")
    assert left(here) == ["000002"]
    assert [run.outcome for run in here.nights.runs()] == ["interrupted", "fixed"]


def test_a_later_failure_keeps_its_own_logs_only(here: Here) -> None:
    stop(here, kill=True)
    assert here.nights.night(0, run=Ending(BuildError("no"))).code == 13
    assert left(here) == ["000002.l"]


def test_killed_too_often_it_counts_as_failed(here: Here) -> None:
    """The logs of the last one stay for whoever looks into it."""
    for _ in range(plan.KILLED):
        stop(here, kill=True)
    done = here.nights.night(0)
    assert done.runs == () and "killed 3 times" in here.nights.runs()[-1].brief
    assert left(here) == ["000003.l"]


def test_killed_while_it_looked_whether_a_fix_matters(here: Here) -> None:
    """The source that it patched for that goes, too."""
    (run,) = here.nights.night(0).runs
    with State(here.nights.world.directory) as state:
        state.update_run(run.id, ended=None, outcome="", ours=None)
    run.folder.rename(run.folder.with_name(f"{run.folder.name}.probe"))
    assert left(here) == ["000001.p"]
    (run,) = here.nights.night(0).runs
    assert (run.reason, left(here)) == ("killed while it ran", ["000002"])


def test_killed_when_all_was_done_it_is_not_run_again(here: Here) -> None:
    """Its directory was whole, and nobody had noted it."""
    (run,) = here.nights.night(0).runs
    with State(here.nights.world.directory) as state:
        state.update_run(run.id, ended=None, outcome="", ours=None)
    done = here.nights.night(0)
    assert (done.runs, done.rows[0].ours) == ((), "6.1.0-1+bpf1")


def test_what_the_archive_has_no_more_is_not_run_again(here: Here) -> None:
    good = here.nights.world.run
    stop(here, kill=True)
    here.has("6.1.0-2")
    assert here.nights.night(0, run=good).code == 0
    assert left(here) == ["000002"]
    (killed, _) = here.nights.runs()
    assert (killed.outcome, killed.why) == ("interrupted", plan.GONE)
