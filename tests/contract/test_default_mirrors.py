# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A distro's default mirror, as debootstrap knows it: its own scripts, and some made here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.archives import host_apt
from pipeline.errors import UsageError
from pipeline.model import Release
from pipeline.releases import mirrors, releases

GUTSY = """\
case $ARCH in
  riscv64) default_mirror http://ports.example.org/ubuntu-ports ;;
  *) case $SUITE in
       warty) default_mirror http://old.example.org/ubuntu ;;
       *) default_mirror http://mirror.example.org/ubuntu ;;
     esac ;;
esac
mirror_style release
touch "$MARK"
"""
NOBLE = Release(distro="ubuntu", codename="noble", version="24.04")


def scripts(directory: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (directory / name).write_text(text)
    return directory


@pytest.mark.needs("debootstrap")
def test_debian_has_one_and_its_security_archive_beside_it() -> None:
    (said,) = re.findall(r'^DEF_MIRROR="(.*)"$', mirrors.PROGRAM.read_text(), re.MULTILINE)
    for name in ("bookworm", "trixie", "sid"):
        assert mirrors.default(releases.find(name)) == (said, f"{said}-security")


@pytest.mark.needs("debootstrap")
def test_ubuntu_has_one_for_all_pockets() -> None:
    main, security = mirrors.default(NOBLE)
    assert main == security and main.startswith("http") and "ubuntu" in main


def test_a_release_that_debootstrap_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the script is run after it has named the mirror."""
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))
    there = scripts(tmp_path, gutsy=GUTSY)
    found = {name: mirrors.default(_named(name), there)[0] for name in ("noble", "warty")}
    assert found == {
        "noble": "http://mirror.example.org/ubuntu",
        "warty": "http://old.example.org/ubuntu",
    }
    assert not (tmp_path / "mark").exists()


def test_other_architectures_are_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_apt, "architecture", lambda: "riscv64")
    there = scripts(tmp_path, gutsy=GUTSY)
    assert mirrors.default(NOBLE, there)[0] == "http://ports.example.org/ubuntu-ports"


@pytest.mark.parametrize("text", [None, "", "exit 1\n", "mirror_style release\n"])
def test_no_mirror_is_known(text: str | None, tmp_path: Path) -> None:
    there = scripts(tmp_path, **({} if text is None else {"gutsy": text}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mirrors, "PROGRAM", tmp_path / "none")
        with pytest.raises(UsageError, match="knows no mirror of ubuntu") as caught:
            mirrors.default(NOBLE, there)
    assert "debootstrap" in caught.value.hint and "--mirror" in caught.value.hint


def _named(codename: str) -> Release:
    return Release(distro="ubuntu", codename=codename, version="")
