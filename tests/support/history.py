# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of superseded versions share: a clock, and the checks of each outcome."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.archives import history
from pipeline.archives.web import Client, Clock
from pipeline.errors import FetchError
from pipeline.host.cache import Cache
from pipeline.model import Source
from pipeline.releases import releases
from pipeline.text.address import Address
from support.services import Service

BOOKWORM, JAMMY = releases.find("bookworm"), releases.find("jammy")
VERSION, UBUNTU = "6.1.0-1", "5.15.0-1ubuntu1"
LONG_AGO = datetime(2023, 1, 3, tzinfo=UTC)
ORIG = "iproute2_6.1.0.orig.tar.gz"


class Time:
    """A clock that advances only when somebody sleeps."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Record the sleep."""
        self.slept.append(seconds)

    def clock(self) -> Clock:
        """Return it in the form that the client takes."""
        return Clock(
            monotonic=lambda: sum(self.slept),
            now=lambda: LONG_AGO.timestamp() + sum(self.slept),
            sleep=self.sleep,
        )


def service_of(
    server: Service, time: Time, cache: Path, *keyrings: Path, **more: Any
) -> history.Service:
    # Long enough for a busy machine: a time-out is retried, and counted.
    client = Client(timeout=2.0, tries=4, pause=2.0, clock=time.clock())
    return history.Service(
        url=Address(server.url), client=client, cache=Cache(cache), keyrings=keyrings, **more
    )


def accepted(dsc: Path) -> dict[str, str]:
    return {hashlib.sha256(dsc.read_bytes()).hexdigest(): "accepted by the user"}


def whole(source: Source, dsc: Path) -> None:
    """Compare what was fetched with what was published."""
    assert source.dsc.read_bytes() == dsc.read_bytes()
    assert {p.name for p in source.dsc.parent.iterdir()} == {f.path.name for f in source.files}
    for file in source.files:
        data = file.path.read_bytes()
        assert data == (dsc.parent / file.path.name).read_bytes()
        assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def refused(archive: history.History, directory: Path, match: str, version: str) -> FetchError:
    with pytest.raises(FetchError, match=match) as caught:
        archive.fetch_source("iproute2", version, directory / "out")
    assert not (directory / "out").exists()
    assert not list(directory.glob(".fetch-*"))
    assert caught.value.exit_code == 10
    return caught.value
