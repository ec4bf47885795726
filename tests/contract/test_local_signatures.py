# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A local .dsc that is signed: what gpgv says of it goes into the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.archive import Signer
from support.packages import make_source

from pipeline.archives import openpgp
from pipeline.errors import FetchError
from pipeline.releases import releases
from pipeline.source import fetch

BOOKWORM = releases.find("bookworm")


@pytest.fixture(scope="module")
def signer() -> Iterator[Signer]:
    with Signer("developer") as made:
        yield made


@pytest.fixture
def signed(tmp_path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A .dsc signed by a key of the only keyring that there is."""
    monkeypatch.setattr(fetch, "UPLOADERS", (signer.keyring,))
    dsc = make_source(tmp_path / "in")
    dsc.write_bytes(signer.clearsign(dsc.read_text()))
    return dsc


def test_signed_by_a_developer(signed: Path, signer: Signer, tmp_path: Path) -> None:
    source = fetch.local(signed, tmp_path / "out", BOOKWORM)
    assert all(f"signed by {signer.fingerprint}" in f.verified for f in source.files)
    assert not source.indexed
    assert fetch.unpack(source, tmp_path / "tree").joinpath("README").exists()


def test_signed_by_a_stranger(
    signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Signer("other") as other:
        monkeypatch.setattr(fetch, "UPLOADERS", (other.keyring,))
        source = fetch.local(signed, tmp_path / "out", BOOKWORM)
    assert "its signature is not by a key" in source.files[0].verified


def test_no_keyring(signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "UPLOADERS", (tmp_path / "none.gpg",))
    source = fetch.local(signed, tmp_path / "out", BOOKWORM)
    assert "was not checked" in source.files[0].verified


def test_changed_after_it_was_signed(signed: Path, tmp_path: Path) -> None:
    signed.write_text(
        signed.read_text().replace("Section: net", "Section: not").replace("tester@", "Tester@")
    )
    with pytest.raises(FetchError, match="changed after it was signed"):
        fetch.local(signed, tmp_path / "out", BOOKWORM)
    assert not (tmp_path / "out").exists()


def test_only_what_is_signed_counts(signer: Signer) -> None:
    text = signer.clearsign("Origin: Debian\n")
    good = openpgp.check(text, signer.keyring)
    assert good.content == b"Origin: Debian\n" and good.signers == (signer.fingerprint,)
    around = openpgp.check(b"Origin: Evil\n\n" + text + b"\nOrigin: Evil\n", signer.keyring)
    assert b"Evil" not in around.content
    assert openpgp.check(b"Origin: Debian\n", signer.keyring).signers == ()
    detached = signer.detach(b"data")
    assert openpgp.check(b"data", signer.keyring, detached=detached).content == b"data"
    assert openpgp.check(b"Data", signer.keyring, detached=detached).bad


def test_broken_source_package(tmp_path: Path) -> None:
    dsc = make_source(tmp_path / "in")
    source = fetch.local(dsc, tmp_path / "out", BOOKWORM)
    for file in source.files[1:]:
        file.path.write_bytes(b"not a tarball")
    with pytest.raises(FetchError, match="cannot be unpacked"):
        fetch.unpack(source, tmp_path / "tree")
    assert {p.name for p in tmp_path.iterdir()} == {"in", "out"}
    (tmp_path / "there").mkdir()
    with pytest.raises(FetchError, match="already exists"):
        fetch.unpack(source, tmp_path / "there")
