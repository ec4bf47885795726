# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The key that signs our repository gets old, or falls into the wrong hands.

A key that never expires serves a thief for ever. So it expires, is renewed, and is replaced by
another, and real clients keep working all the time. The fault would be a fleet that no longer
gets updates, without anybody noticing.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support import onerelease, packages
from support.aptclient import AptClient, served
from support.client import KEYRING, Client
from support.onerelease import Here

from pipeline.publish import keys

pytestmark = pytest.mark.needs("aptly")

PACKAGE = "iproute2-respin-archive-keyring"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with onerelease.begin(tmp_path) as begun:
        yield begun


def asc(here: Here) -> bytes:
    return (here.nights.world.public / "bookworm/iproute2-respin.asc").read_bytes()


def key(here: Here) -> keys.Key:
    return keys.of_home(here.nights.world.directory / keys.HOME)


def next_version(here: Here, number: int) -> str:
    """Let the next night offer a version; return ours."""
    version = f"6.1.0-{number}"
    here.has(version)
    deb = packages.make_deb(here.directory, "iproute2", version, architecture="amd64")
    here.distro.add_deb(deb)
    here.distro.again()
    assert here.nights.night(0).code == 0
    return f"{version}+bpf1"


@pytest.mark.fault
def test_a_fleet_follows_a_change_of_the_key(here: Here) -> None:
    """Who does nothing but upgrade, who has the old key alone, who has the new one alone."""
    with ExitStack() as stack:
        first = next_version(here, 4)
        old_key = asc(here)

        def client() -> Client:
            public, distro = here.nights.world.public, here.distro
            made = stack.enter_context(Client(distro.root, distro.trusted, public, "bookworm"))
            made.subscribe()
            return made

        fleet, old = client(), client()
        fleet.call("apt-get", "-q", "update")
        fleet.call("apt-get", "-q", "-y", "install", PACKAGE)
        assert [fleet.upgrade(), old.upgrade()] == [first, first]

        said = here.respin("key", "rotate", "--finish")
        assert said.status == 2 and "begin that with respin key rotate" in said.err
        both = here.json("key", "rotate")["fingerprints"]
        assert len(both) == 2 and both == list(key(here).fingerprints)
        # What is served is as it was; and the old key must not go before the new one was shown.
        said = here.respin("key", "rotate", "--finish")
        assert said.status == 2 and f"is not yet signed with {both[1]}" in said.err
        assert here.respin("key", "rotate").status == 2
        assert old.upgrade() == first

        second = next_version(here, 5)
        new = client()
        new_key = keys.Key(fingerprints=(both[1],), home=key(here).home).public()
        new.trust(new_key)
        assert [c.upgrade() for c in (fleet, old, new)] == [second] * 3

        assert here.json("key", "rotate", "--finish")["fingerprints"] == both[1:]
        assert asc(here) not in (old_key, new_key)  # that comes with the next night
        third = next_version(here, 6)
        assert asc(here) == new_key
        assert [fleet.upgrade(), new.upgrade()] == [third, third]
        # The control: it did change; and what the documentation says mends it.
        refused = old.call("apt-get", "update", "--error-on=any", check=False)
        assert refused.status != 0
        old.trust(asc(here))
        assert old.upgrade() == third
        # All have the new key now, by the package or by hand.
        assert {fleet.call("cat", KEYRING).stdout, old.call("cat", KEYRING).stdout} == {new_key}


