# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Superseded versions of Debian: against a server that speaks as snapshot does."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from support.archive import Archive, Signer
from support.history import (
    BOOKWORM,
    LONG_AGO,
    ORIG,
    VERSION,
    Time,
    accepted,
    refused,
    service_of,
    whole,
)
from support.packages import make_source
from support.services import FOREVER, Fault, Service, snapshot

from pipeline.archives.snapshot import Snapshot
from pipeline.releases import releases


def test_by_the_signed_index_of_then(
    debian: Snapshot, tmp_path: Path, made: dict[str, Path], signer: Signer
) -> None:
    source = debian.fetch_source("iproute2", VERSION, tmp_path / "out")
    whole(source, made[VERSION])
    assert source.indexed
    assert source.origin.startswith("debian of 20230103T000000Z at http://127.0.0.1")
    for file in source.files:
        assert f"signed by {signer.fingerprint}" in file.verified
        assert "it was only valid until 2023-01-10" in file.verified


@pytest.mark.parametrize("part", ["Sources", "InRelease", ".dsc"])
def test_wrong_bytes_elsewhere(
    debian: Snapshot, server: Service, tmp_path: Path, made: dict[str, Path], part: str
) -> None:
    if part == ".dsc":
        part = f"/file/{hashlib.sha1(made[VERSION].read_bytes()).hexdigest()}"
    server.fail(part, Fault(spoil=True, times=FOREVER))
    refused(
        debian,
        tmp_path,
        "does not have the digest|does not match its entry|nothing vouches for",
        VERSION,
    )


@pytest.mark.parametrize(
    ("codename", "suite"), [("bookworm", "bookworm-security"), ("buster", "buster/updates")]
)
def test_a_security_update(
    codename: str,
    suite: str,
    server: Service,
    time: Time,
    tmp_path: Path,
    signer: Signer,
) -> None:
    """It is in an archive of its own, whose suite changed its name with Debian 11."""
    version = "6.1.0-3+deb12u1"
    dsc = make_source(tmp_path / "in", version=version)
    with Archive(tmp_path / "security", signer, suite=suite) as then:
        then.add_source(dsc)
        then.publish(date=LONG_AGO)
        snapshot(server, dsc, version, archive=then, kind="debian-security")
    service = service_of(server, time, tmp_path / "cache", signer.keyring)
    asked = Snapshot(releases.find(codename), service)
    source = asked.fetch_source("iproute2", version, tmp_path / "out")
    whole(source, dsc)
    assert source.origin.startswith("debian-security of 20230103T000000Z")
    assert f"Sources of {suite} at" in source.files[0].verified


def test_never_published(debian: Snapshot, tmp_path: Path) -> None:
    error = refused(debian, tmp_path, "never published iproute2 9.9-1", "9.9-1")
    assert "3 versions; the last ones are 5.10.0-4, 6.1.0-1, 6.1.0-3" in error.details


def test_listed_and_lacking(
    debian: Snapshot, server: Service, tmp_path: Path, made: dict[str, Path]
) -> None:
    sha1 = hashlib.sha1((made[VERSION].parent / ORIG).read_bytes()).hexdigest()
    del server.answers[f"/file/{sha1}"]
    refused(debian, tmp_path, "status 404", VERSION)


def test_no_signed_index_and_no_signature(
    debian: Snapshot, server: Service, tmp_path: Path, made: dict[str, Path]
) -> None:
    server.fail("InRelease", Fault(status=404, times=FOREVER))
    error = refused(debian, tmp_path, "nothing vouches for", VERSION)
    sha256 = hashlib.sha256(made[VERSION].read_bytes()).hexdigest()
    assert f"--accept-unsigned-source {sha256}" in error.hint


def test_index_signed_by_a_stranger(
    server: Service, time: Time, tmp_path: Path, uploader: Signer
) -> None:
    service = service_of(server, time, tmp_path / "cache", uploader.keyring)
    refused(Snapshot(BOOKWORM, service), tmp_path, "nothing vouches for", VERSION)


