# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run had finished when it was stopped is there for the next night, and then gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import onerelease
from support.filled import filled
from support.onerelease import Here

from pipeline.errors import BuildError
from pipeline.model import Release, Source
from pipeline.nightly import plan
from pipeline.nightly.state import State
from pipeline.runs.checkpoints import FETCH, Checkpoints
from pipeline.runs.directory import CHECKPOINTS, open_run
from pipeline.runs.report import Report
from pipeline.runs.request import Order

pytestmark = pytest.mark.needs("aptly")

SOURCE = filled(Source, release=Release(distro="debian", codename="bookworm", version="12"))


class Ending:
    """A run that fetches, and then ends in some way."""

    def __init__(self, how: BaseException) -> None:
        self.how = how
        self.had: list[bool] = []
        """Of each run: whether there was a fetch to go on from."""

    def __call__(self, order: Order, out: Path) -> Report:
        with open_run(
            out,
            order.cache,
            logs=order.logs,
            unfinished=order.unfinished,
            resumable=order.resumable,
        ) as folder:
            notes = Checkpoints(folder.path)
            self.had.append(notes.had(FETCH) is not None)
            notes.note(FETCH, SOURCE)
            with folder.log("fetch").open("a") as log:
                log.write("fetched\n")
            raise self.how


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with onerelease.begin(tmp_path) as begun:
        begun.has("6.1.0-1")
        yield begun


def stop(here: Here) -> list[bool]:
    """Play a night that is stopped; return whether its runs had something to go on from."""
    stopped = Ending(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        here.nights.night(0, run=stopped)
    return stopped.had


def left(here: Here) -> list[str]:
    """Return what lies beside the directories of the runs."""
    return sorted(p.name[:8] for p in here.nights.world.folder.glob("runs/bookworm/[.0-9]*"))


def test_it_goes_on_and_its_logs_come_along(here: Here) -> None:
    assert stop(here) == [False]
    assert left(here) == [".000001.", "000001.l"]
    failing = Ending(BuildError("no"))
    assert here.nights.night(0, run=failing).code == 13
    assert failing.had == [True]
    # It failed of itself: the next one begins anew.
    assert left(here) == ["000002.l"]
    (log,) = here.nights.world.folder.glob("runs/bookworm/*.logs/fetch.log")
    assert log.read_text() == "fetched\nfetched\n"
    assert here.nights.night(1).runs[0].outcome == "failed"
    assert failing.had == [True, False]


def test_of_another_order_it_begins_anew(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    stop(here)
    monkeypatch.setattr(plan, "BUILDS", "2")
    assert stop(here) == [False]
    assert stop(here) == [True]


def test_killed_too_often_it_begins_anew(here: Here) -> None:
    assert [stop(here) for _ in range(plan.KILLED)] == [[False], [True], [True]]
    done = here.nights.night(0)
    assert done.runs == () and "killed 3 times" in here.nights.runs()[-1].brief
    assert left(here) == ["000003.l"]


def test_killed_when_all_was_done_it_is_not_run_again(here: Here) -> None:
    """Its directory was whole, and nobody had noted it."""
    (run,) = here.nights.night(0).runs
    with State(here.nights.world.folder) as state:
        state.update_run(run.id, ended=None, outcome="", ours=None)
    Checkpoints(run.folder).note(FETCH, SOURCE)
    done = here.nights.night(0)
    assert (done.runs, done.rows[0].ours) == ((), "6.1.0-1+bpf1")
    assert not (run.folder / CHECKPOINTS).exists()


def test_what_the_archive_has_no_more_is_not_kept(here: Here) -> None:
    good = here.nights.world.run
    stop(here)
    here.has("6.1.0-2")
    assert here.nights.night(0, run=good).code == 0
    assert left(here) == ["000002"]
    (killed, _) = here.nights.runs()
    assert (killed.outcome, killed.why) == ("interrupted", plan.GONE)