@pytest.mark.fault
def test_a_fleet_follows_a_renewal(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    first = next_version(here, 4)
    distro = here.distro
    with Client(distro.root, distro.trusted, here.nights.world.public, "bookworm") as fleet:
        fleet.subscribe()
        fleet.call("apt-get", "-q", "update")
        fleet.call("apt-get", "-q", "-y", "install", PACKAGE)
        before = asc(here)
        monkeypatch.setattr(keys, "EXPIRES", "3y")
        renewed = here.json("key", "renew")
        assert renewed["fingerprints"] == list(key(here).fingerprints)
        assert here.nights.night(0).code == 0
        assert asc(here) != before
        assert fleet.upgrade() == first
        assert fleet.call("cat", KEYRING).stdout == asc(here)


@pytest.mark.fault
def test_a_key_that_has_expired(here: Here) -> None:
    """The night says what to do; clients with the old copy are told by apt."""
    here.has("6.1.0-4")
    home = here.nights.world.directory / keys.HOME
    good = key(here)
    gpg = ["gpg", "--batch", "--yes", "--homedir", str(home)]
    gpg += ["--faked-system-time", "20200101T000000!"]
    new = ["--passphrase", "", "--quick-generate-key", "old", "ed25519", "sign", "1y"]
    keys.change(home, "--delete-secret-and-public-key", good.name, brief="remove it")
    subprocess.run([*gpg, "--pinentry-mode", "loopback", *new], check=True, capture_output=True)
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"], check=True)
    done = here.nights.night(0)
    assert done.code == 17 and done.rows[0].outcome == "problem"
    said = here.respin("publish", here.directory / "prepared/bookworm_6.1.0-4")
    assert said.status == 17
    expired = key(here).public()
    assert here.respin("key", "renew").status == 0
    assert here.nights.night(0).code == 0
    # The run was made while nobody could sign it, and is signed now.
    (deb,) = (here.nights.world.public / "bookworm/pool").rglob("iproute2_*.deb")
    assert here.respin("verify", deb).status == 0
    with served(here.nights.world.public) as uri:
        other = AptClient(here.directory / "old", f"{uri}/bookworm", expired)
        assert not other.update()
        client = AptClient(here.directory / "new", f"{uri}/bookworm", asc(here))
        assert client.update() and client.candidate() == "6.1.0-4+bpf1"


@pytest.mark.fault
def test_nobody_knows_that_it_expires(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each night says so, and those who are told are told once."""
    here.has("6.1.0-4")
    expires = key(here).expires
    assert expires and expires > here.nights.now.timestamp() + 700 * 24 * 3600
    said = here.respin("nightly", "--quiet")
    assert "expires" not in said.err and "respin key renew" not in here.nights.page()
    monkeypatch.setattr(keys, "EXPIRES", "30d")
    assert here.respin("key", "renew").status == 0
    assert here.nights.night(0).code == 0
    assert ("key-expires", None) in here.nights.events()
    said = here.respin("nightly", "--quiet")
    assert said.status == 0 and "respin key renew" in said.err
    assert here.nights.events() == []
    people = here.nights.page().partition('id="people"')[2].partition("</ul>")[0]
    assert "respin key renew" in people


@pytest.mark.attack
def test_others_can_read_the_key(here: Here) -> None:
    """Its directory is open to others, or is somewhere else: nothing is signed with it."""
    home = here.nights.world.directory / keys.HOME
    assert home.stat().st_mode & 0o777 == 0o700
    secret = next((home / "private-keys-v1.d").iterdir())
    assert secret.stat().st_mode & 0o777 == 0o600
    home.chmod(0o750)
    for command in (["nightly"], ["key", "renew"], ["key", "rotate"], ["key", "init"]):
        said = here.respin(*command)
        assert said.status == 2 and f"chmod 700 {home}" in said.err, said
    home.chmod(0o700)
    home.rename(home.with_name("elsewhere"))
    home.symlink_to("elsewhere")
    said = here.respin("nightly")
    assert said.status == 2 and "does not belong to this user" in said.err


@pytest.mark.bad_input
def test_a_key_of_the_users_is_not_ours_to_change(here: Here) -> None:
    path = here.directory / "respin.toml"
    text = path.read_text()
    names = '["' + "A" * 40 + '", "' + "B" * 40 + '"]'
    path.write_text(text.replace("[publish]", f"[publish]\nkey = {names}"))
    for command in (["key", "renew"], ["key", "rotate"], ["key", "rotate", "--finish"]):
        said = here.respin(*command)
        assert said.status == 2 and "is your own" in said.err
    for wrong in ('"short"', '["' + "A" * 40 + '", 1]', str(["A" * 40] * 3)):
        path.write_text(text.replace("[publish]", f"[publish]\nkey = {wrong}"))
        said = here.respin("key", "renew")
        assert said.status == 2 and "[publish] key" in said.err
