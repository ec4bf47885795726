# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers that have superseded versions, and what asks them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.archive import Archive, Signer
from support.history import (
    BOOKWORM,
    JAMMY,
    LONG_AGO,
    UBUNTU,
    VERSION,
    Time,
    accepted,
    service_of,
)
from support.packages import make_source
from support.services import Service, launchpad, snapshot

from pipeline.archives.launchpad import Launchpad
from pipeline.archives.snapshot import Snapshot


@pytest.fixture(scope="module")
def signer() -> Iterator[Signer]:
    with Signer("archive") as made:
        yield made


@pytest.fixture(scope="module")
def uploader() -> Iterator[Signer]:
    with Signer("uploader") as made:
        yield made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sources, made once."""
    directory = tmp_path_factory.mktemp("sources")
    # Long enough to be cut in the middle.
    files = {"README": "".join(hashlib.sha256(b"%d" % n).hexdigest() for n in range(2000))}
    return {v: make_source(directory / v, version=v, files=files) for v in (VERSION, UBUNTU)}


@pytest.fixture(scope="module")
def then(
    tmp_path_factory: pytest.TempPathFactory, signer: Signer, made: dict[str, Path]
) -> Archive:
    """Debian's archive as it was: its index has expired since."""
    with Archive(tmp_path_factory.mktemp("then"), signer, suite="sid") as archive:
        archive.add_source(made[VERSION])
        archive.publish(date=LONG_AGO)
        return archive


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def server(then: Archive, made: dict[str, Path]) -> Iterator[Service]:
    with Service() as service:
        snapshot(service, made[VERSION], VERSION, archive=then, others=("5.10.0-4", "6.1.0-3"))
        launchpad(service, made[UBUNTU], UBUNTU)
        yield service


@pytest.fixture
def debian(server: Service, time: Time, tmp_path: Path, signer: Signer) -> Snapshot:
    return Snapshot(BOOKWORM, service_of(server, time, tmp_path / "cache", signer.keyring))


@pytest.fixture
def ubuntu(server: Service, time: Time, tmp_path: Path, made: dict[str, Path]) -> Launchpad:
    service = service_of(server, time, tmp_path / "cache", accepted=accepted(made[UBUNTU]))
    return Launchpad(JAMMY, service)
