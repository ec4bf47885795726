# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A version that is known to be bad must go at once, whatever respin is doing.

One of our packages breaks a router; somebody withdraws it while a night runs for hours, is
publishing that very release, or has lost what it offered before. It goes, and stays gone.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import cli, onerelease
from support.onerelease import Here

from pipeline.publish import generations

pytestmark = [pytest.mark.needs("aptly"), pytest.mark.fault]

OLD, NEW = "6.1.0-1+bpf1", "6.1.0-2+bpf1"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    """One release, of which one version is offered, and another one is coming."""
    with onerelease.begin(tmp_path) as begun:
        begun.has("6.1.0-1")
        assert begun.nights.night(0).code == 0
        begun.has("6.1.0-2")
        yield begun


def withdraw(here: Here, version: str = OLD) -> cli.Said:
    """Call respin withdraw."""
    return respin(here, "withdraw", "bookworm", version, "--why", "tc crashes")


def respin(here: Here, *args: str) -> cli.Said:
    """Call respin as a process of its own: the locks of this one do not let it in."""
    config = here.directory / "respin.toml"
    return cli.respin(*args, "--config", config, cache=here.nights.world.cache.root, timeout=60)


def offered(here: Here) -> list[str]:
    return list(here.nights.offered("bookworm"))


def history(here: Here) -> list[tuple[str | None, bool]]:
    return [(run.ours, run.withdrawn is not None) for run in here.nights.runs()]


def test_while_a_night_builds(here: Here) -> None:
    good = here.nights.world.run
    seen: list[Any] = []

    def run(request: Any, out: Path) -> Any:
        seen.append(withdraw(here))
        seen.append(offered(here))
        assert respin(here, "retry", "bookworm").status == 18  # the control: it is a night
        return good(request, out)

    done = here.nights.night(0, run=run)
    assert seen[0].status == 0, seen[0].err
    assert seen[1] == []
    assert (done.code, done.rows[0].offered) == (0, (NEW,))
    assert offered(here) == [NEW]
    assert history(here) == [(OLD, True), (NEW, False)]
    here.nights.night(0)
    assert offered(here) == [NEW]


def test_while_a_night_publishes_it(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """The night has decided to offer it, and is about to put that in its place."""
    said: list[cli.Said] = []
    thread = threading.Thread(target=lambda: said.append(withdraw(here)))
    point = generations.point

    def slow(link: Path, to: Path) -> None:
        if not thread.ident:
            thread.start()
            thread.join(5)
            assert thread.is_alive()  # it waits for its turn
        point(link, to)
        if not seen:
            seen.append(offered(here))

    seen: list[list[str]] = []
    monkeypatch.setattr(generations, "point", slow)
    assert here.nights.night(0).code == 0
    thread.join()
    assert sorted(seen[0]) == [OLD, NEW]  # the control: it did offer it
    assert said[0].status == 0, said[0].err
    assert offered(here) == [NEW]
    assert history(here) == [(OLD, True), (NEW, False)]
    assert NEW in said[0].out


def test_although_what_was_before_it_is_gone(here: Here) -> None:
    """What cannot be offered in its place is no reason to go on offering it."""
    (run,) = here.nights.runs()
    assert here.nights.night(0).code == 0
    shutil.rmtree(run.folder)
    said = withdraw(here, NEW)
    assert said.status == 0, said.err
    assert offered(here) == []
    done = here.nights.night(0)
    assert (done.code, done.rows[0].outcome) == (17, "problem")


def test_although_it_cannot_be_signed(here: Here) -> None:
    """It is said that it is still there; and it goes as soon as that is possible."""
    key = here.nights.world.directory / "gnupg/private-keys-v1.d"
    key.chmod(0)
    (secret,) = key.iterdir()
    data = secret.read_bytes()
    secret.write_bytes(b"")
    said = withdraw(here)
    assert said.status == 17 and f"still offers {OLD}" in said.err
    assert offered(here) == [OLD]
    secret.write_bytes(data)
    key.chmod(0o700)
    shutil.rmtree(here.nights.runs()[0].folder)
    assert here.nights.night(0).code == 0
    assert offered(here) == [NEW]
