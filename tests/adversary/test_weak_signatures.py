# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The attacker can make two texts with the same SHA-1 or RIPEMD-160.

The aim is to have somebody sign the harmless text, and to use that signature for the other one:
as a release's index, as an index of long ago, or as a developer's source. Another aim is to pass
off a developer who may not upload as one who may.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support import history
from support.archive import Archive, Signer
from support.packages import make_source
from support.services import Service, snapshot

from pipeline.archives import openpgp, vouch
from pipeline.archives.conditional import Mirror
from pipeline.archives.privateroot import PrivateRoot
from pipeline.archives.signedindex import Reader
from pipeline.archives.snapshot import Snapshot
from pipeline.errors import FetchError
from pipeline.host.cache import Cache
from pipeline.model import AptSource
from pipeline.releases import releases
from pipeline.source import fetch
from pipeline.text.address import Address

pytestmark = pytest.mark.attack

WEAK = ("SHA1", "RIPEMD160")
STRONG = ("SHA256", "SHA384", "SHA512")
BOOKWORM = releases.find("bookworm")


@pytest.fixture
def signer() -> Iterator[Signer]:
    with Signer("distro") as made:
        yield made


@pytest.fixture
def archive(tmp_path: Path, signer: Signer) -> Iterator[Archive]:
    with Archive(tmp_path, signer) as serving:
        serving.add_source(make_source(tmp_path / "made"))
        yield serving


def source_of(archive: Archive) -> AptSource:
    return AptSource(
        uri=Address(archive.url),
        suites=("bookworm",),
        components=("main",),
        keyring=archive.keyring,
    )


@pytest.mark.parametrize("digest", WEAK)
def test_a_text_signed_over_a_weak_digest(signer: Signer, digest: str) -> None:
    """Clear-signed, and with a signature apart."""
    signer.digest = digest
    for found in (
        openpgp.check(signer.clearsign("Origin: Debian\n"), signer.keyring),
        openpgp.check(b"data", signer.keyring, detached=signer.detach(b"data")),
        openpgp.check(signer.clearsign("Origin: Debian\n"), signer.keyring, frozen=True),
    ):
        assert found.signers == () and found.content == b"" and len(found.weak) == 1


@pytest.mark.parametrize("digest", STRONG)
def test_control_a_text_signed_over_a_strong_one(signer: Signer, digest: str) -> None:
    signer.digest = digest
    found = openpgp.check(signer.clearsign("Origin: Debian\n"), signer.keyring)
    assert found.signers == (signer.fingerprint,) and found.weak == ()


@pytest.mark.parametrize("digest", WEAK)
def test_the_index_that_a_night_watches(archive: Archive, signer: Signer, digest: str) -> None:
    reader = Reader(Mirror(), source_of(archive), "iproute2", datetime.now(UTC))
    archive.publish()
    read = reader.read("bookworm", None)
    assert read and read.sightings
    signer.digest = digest
    archive.publish()
    with pytest.raises(FetchError, match="is not signed by a key of"):
        reader.read("bookworm", None)


@pytest.mark.parametrize("digest", WEAK)
def test_the_index_that_apt_has_taken(
    archive: Archive, signer: Signer, digest: str, tmp_path: Path
) -> None:
    """Whatever apt makes of it: what lies in its lists is checked again."""
    archive.publish()
    root = PrivateRoot(Cache(tmp_path / "cache"), [source_of(archive)], ["amd64"], None)
    (index, *_) = root.update({"bookworm"})
    assert signer.fingerprint in index.trust()
    signer.digest = digest
    archive.publish()
    (kept,) = (tmp_path / "cache").rglob("*_InRelease")
    kept.write_bytes((archive.root / "dists/bookworm/InRelease").read_bytes())
    with pytest.raises(FetchError, match="is not signed by a key of") as caught:
        root._indexes()
    assert "its signature uses" in caught.value.details


def test_the_index_of_the_day_that_is_to_vouch_for_a_superseded_source(
    tmp_path: Path, signer: Signer
) -> None:
    signer.digest = "SHA1"
    dsc = make_source(tmp_path / "made", version=history.VERSION)
    with Archive(tmp_path / "then", signer, suite="sid") as then, Service() as service:
        then.add_source(dsc)
        then.publish(date=history.LONG_AGO)
        snapshot(service, dsc, history.VERSION, archive=then)
        asked = history.service_of(service, history.Time(), tmp_path / "cache", signer.keyring)
        history.refused(Snapshot(BOOKWORM, asked), tmp_path, "nothing vouches for", history.VERSION)
        signer.digest = ""
        then.publish(date=history.LONG_AGO)
        snapshot(service, dsc, history.VERSION, archive=then)
        found = Snapshot(BOOKWORM, asked).fetch_source("iproute2", history.VERSION, tmp_path / "o")
    history.whole(found, dsc)


@pytest.mark.parametrize("digest", WEAK)
def test_a_developers_signature_under_another_source(
    tmp_path: Path, signer: Signer, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsc = make_source(tmp_path / "made")
    text = dsc.read_text()
    signer.digest = digest
    dsc.write_bytes(signer.clearsign(text))
    monkeypatch.setattr(fetch, "UPLOADERS", (signer.keyring,))
    source = fetch.local(dsc, tmp_path / "out", BOOKWORM)
    assert "signed by" not in source.files[0].verified
    assert "uses a digest that proves nothing" in source.files[0].verified
    with pytest.raises(FetchError, match="uses a digest that proves nothing"):
        vouch.vouched(dsc.read_bytes(), "it", fetch.UPLOADERS, {})
    signer.digest = ""
    assert signer.fingerprint in vouch.vouched(signer.clearsign(text), "it", fetch.UPLOADERS, {})


def test_a_developer_who_may_not_upload() -> None:
    """Debian lists their keys apart."""
    names = [path.name for path in fetch.UPLOADERS]
    assert names == ["debian-keyring.gpg", "debian-maintainers.gpg"]
