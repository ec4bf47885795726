# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Somebody between us and a client shows it an old state of our repository.

A mirror, a proxy or a public network on the way may hold back a withdrawal, or go back to the
day before it. The tests check what real clients do then. And the clock of the signing machine
goes wrong, because of a fault or of whoever serves it the time.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from support import onerelease
from support.aptclient import AptClient, served
from support.onerelease import Here

pytestmark = pytest.mark.needs("aptly")

BAD, GOOD = "6.1.0-2+bpf1", "6.1.0-1+bpf1"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with onerelease.begin(tmp_path) as begun:
        begun.has("6.1.0-1")
        yield begun


def index(here: Here) -> str:
    return (here.nights.world.public / "bookworm/dists/bookworm/InRelease").read_text()


def dates(here: Here) -> tuple[datetime, datetime]:
    """Return Date and Valid-Until of the index."""
    text = index(here)
    found = [re.search(rf"^{name}: (.*)$", text, re.M) for name in ("Date", "Valid-Until")]
    date, until = (parsedate_to_datetime(m[1]).astimezone(UTC) for m in found if m)
    return date, until


def client_of(here: Here, uri: str) -> AptClient:
    key = (here.nights.world.public / "bookworm/iproute2-respin.asc").read_bytes()
    return AptClient(here.directory / "client", f"{uri}/bookworm", key)


@pytest.mark.attack
def test_freezing_it(here: Here) -> None:
    """A state of 20 days ago is served; and nothing new in all that time is no reason for it."""
    start = here.nights.now
    here.nights.now -= timedelta(days=20)
    here.distro.again(date=here.nights.now)  # an index of the future would be refused
    assert here.nights.night(0).code == 0
    date, until = dates(here)
    assert until - date == timedelta(days=14)
    with served(here.nights.world.public) as uri:
        client = client_of(here, uri)
        assert not client.update() and client.candidate() != GOOD
        here.nights.now = start
        done = here.nights.night(0)
        assert (done.code, done.runs, done.published) == (0, (), ())
        assert client.update() and client.candidate() == GOOD
    assert dates(here)[0] > date


@pytest.mark.attack
def test_rolling_it_back(here: Here) -> None:
    """A client that knows of the withdrawal is shown the day before it, still valid."""
    assert here.nights.night(0).code == 0
    here.has("6.1.0-2")
    here.nights.night(0)
    public = here.nights.world.public
    shutil.copytree(public / "bookworm", here.directory / "old/bookworm")
    assert here.respin("withdraw", "bookworm", BAD, "--why", "bad").status == 0
    shutil.copytree(public / "bookworm", here.directory / "mirror/bookworm")
    with served(here.directory / "mirror") as uri:
        client = client_of(here, uri)
        assert client.update() and client.candidate() == GOOD
        shutil.rmtree(here.directory / "mirror/bookworm")
        shutil.copytree(here.directory / "old/bookworm", here.directory / "mirror/bookworm")
        client.update()
        assert client.candidate() == GOOD
    # The control: who never saw the withdrawal takes what it is shown.
    with served(here.directory / "mirror") as uri:
        shutil.rmtree(here.directory / "client")
        other = client_of(here, uri)
        assert other.update() and other.candidate() == BAD


@pytest.mark.fault
def test_the_clock_goes_back(here: Here) -> None:
    """A client would take what is signed then for older than what it has, and ignore it."""
    here.distro.again(date=here.nights.now - timedelta(days=1))
    assert here.nights.night(0).code == 0
    with served(here.nights.world.public) as uri:
        client = client_of(here, uri)
        assert client.update()
        before = dates(here)[0]
        here.has("6.1.0-2")
        here.distro.again(date=here.nights.now - timedelta(days=0.6))
        assert here.nights.night(-0.5).code == 0
        assert before < dates(here)[0] < before + timedelta(minutes=1)
        assert client.update() and client.candidate() == BAD


@pytest.mark.fault
def test_the_clock_was_in_the_future_for_a_night(here: Here) -> None:
    """No client takes such an index; it is said how to begin anew."""
    assert here.nights.night(0).code == 0
    here.nights.night(3650)
    future = dates(here)[0]
    done = here.nights.night(-3650)
    assert done.code == 17 and "which is in the future" in done.rows[0].why
    assert dates(here)[0] > future
    (here.nights.world.public / "bookworm").unlink()
    done = here.nights.night(0)
    assert (done.code, done.repaired) == (0, ())
    with served(here.nights.world.public) as uri:
        client = client_of(here, uri)
        assert client.update() and client.candidate() == GOOD


@pytest.mark.attack
def test_digests_that_can_be_forged(here: Here) -> None:
    """The index has none; and nothing is to be had by one."""
    assert here.nights.night(0).code == 0
    lists = re.findall(r"^(\w+):$", index(here), re.M)
    assert lists == ["SHA256", "SHA512"]
    top = here.nights.world.public / "bookworm"
    assert (top / "dists/bookworm/Release").read_text() in index(here)
    kinds = {path.parent.name for path in top.rglob("by-hash/*/*")}
    assert kinds == {"SHA256", "SHA512"}
    assert re.search(r"^Hash: SHA512$", index(here), re.M)


@pytest.mark.bad_input
def test_how_long_it_is_valid_is_the_users(here: Here) -> None:
    path = here.directory / "respin.toml"
    text = path.read_text()
    for value, words in (("0", "valid-for"), ('"long"', "valid-for"), ("99999", "valid-for")):
        path.write_text(text.replace("[publish]", f"[publish]\nvalid-for = {value}"))
        said = here.respin("nightly")
        assert said.status == 2 and words in said.err
    path.write_text(text.replace("[publish]", "[publish]\nvalid-for = 3"))
    here.prepare_source("6.1.0-1")
    assert here.respin("nightly").status in (0, 11)  # whatever comes of the made-up source
    date, until = dates(here)
    assert until - date == timedelta(days=3)
