# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A respin.toml is in the directory where respin is called: /tmp, a clone, an unpacked tarball.

The attacker wrote it there, or may write to a file that somebody else uses. The aim is to replace
mirrors and keys, so that respin fetches, verifies and publishes the attacker's iproute2, or to
have a command run (``[notify] command``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import cli, inprocess
from support.archive import Archive, Signer
from support.packages import make_source

from pipeline.config import config
from pipeline.errors import UsageError

EVIL = {
    "archives": '[archives]\nsnapshot = "http://127.0.0.1:9"\n',
    "a mirror": '[release.bookworm]\nuris = ["http://127.0.0.1:9"]\n',
    "keys": '[release.bookworm]\nkeyring = "evil.gpg"\n',
    "a kernel": '[release.bookworm]\nkernel = "linux-image-evil"\n',
    "a suffix": '[release.bookworm]\nsuffix = "+zzz{n}"\n',
    "a derivative": '[release.evil]\nbase = "bookworm"\nuris = ["http://127.0.0.1:9"]\n',
    "a command": '[notify]\ncommand = ["/bin/sh", "-c", "touch pwned"]\n',
    "a webhook": '[notify]\nwebhook-file = "webhook"\n',
    "a token": '[notify]\ntoken-file = "token"\n',
    "a signing key": '[publish]\nkey = "0123456789ABCDEF0123456789ABCDEF01234567"\n',
    "a key's home": '[publish]\ngnupg-home = "gnupg"\n',
    "what is offered": "[publish]\nkeep = 1\n",
    "a state": '[nightly]\nstate = "state"\n',
    "what is removed": "[nightly]\nkeep-runs = 1\n",
    "a cache's size": '[nightly]\ncache-size = "1M"\n',
    "beside what it may say": '[nightly]\nreleases = ["bookworm"]\nkeep-cache = 1\n',
    "an empty table": "[release]\n",
}

COMMANDS = {
    "run": ["run", "--release", "bookworm"],
    "fetch": ["fetch", "--release", "bookworm"],
    "patch": ["patch", "--release", "bookworm"],
    "smoke": ["smoke", "--deb", __file__],
    "releases": ["releases"],
    "nightly": ["nightly"],
    "status": ["status"],
    "history": ["history"],
    "retry": ["retry"],
    "forget": ["forget", "bookworm"],
    "withdraw": ["withdraw", "bookworm", "1-1", "--why", "x"],
    "key init": ["key", "init"],
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory in which somebody calls respin."""
    (tmp_path / "home").mkdir()
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def call(place: Path, *args: str | Path, config: Path | None = None) -> cli.Said:
    home = place.parent / "home"
    env = {
        "RESPIN_CONFIG": str(config) if config else None,
        "RESPIN_CACHE": str(home / "cache"),
        "RESPIN_STATE": str(home / "state"),
        "XDG_CONFIG_HOME": str(home),
    }
    return inprocess.respin(*args, cwd=place, env=env)


def refused(place: Path, *args: str | Path, words: str = "must not set") -> str:
    before = sorted(place.rglob("*"))
    said = call(place, *args)
    assert said.status == 2, said.err
    assert words in said.err and "Traceback" not in said.err
    assert said.out == "" and sorted(place.rglob("*")) == before
    return said.err


@pytest.mark.attack
@pytest.mark.parametrize("what", EVIL)
def test_it_says_what_is_trusted_or_run(place: Path, what: str) -> None:
    (place / "respin.toml").write_text(EVIL[what])
    assert "--config ./respin.toml" in refused(place, "releases")


@pytest.mark.attack
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_believes_it(place: Path, command: str) -> None:
    (place / "respin.toml").write_text(EVIL["a mirror"])
    refused(place, *COMMANDS[command])


@pytest.fixture
def signer() -> Iterator[Signer]:
    with Signer("evil") as made:
        yield made


@pytest.mark.attack
def test_its_archive_and_keys_serve_no_source(place: Path, signer: Signer) -> None:
    """What this is for: respin fetch, in a directory of the attacker's, with nothing configured."""
    with Archive(place.parent / "archive", signer) as archive:
        archive.add_source(make_source(place.parent / "source"))
        archive.publish()
        (place / "respin.toml").write_text(
            f'[release.bookworm]\nuris = ["{archive.url}"]\nkeyring = "{archive.keyring}"\n'
            'suites = ["bookworm"]\n'
        )
        asked = len(archive.answers)
        refused(place, "fetch", "--release", "bookworm")
        assert len(archive.answers) == asked
        # The control: the same file, named by the user.
        args = ["fetch", "--release", "bookworm", "--config", "./respin.toml", "--out", "out"]
        said = call(place, *args)
        assert said.status == 0, said.err
        assert said.out.strip() == str(place / "out/source/iproute2_6.1.0-3.dsc")


@pytest.mark.attack
def test_it_takes_nothing_away_from_the_users_own(place: Path) -> None:
    """A file that says little must not bring back the mirrors that the user's own replaced."""
    own = place.parent / "home/respin/respin.toml"
    own.parent.mkdir()
    own.write_text('[archives]\nsnapshot = "http://127.0.0.1:9"\n[nightly]\nstate = "/nowhere"\n')
    (place / "respin.toml").write_text('[nightly]\nreleases = ["bookworm"]\npockets = "updates"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.delenv("RESPIN_CONFIG")
        patch.setenv("XDG_CONFIG_HOME", str(place.parent / "home"))
        found = config.load()
    assert found.archives.snapshot == "http://127.0.0.1:9"
    assert found.nightly.state == Path("/nowhere")
    assert found.nightly.releases == ("bookworm",) and found.nightly.pockets == ("updates",)


@pytest.mark.attack
def test_it_is_not_used_in_silence(place: Path) -> None:
    (place / "respin.toml").write_text('[nightly]\nreleases = ["bookworm"]\n')
    said = call(place, "status")
    first, *_ = said.err.splitlines()
    assert first == "respin: using ./respin.toml in the current directory for: releases"
    # The control: nothing of it is used where another is named.
    other = place.parent / "other.toml"
    other.write_text('[release.bookworm]\nuris = ["http://127.0.0.1:9"]\n')
    (place / "respin.toml").write_text(EVIL["a command"])
    said = call(place, "releases", "--json", config=other)
    assert (said.status, said.err) == (0, "")


@pytest.mark.bad_input
@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "nothing", "device"])
def test_it_is_no_file(place: Path, kind: str) -> None:
    path = place / "respin.toml"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "loop":
            path.symlink_to(path)
        case "nothing":
            path.symlink_to("gone")
        case "device":
            path.symlink_to("/dev/zero")
    refused(place, "releases", words="cannot be read")
    said = call(place, "releases", "--config", path)
    assert said.status == 2 and "Traceback" not in said.err


OWN = '[archives]\nsnapshot = ""\n'


@pytest.mark.attack
@pytest.mark.parametrize("mode", [0o666, 0o646, 0o602])
def test_others_may_write_to_a_configuration(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "respin.toml"
    path.write_text(OWN)
    assert config.load(path).archives.snapshot == ""  # the control
    path.chmod(mode)
    with pytest.raises(UsageError, match="can be written by other users"):
        config.load(path)


@pytest.mark.attack
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_configuration_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root reads the configuration of a service user, who would have commands run as root."""
    path = tmp_path / "respin.toml"
    path.write_text(OWN)
    os.chown(path, 12345, 0)
    with pytest.raises(UsageError, match="belongs to the user 12345"):
        config.load(path)
    # The controls: who called sudo has root's power already; root's own file, read by others.
    monkeypatch.setenv("SUDO_UID", "12345")
    assert config.load(path).archives.snapshot == ""


@pytest.mark.attack
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_group_may_write_to_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "respin.toml"
    path.write_text(OWN)
    path.chmod(0o664)
    os.chown(path, 0, 100)  # users
    with pytest.raises(UsageError, match="can be written by other users"):
        config.load(path)
    # The control: a group that is this user alone (umask 002).
    os.chown(path, 0, 0)
    assert config.load(path).archives.snapshot == ""