def test_unsigned_accepted_by_its_hash_alone(
    server: Service, time: Time, tmp_path: Path, made: dict[str, Path]
) -> None:
    other = service_of(server, time, tmp_path / "cache", accepted={"0" * 64: "accepted"})
    refused(Snapshot(BOOKWORM, other), tmp_path, "nothing vouches for", VERSION)
    named = service_of(server, time, tmp_path / "cache", accepted=accepted(made[VERSION]))
    source = Snapshot(BOOKWORM, named).fetch_source("iproute2", VERSION, tmp_path / "out")
    whole(source, made[VERSION])
    assert all("not verified: accepted by the user" in f.verified for f in source.files)


def test_two_sources_of_one_version(
    server: Service,
    time: Time,
    tmp_path: Path,
    made: dict[str, Path],
    uploader: Signer,
) -> None:
    other = make_source(tmp_path / "other", version=VERSION, files={"README": "another\n"})
    signed = {"first": made[VERSION], "second": other}
    answers = []
    for directory, dsc in signed.items():
        here = tmp_path / directory / dsc.name
        here.parent.mkdir()
        for path in dsc.parent.glob("*.tar.*"):
            (here.parent / path.name).write_bytes(path.read_bytes())
        here.write_bytes(uploader.clearsign(dsc.read_text()))
        signed[directory] = here
        snapshot(server, here, VERSION)
        answers.append(json.loads(server.answers[f"/mr/package/iproute2/{VERSION}/srcfiles"]))
    both = {
        "result": answers[0]["result"] + answers[1]["result"],
        "fileinfo": answers[0]["fileinfo"] | answers[1]["fileinfo"],
    }
    server.put(f"/mr/package/iproute2/{VERSION}/srcfiles", both)
    keys = {"uploaders": (uploader.keyring,)}
    asked = Snapshot(BOOKWORM, service_of(server, time, tmp_path / "cache", **keys))
    error = refused(asked, tmp_path, "2 different sources of iproute2 6.1.0-1", VERSION)
    hashes = [hashlib.sha256(dsc.read_bytes()).hexdigest() for dsc in signed.values()]
    assert all(sha256 in error.details for sha256 in hashes)
    service = service_of(
        server, time, tmp_path / "cache", accepted=dict.fromkeys(hashes[1:], "accepted"), **keys
    )
    source = Snapshot(BOOKWORM, service).fetch_source("iproute2", VERSION, tmp_path / "out")
    assert source.files[0].sha256 == hashes[1]


@pytest.mark.parametrize(
    "answer",
    [
        [],
        "text",
        None,
        {},
        {"result": {}, "fileinfo": {}},
        {"result": [], "fileinfo": []},
        {"result": ["x"], "fileinfo": {}},
        {"result": [{"hash": "0" * 40}], "fileinfo": {"0" * 40: "x"}},
        {"result": [{"hash": "0" * 40}], "fileinfo": {"0" * 40: [{"name": 1}]}},
    ],
)
def test_answers_of_another_form(
    debian: Snapshot, server: Service, tmp_path: Path, answer: object
) -> None:
    server.put(f"/mr/package/iproute2/{VERSION}/srcfiles", answer)
    refused(debian, tmp_path, "documented form|has no .dsc", VERSION)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "../iproute2.dsc"),
        ("name", "a" * 300 + ".dsc"),
        ("archive_name", "../../etc"),
        ("first_seen", "today"),
    ],
)
def test_hostile_answers(
    debian: Snapshot, server: Service, tmp_path: Path, key: str, value: str
) -> None:
    path = f"/mr/package/iproute2/{VERSION}/srcfiles"
    answer = json.loads(server.answers[path])
    for infos in answer["fileinfo"].values():
        infos[0][key] = value
    server.put(path, answer)
    refused(debian, tmp_path, "with an unsafe name", VERSION)


def test_object_in_place_of_a_list(
    debian: Snapshot, server: Service, tmp_path: Path, made: dict[str, Path]
) -> None:
    path = f"/mr/package/iproute2/{VERSION}/srcfiles"
    answer = json.loads(server.answers[path])
    answer["fileinfo"] = {sha1: infos[0] for sha1, infos in answer["fileinfo"].items()}
    server.put(path, answer)
    whole(debian.fetch_source("iproute2", VERSION, tmp_path / "out"), made[VERSION])


def test_source_of_another_package(debian: Snapshot, server: Service, tmp_path: Path) -> None:
    other = make_source(tmp_path / "other", name="bash", version=VERSION)
    snapshot(server, other, VERSION)
    refused(debian, tmp_path, "belongs to bash 6.1.0-1, not to iproute2", VERSION)
