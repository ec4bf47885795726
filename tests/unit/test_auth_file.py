# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Which login of a file goes to which archive, and which files are refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.archives import auth_file
from pipeline.config import config
from pipeline.errors import UsageError
from pipeline.releases import releases
from pipeline.text.address import Address, Credentials

SECRET = "s3cr3t"


def logins(directory: Path, text: str | bytes, mode: int = 0o600) -> Path:
    path = directory / "auth.conf"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("machine", "address", "sent"),
    [
        ("esm.example/infra", "https://esm.example/infra/ubuntu", True),
        ("esm.example/infra", "https://esm.example/apps/ubuntu", False),
        ("esm.example", "http://esm.example/infra", False),
        ("http://esm.example", "http://esm.example/infra", True),
        ("http://esm.example:8080", "http://esm.example/infra", False),
        ("esm.example", "https://esm.example.org/infra", False),
    ],
)
def test_which_archive_gets_it(tmp_path: Path, machine: str, address: str, sent: bool) -> None:
    text = f"# what we pay for\nmachine other.example login a password b\nmachine {machine}\n"
    path = logins(tmp_path, f"{text}  login me\n  password {SECRET}\n")
    given = Address(address)
    found = auth_file.add(path, [given])[given]
    assert found == address and SECRET not in repr(found)
    assert found.credentials == (Credentials(user="me", password=SECRET) if sent else None)


def test_the_first_and_that_of_the_address_come_first(tmp_path: Path) -> None:
    path = logins(
        tmp_path, "machine a.example login one password x\nmachine a.example login two password y\n"
    )
    plain, own = Address("https://a.example/x"), Address("https://my:own@a.example/y")
    found = auth_file.add(path, [plain, own])
    assert [c.user for c in (found[plain].credentials, found[own].credentials) if c] == [
        "one",
        "my",
    ]


@pytest.mark.parametrize(
    "text",
    [
        f"machine a.example login {SECRET}",
        f"login me password {SECRET}",
        f"machine a.example login me password {SECRET} {SECRET}",
        f"machine a.example login me password {SECRET} password {SECRET}",
        f"macdef {SECRET} a.example",
        f"machine a.example login me password {SECRET} machine",
        f"machine a.example {SECRET} me password {SECRET}",
        SECRET.encode() + b"\xff",
    ],
)
def test_what_does_not_have_the_form(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(UsageError, match="does not have the form") as caught:
        auth_file.add(logins(tmp_path, text), [Address("https://a.example/x")])
    said = f"{caught.value.brief} {caught.value.details} {caught.value.hint}"
    assert SECRET not in said and "apt_auth.conf(5)" in said


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_a_file_that_others_can_use(tmp_path: Path, mode: int) -> None:
    path = logins(tmp_path, "machine a.example login a password b", mode)
    with pytest.raises(UsageError, match="other users may read it") as caught:
        auth_file.add(path, [])
    assert "chmod 600" in caught.value.hint


def test_a_file_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = logins(tmp_path, "machine a.example login a password b")
    monkeypatch.setattr(
        "pipeline.config.config_file.trusted", lambda: frozenset({os.geteuid() + 1})
    )
    with pytest.raises(UsageError, match="belongs to another user"):
        auth_file.add(path, [])


@pytest.mark.parametrize("kind", ["absent", "directory", "fifo", "dangling"])
def test_what_cannot_be_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "auth.conf"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path, 0o600)
    elif kind == "dangling":
        path.symlink_to("nowhere")
    with pytest.raises(UsageError, match=r"auth\.conf cannot be read: ") as caught:
        auth_file.add(path, [])
    assert "respin.toml" in caught.value.hint


def test_a_release_with_a_file(tmp_path: Path) -> None:
    """It is beside respin.toml, and has to have a login for one of the archives."""
    logins(tmp_path, f"machine esm.example login me password {SECRET}")
    path = tmp_path / "respin.toml"
    text = """[release.acme]
base = "bookworm"
uris = ["https://deb.example/debian", "https://esm.example/debian"]
suites = ["bookworm"]
keyring = "k.gpg"
auth-file = "auth.conf"
"""
    path.write_text(text)

    def logged_in() -> list[bool]:
        found = config.load(path)
        given = releases.sources(releases.find("acme", config=found), config=found)
        return [source.uri.credentials is not None for source in given]

    assert logged_in() == [False, True]
    path.write_text(text.replace("esm.example", "elsewhere.example"))
    with pytest.raises(
        UsageError, match=r"auth\.conf has no login for any archive of acme"
    ) as caught:
        logged_in()
    assert SECRET not in str(caught.value)
