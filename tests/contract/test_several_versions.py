# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Several versions that appear at once: each has a run of its own, and is offered by the law."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import onerelease
from support.onerelease import Here

from pipeline.nightly import plan

pytestmark = pytest.mark.needs("aptly")

OLD, MIDDLE, NEW = "6.1.0-9", "6.1.0-10", "6.1.0-10+deb12u1"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with onerelease.begin(tmp_path) as begun:
        yield begun


def test_each_is_run_the_oldest_first(here: Here) -> None:
    """On the first night, too: two in one index, one in another pocket."""
    for version in (OLD, MIDDLE, NEW):
        here.prepare_source(version)
    here.prepare(OLD)
    here.prepare(NEW)  # the one between is not understood
    here.distro.now_has(here.dsc(MIDDLE), here.dsc(OLD))
    here.distro.now_has(here.dsc(NEW), pocket="-security")
    done = here.nights.night(0)
    assert done.code == 11
    assert [(r.version, r.reason, r.outcome) for r in done.runs] == [
        (OLD, "new version", "fixed"),
        (MIDDLE, "new version", "unknown"),
        (NEW, "new version", "fixed"),
    ]
    # apt takes the highest, which is the newest fixed.
    assert list(here.nights.offered("bookworm")) == [f"{NEW}+bpf1", f"{OLD}+bpf1"]
    (row,) = done.rows
    assert (row.version, row.outcome, row.pocket) == (NEW, "fixed", "security")
    assert [(f.version, f.outcome, f.code) for f in row.older] == [(MIDDLE, "unknown", 11)]
    # What failed is told once, and shown.
    assert here.nights.events() == [("new-package", "bookworm"), ("failure", "bookworm")]
    assert f'<dt>older version</dt><dd><span class="v">{MIDDLE}</span> ' in here.nights.page()
    said = here.respin("status")
    assert f"bookworm {MIDDLE} (an older version): unknown: made up: not understood" in said.out
    (target,) = here.json("status")["targets"]
    assert target["older"][0]["version"] == MIDDLE and target["older"][0]["next_retry"]
    # It waits for its next try; the others are done.
    assert here.nights.night(0.01).runs == ()
    said = here.respin("nightly")
    assert said.status == 0 and f"wrong: bookworm {MIDDLE} (unknown)" in said.out
    done = here.nights.night(0.1)
    assert [(r.version, r.reason) for r in done.runs] == [(MIDDLE, "retry")]
    assert here.nights.events() == []
    # A person asks for all that fails: that is no reason to build the newest again.
    here.prepare(MIDDLE)
    assert here.json("retry")["asked"] == ["bookworm"]
    done = here.nights.night(0)
    assert [(r.version, r.outcome) for r in done.runs] == [(MIDDLE, "fixed")]
    assert done.rows[0].older == ()
    offered = [f"{version}+bpf1" for version in (NEW, MIDDLE, OLD)]
    assert list(here.nights.offered("bookworm")) == offered


def test_what_is_gone_is_not_tried_again(here: Here) -> None:
    """It failed, and the archive has it no more: said in the history, until it is there again."""
    here.prepare_source(OLD)
    here.has(NEW)
    here.distro.now_has(here.dsc(OLD), here.dsc(NEW))
    assert here.nights.night(0).code == 11
    here.distro.now_has(here.dsc(NEW))
    done = here.nights.night()
    assert (done.code, done.runs, done.rows[0].older) == (0, (), ())
    assert here.nights.night(30).runs == ()
    (old, _) = here.json("history")["runs"]
    assert (old["version"], old["retry_at"], old["why"]) == (OLD, None, plan.GONE)
    assert plan.GONE in here.respin("history").out and plan.GONE in here.nights.page()
    here.distro.now_has(here.dsc(OLD), here.dsc(NEW))
    here.prepare(OLD)
    (run,) = here.nights.night().runs
    assert (run.version, run.reason, run.outcome) == (OLD, "in the archive again", "fixed")


def test_a_night_is_bounded(here: Here) -> None:
    """The newest come first; what is left waits for the next night."""
    versions = [f"6.1.0-{n}" for n in range(1, plan.A_NIGHT + 3)]
    for version in versions:
        here.prepare_source(version)
        here.prepare(version, good=version == versions[-1])
    here.distro.now_has(*map(here.dsc, versions))
    assert [r.version for r in here.nights.night(0).runs] == versions[2:]
    assert list(here.nights.offered("bookworm")) == [f"{versions[-1]}+bpf1"]
    assert [r.version for r in here.nights.night().runs] == versions[:2]
    assert here.nights.night().runs == ()
