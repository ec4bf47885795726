# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Superseded versions of Ubuntu: against a server that speaks as Launchpad does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.archive import Signer
from support.history import JAMMY, UBUNTU, Time, accepted, refused, service_of, whole
from support.services import FOREVER, Fault, Service, launchpad

from pipeline.archives.launchpad import Launchpad
from pipeline.releases import releases


def test_accepted(ubuntu: Launchpad, tmp_path: Path, made: dict[str, Path]) -> None:
    whole(ubuntu.fetch_source("iproute2", UBUNTU, tmp_path / "out"), made[UBUNTU])


def test_refused_unless_accepted(
    server: Service, time: Time, tmp_path: Path, made: dict[str, Path]
) -> None:
    asked = Launchpad(JAMMY, service_of(server, time, tmp_path / "cache"))
    error = refused(asked, tmp_path, "nothing vouches for", UBUNTU)
    assert next(iter(accepted(made[UBUNTU]))) in error.hint


def test_signed_by_its_uploader(
    server: Service, time: Time, tmp_path: Path, made: dict[str, Path], uploader: Signer
) -> None:
    dsc = tmp_path / "in" / made[UBUNTU].name
    dsc.parent.mkdir()
    for path in made[UBUNTU].parent.glob("*.tar.*"):
        (dsc.parent / path.name).write_bytes(path.read_bytes())
    dsc.write_bytes(uploader.clearsign(made[UBUNTU].read_text()))
    launchpad(server, dsc, UBUNTU)
    keys = (uploader.keyring,)
    asked = Launchpad(JAMMY, service_of(server, time, tmp_path / "cache", uploaders=keys))
    source = asked.fetch_source("iproute2", UBUNTU, tmp_path / "out")
    assert all(uploader.fingerprint in f.verified for f in source.files)
    strangers = service_of(server, time, tmp_path / "cache2", uploaders=())
    refused(Launchpad(JAMMY, strangers), tmp_path / "no", "not by a key at hand", UBUNTU)


def test_pages(ubuntu: Launchpad, server: Service, tmp_path: Path, made: dict[str, Path]) -> None:
    launchpad(server, made[UBUNTU], UBUNTU, pages=4)
    whole(ubuntu.fetch_source("iproute2", UBUNTU, tmp_path / "out"), made[UBUNTU])
    assert len(server.asked("getPublishedSources")) == 4


@pytest.mark.parametrize("where", ["itself", "http://127.0.0.1:1/x", 7])
def test_pages_that_lead_astray(
    ubuntu: Launchpad, server: Service, tmp_path: Path, where: object
) -> None:
    top = "/ubuntu/+archive/primary"
    if where == "itself":
        where = f"{server.url}{top}?ws.op=getPublishedSources"
    page = {"entries": [], "next_collection_link": where}
    server.queries[top, "getPublishedSources"] = json.dumps(page).encode()
    refused(ubuntu, tmp_path, "too many pages|another service|documented form", UBUNTU)


def test_never_published(ubuntu: Launchpad, server: Service, tmp_path: Path) -> None:
    refused(ubuntu, tmp_path, "Ubuntu never published iproute2 9.9", "9.9")
    page = b'{"total_size": 0, "start": 0, "entries": []}'
    server.queries["/ubuntu/+archive/primary", "getPublishedSources"] = page
    refused(ubuntu, tmp_path, "Ubuntu never published", UBUNTU)


def test_in_another_series(server: Service, time: Time, tmp_path: Path, ubuntu: Launchpad) -> None:
    asked = Launchpad(releases.find("noble"), service_of(server, time, tmp_path / "cache"))
    error = refused(asked, tmp_path, "was never in Ubuntu noble", UBUNTU)
    assert "jammy" in error.details


@pytest.mark.parametrize(
    "answer", [{}, [], ["http://x/y.dsc"], [{"url": 1}], [{"url": "http://x/a.dsc"}]]
)
def test_answers_of_another_form(
    ubuntu: Launchpad, server: Service, tmp_path: Path, answer: object
) -> None:
    link = "/ubuntu/+archive/primary/+sourcepub/1"
    server.queries[link, "sourceFileUrls"] = json.dumps(answer).encode()
    refused(ubuntu, tmp_path, "documented form|has no .dsc|malformed", UBUNTU)


def test_wrong_bytes(ubuntu: Launchpad, server: Service, tmp_path: Path) -> None:
    server.fail("/files/iproute2_5.15.0.orig", Fault(spoil=True, times=FOREVER))
    refused(ubuntu, tmp_path, "orig.tar.gz does not match its entry in", UBUNTU)


def test_throttled(ubuntu: Launchpad, server: Service, time: Time, tmp_path: Path) -> None:
    server.fail("getPublished", Fault(status=503, times=2))
    ubuntu.fetch_source("iproute2", UBUNTU, tmp_path / "out")
    assert time.slept == [2.0, 4.0]
