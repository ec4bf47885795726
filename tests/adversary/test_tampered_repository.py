# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Somebody writes into the directory that the web server serves.

The web server was broken into, or an administrator was careless: what clients see is not what was
signed. respin once called that "nothing new" for ever. Now the next night says so and fixes it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import onerelease
from support.aptclient import AptClient, served
from support.archive import Signer
from support.onerelease import Here

from pipeline.host.cache import file_sha256

pytestmark = [pytest.mark.needs("aptly"), pytest.mark.attack]

OURS = "6.1.0-1+bpf1"
SECRET = Path("/etc/shadow")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    """One release, of which one version is offered."""
    with onerelease.begin(tmp_path) as begun:
        begun.has("6.1.0-1")
        assert begun.nights.night(0).code == 0
        yield begun


def found(top: Path, pattern: str) -> Path:
    (path, *_) = sorted(p for p in top.rglob(pattern) if p.is_file())
    return path


def spoil(path: Path) -> None:
    data = path.read_bytes()
    path.unlink()  # it may be a link to what another generation has
    path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])


def _another_key(top: Path) -> None:
    """Let new clients trust somebody else."""
    with Signer("stranger") as stranger:
        (top / "iproute2-respin.asc").write_bytes(stranger.armored())


def _longer(path: Path) -> None:
    """Let who reads it read for a long time."""
    path.unlink()
    path.touch()
    os.truncate(path, 1 << 40)


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _elsewhere(top: Path) -> None:
    """Let the web server serve another directory, of the same name."""
    (top.parent / "mine").mkdir()
    shutil.copytree(top, top.parent / "mine" / top.readlink().name)
    link = Path("mine") / top.readlink().name
    top.unlink()
    top.symlink_to(link)


def _moved(top: Path) -> None:
    """Let the directory that is served lie elsewhere."""
    generation = top.parent / top.readlink()
    generation.rename(top.parent / "mine")
    generation.symlink_to("../mine")


TAMPER: dict[str, Callable[[Path], object]] = {
    "the signed index": lambda top: spoil(found(top, "InRelease")),
    "a list": lambda top: spoil(found(top, "Packages")),
    "a list, by hash": lambda top: spoil(found(top, "by-hash/SHA256/*")),
    "a package": lambda top: spoil(found(top, "*.deb")),
    "a package that is gone": lambda top: found(top, "*.deb").unlink(),
    "a package without end": lambda top: _longer(found(top, "*.deb")),
    "a pipe that nobody writes to": lambda top: _fifo(found(top, "*.deb")),
    "the key for new clients": _another_key,
    "a file that nobody published": lambda top: (top / "free-money.deb").write_text("!"),
    "a link to what is secret": lambda top: (top / "shadow").symlink_to(SECRET),
    "a link to a directory": lambda top: (top / "etc").symlink_to("/etc"),
    "another directory": _elsewhere,
    "the same directory elsewhere": _moved,
}


@pytest.mark.parametrize("tamper", TAMPER)
def test_what_is_served_is_changed(here: Here, tamper: str, tmp_path: Path) -> None:
    top = here.nights.world.public / "bookworm"
    key = (top / "iproute2-respin.asc").read_bytes()
    here.nights.events()
    TAMPER[tamper](top)
    done = here.nights.night(0)
    assert done.code == 17
    ((target, text),) = done.repaired
    assert target == "bookworm" and "respin has made it again" in text
    assert here.nights.events() == [("tampered", "bookworm")]
    # A real client finds all as it should be, and the next night nothing to say.
    with served(here.nights.world.public) as uri:
        client = AptClient(tmp_path / "client", f"{uri}/bookworm", key)
        assert client.update() and client.candidate() == OURS
        deb = next(here.nights.runs()[0].folder.glob("debs/*.deb"))
        assert file_sha256(client.download()) == file_sha256(deb)
    assert (top / "iproute2-respin.asc").read_bytes() == key
    assert not any(path.is_symlink() for path in top.rglob("*"))
    assert not (top / "free-money.deb").exists()
    done = here.nights.night(0)
    assert (done.code, done.repaired, here.nights.events()) == (0, (), [])


def test_it_is_said_by_the_command(here: Here) -> None:
    spoil(found(here.nights.world.public / "bookworm", "InRelease"))
    said = here.respin("nightly", "--quiet")
    assert said.status == 17
    assert "bookworm: somebody else changed what was published: " in said.err
    assert "InRelease; respin has made it again" in said.err
    assert here.respin("nightly").status == 0


def test_what_cannot_be_made_whole_is_reported(here: Here) -> None:
    spoil(found(here.nights.world.public / "bookworm", "*.deb"))
    shutil.rmtree(here.nights.runs()[0].folder)
    done = here.nights.night(0)
    assert (done.code, done.rows[0].outcome) == (17, "problem")
    assert "could not make it again" in done.repaired[0][1]


def test_no_file_of_the_machine_is_served_by_a_list_in_the_served_directory(here: Here) -> None:
    """A list of what to keep lay beside it: it could name ../../../etc/shadow."""
    top = here.nights.world.public / "bookworm"
    generation = top.parent / top.readlink()
    lists = [p for p in generation.iterdir() if p.name.startswith(".")]
    assert lists == []
    victim = here.directory / "victim"
    victim.write_text("secret")
    (generation / ".manifest.json").write_text('{"own": ["../../../../victim"]}')
    here.has("6.1.0-2")
    assert here.nights.night(0).code == 17
    assert victim.stat().st_nlink == 1
