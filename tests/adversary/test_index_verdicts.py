# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever apt makes of an index, respin's verdict on it is the same, and in the same words.

apt asks gpgv on Debian 12 and sqv on Debian 13. These accept different things, and apt words their
answers differently. So each row is also played with an apt that takes every signature for a good
one, and with an apt that takes none, or refuses in the words of another version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.archive import Archive, Signer
from support.packages import make_source

from pipeline.archives import openpgp
from pipeline.archives.conditional import Mirror
from pipeline.archives.privateroot import PrivateRoot
from pipeline.archives.signedindex import Reader
from pipeline.errors import FetchError
from pipeline.host.cache import Cache
from pipeline.model import AptSource
from pipeline.text.address import Address

pytestmark = pytest.mark.attack

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=30)
SUITE = "bookworm"

ANY = """#!/bin/sh
case "$*" in *--dump-options*) exec /usr/bin/gpgv --dump-options;; esac
fingerprint=0123456789012345678901234567890123456789
echo "[GNUPG:] NEWSIG" >&3
echo "[GNUPG:] GOODSIG 4567890123456789 anybody" >&3
echo "[GNUPG:] VALIDSIG $fingerprint 2020-01-01 1577836800 0 4 0 22 10 01 $fingerprint" >&3
"""
NONE = """#!/bin/sh
case "$*" in *--dump-options*) exec /usr/bin/gpgv --dump-options;; esac
exit 2
"""
CALLS = {
    "first contact": "",
    "there was a good one": "",
    "first contact, and an apt that takes any": ANY,
    "there was a good one, and an apt that takes none": NONE,
}


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Who signs, and the keyring with the first two."""

    today: Signer
    old: Signer
    other: Signer
    ring: Path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    ring = tmp_path_factory.mktemp("keys") / "ring.gpg"
    with Signer("today") as today, Signer("old", expired=True) as old, Signer("evil") as other:
        ring.write_bytes(today.keyring.read_bytes() + old.keyring.read_bytes())
        yield Keys(today=today, old=old, other=other, ring=ring)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source"))


def unsigned(archive: Archive, directory: Path, *, name: str) -> None:
    """Leave the text of the InRelease alone, under this name."""
    path = archive.root / f"dists/{SUITE}/InRelease"
    text = path.read_text().partition("\n\n")[2].partition("-----BEGIN PGP SIGNATURE")[0]
    path.unlink()
    (path.parent / name).write_text(text)


def detached(archive: Archive, signer: Signer) -> None:
    unsigned(archive, archive.root, name="Release")
    release = archive.root / f"dists/{SUITE}/Release"
    (release.parent / "Release.gpg").write_bytes(signer.detach(release.read_bytes()))


def changed(archive: Archive) -> None:
    path = archive.root / f"dists/{SUITE}/InRelease"
    path.write_bytes(path.read_bytes().replace(b"Origin: Debian", b"Origin: Evilly"))


def weak(archive: Archive, keys: Keys) -> None:
    keys.today.digest = "SHA1"
    archive.publish()
    keys.today.digest = ""


BY_NONE = f"the index of {SUITE} at SITE is not signed by a key of the keyring RING"
AT_ALL = f"the index of {SUITE} at SITE is not signed at all"
PORTAL = "<html>Please log in.</html>"
VERDICTS: dict[str, tuple[Callable[[Archive, Keys], object], str, str]] = {
    "good": (lambda a, k: a.publish(), "", ""),
    "good, with the signature apart": (lambda a, k: detached(a, k.today), "", ""),
    "another key": (
        lambda a, k: a.publish(signer=k.other),
        BY_NONE,
        "it was signed by OTHER, which is not in the keyring",
    ),
    "another key, with the signature apart": (
        lambda a, k: detached(a, k.other),
        BY_NONE,
        "it was signed by OTHER, which is not in the keyring",
    ),
    "an expired key": (
        lambda a, k: a.publish(signer=k.old),
        BY_NONE,
        "it was signed by OLD, which has expired by this machine's clock",
    ),
    "a weak digest": (weak, BY_NONE, "its signature uses SHA-1"),
    "changed": (
        lambda a, k: changed(a),
        BY_NONE,
        "its signature is bad: it was changed after it was signed",
    ),
    "not signed": (lambda a, k: unsigned(a, a.root, name="Release"), AT_ALL, ""),
    "not signed, though it should be": (
        lambda a, k: unsigned(a, a.root, name="InRelease"),
        AT_ALL,
        "",
    ),
    "no index": (
        lambda a, k: (a.root / f"dists/{SUITE}/InRelease").write_text(PORTAL),
        AT_ALL,
        "",
    ),
    "an expired index": (
        lambda a, k: a.publish(date=LONG_AGO),
        f"the index of {SUITE} at SITE has expired by this machine's clock",
        "it was valid until",
    ),
    "an index of the future": (
        lambda a, k: a.publish(date=NOW + timedelta(days=3)),
        f"the index of {SUITE} at SITE is dated in the future by this machine's clock",
        "its date is",
    ),
}


def told(error: FetchError, archive: Archive, keys: Keys) -> tuple[str, str]:
    """Return the words of an error, without what differs from call to call."""
    assert error.exit_code == 10 and error.hint
    text = f"{error.brief}\n{error.details}"
    for there, word in (
        (archive.url, "SITE"),
        (str(keys.ring), "RING"),
        (keys.other.fingerprint, "OTHER"),
        (keys.old.fingerprint, "OLD"),
    ):
        text = text.replace(there, word)
    brief, _, details = text.partition("\n")
    return brief, details


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("row", VERDICTS)
def test_the_verdict_on_an_index(
    tmp_path: Path,
    keys: Keys,
    made: Path,
    monkeypatch: pytest.MonkeyPatch,
    row: str,
    call: str,
) -> None:
    spoil, brief, details = VERDICTS[row]
    with Archive(tmp_path, keys.today) as archive:
        archive.add_source(made)
        source = AptSource(
            uri=Address(archive.url), suites=(SUITE,), components=("main",), keyring=keys.ring
        )
        root = PrivateRoot(Cache(tmp_path / "cache"), [source], ["amd64"], None)
        archive.publish(date=NOW - timedelta(hours=5))
        if not call.startswith("first contact"):
            root.update({SUITE})
        spoil(archive, keys)
        if CALLS[call]:
            program = root._directory("etc") / "another-gpgv"
            program.write_text(CALLS[call])
            program.chmod(0o755)
            monkeypatch.setattr(openpgp, "GPGV", program)
        if not brief and CALLS[call] != NONE:
            assert {index.meta for index in root.update({SUITE})} == LISTS
            return
        with pytest.raises(FetchError) as caught:
            root.update({SUITE})
        found = told(caught.value, archive, keys)
        if brief:
            assert found[0] == brief and found[1].startswith(details)
        else:  # it is refused all the same, and not for anything that is untrue
            assert found[0] == "updating the indexes of SITE: apt failed"


LISTS = {"main/source/Sources"}


@pytest.mark.parametrize("row", [r for r in VERDICTS if "apart" not in r and r != "not signed"])
def test_a_night_says_the_same(tmp_path: Path, keys: Keys, made: Path, row: str) -> None:
    spoil, brief, details = VERDICTS[row]
    with Archive(tmp_path, keys.today) as archive:
        archive.add_source(made)
        archive.publish()
        spoil(archive, keys)
        source = AptSource(
            uri=Address(archive.url), suites=(SUITE,), components=("main",), keyring=keys.ring
        )
        reader = Reader(Mirror(), source, "iproute2", NOW)
        if not brief:
            assert reader.read(SUITE, None)
            return
        with pytest.raises(FetchError) as caught:
            reader.read(SUITE, None)
        found = told(caught.value, archive, keys)
        assert found[0] == brief and found[1].startswith(details)


def test_what_was_sent_before_is_not_judged_again(tmp_path: Path, keys: Keys, made: Path) -> None:
    """Today the archive cannot be reached; that yesterday's answer was not signed is no reason."""
    with Archive(tmp_path, keys.today) as archive:
        archive.add_source(made)
        archive.publish(signer=keys.other)
        source = AptSource(
            uri=Address(archive.url), suites=(SUITE,), components=("main",), keyring=keys.ring
        )
        root = PrivateRoot(Cache(tmp_path / "cache"), [source], ["amd64"], None)
        with pytest.raises(FetchError, match="not signed by a key"):
            root.update({SUITE})
    with pytest.raises(FetchError, match="cannot be reached"):
        root.update({SUITE})


def test_a_link_that_an_apt_left_leads_nowhere(tmp_path: Path, keys: Keys, made: Path) -> None:
    """Whoever has taken over apt can write to its lists, and to nothing else through them."""
    other = tmp_path / "other"
    other.mkdir()
    mine: dict[str, Any] = {"InRelease": "mine", "Release.gpg": "mine"}
    for name, text in mine.items():
        (other / name).write_text(text)
    with Archive(tmp_path, keys.today) as archive:
        archive.add_source(made)
        archive.publish()
        source = AptSource(
            uri=Address(archive.url), suites=(SUITE,), components=("main",), keyring=keys.ring
        )
        root = PrivateRoot(Cache(tmp_path / "cache"), [source], ["amd64"], None)
        root.update({SUITE})
        partial = root.path / "state/lists/partial"
        for path in partial.iterdir():
            path.unlink()
        partial.rmdir()
        partial.symlink_to(other)
        with pytest.raises(FetchError):
            root.update({SUITE})
    assert {p.name: p.read_text() for p in other.iterdir()} == mine
