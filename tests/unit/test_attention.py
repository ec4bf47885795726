# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What needs a person, and when it does not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.config import distros
from pipeline.config.config import Config, Derivative
from pipeline.host.disk import Space
from pipeline.model import Release
from pipeline.nightly import attention, status
from pipeline.nightly.state import Need
from pipeline.nightly.status import TargetStatus
from pipeline.releases.distroinfo import Known, Support

NOW = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)


def row(
    target: str, outcome: str = "fixed", *, distro: str = "ubuntu", code: int = 0
) -> TargetStatus:
    return TargetStatus(
        target=target,
        architecture="amd64",
        distro=distro,
        release=target.partition("-")[0],
        pocket=None,
        version=None,
        ours=None,
        offered=(),
        outcome=outcome,
        since=0,
        next_retry=None,
        why="no keys" if code else "",
        code=code,
        needs_person=bool(code),
        run=None,
        ours_run=None,
    )


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where Ubuntu's keyring would be on a machine that lacks it."""
    path = tmp_path / "ubuntu-archive-keyring.gpg"
    monkeypatch.setattr(distros.Ubuntu, "keyring", path)
    return path


def test_keys_are_named_once_for_all_releases(keyring: Path) -> None:
    rows = [row(name, "problem", code=2) for name in ("jammy", "noble", "noble-backports")]
    rows.append(row("bookworm", "problem", distro="debian", code=2))
    (need,) = attention.missing_keys(rows, {})
    assert need.waiting == ("jammy", "noble", "noble-backports")
    assert need.text.endswith(str(keyring)) and need.remedy == "run apt-get install ubuntu-keyring"
    # Each of them is said once; what is wrong with bookworm is its own.
    assert [r.target for r in status.people(rows, [need])] == ["bookworm"]
    # A keyring of their own is not the distro's, and another problem is not this one.
    own = {"jammy": Derivative(name="jammy", keyring=Path("mine.gpg"))}
    (need,) = attention.missing_keys([*rows[:2], row("resolute", "problem", code=10)], own)
    assert need.waiting == ("noble",)
    assert list(attention.missing_keys([row("jammy")], {})) == []
    keyring.touch()
    assert list(attention.missing_keys(rows, {})) == []


@pytest.mark.parametrize(("days", "needs"), [(31, False), (30, True), (1, True), (-1, True)])
def test_a_key_that_expires_in_thirty_days(days: int, needs: bool) -> None:
    expires = int((NOW + timedelta(days=days)).timestamp())
    found = list(attention.expiring_key("ABCD", expires, NOW))
    assert [need.about for need in found] == ["key"] * needs
    assert all("ABCD expires on 2026-" in n.text and "respin key renew" in n.remedy for n in found)


def test_a_key_that_never_expires() -> None:
    assert list(attention.expiring_key("ABCD", None, NOW)) == []


@pytest.mark.parametrize(("days", "needs"), [(61, False), (60, True), (0, True), (-1, False)])
def test_a_release_that_ends_in_sixty_days(days: int, needs: bool) -> None:
    """LTS counts as support; what is sold after it, from another archive, does not."""
    end = NOW.date() + timedelta(days=days)
    release = Release(distro="debian", codename="bookworm", version="12")
    ends = (
        (Support.SUPPORTED, end - timedelta(days=700)),
        (Support.LTS, end),
        (Support.ELTS, end + timedelta(days=900)),
    )
    known = [Known(release=release, released=date(2023, 6, 10), ends=ends)]
    rows = [row("bookworm", distro="debian"), row("bookworm-backports", distro="debian")]
    found = list(attention.ending_releases(rows, known, NOW))
    assert [need.about for need in found] == ["release bookworm"] * needs
    assert all(f"until {end}" in need.text for need in found)
    unwatched = [row("trixie", distro="debian"), row("bookworm", "ended", distro="debian")]
    assert list(attention.ending_releases(unwatched, known, NOW)) == []


def test_a_disk_that_is_nearly_full(tmp_path: Path) -> None:
    def look(device: int, used: int, free: int) -> list[Need]:
        space = Space(device=device, used=used, free=free)
        return list(attention.full_disks((tmp_path, tmp_path / "absent"), lambda path: space))

    assert look(1, 89, 11) == []
    (need,) = look(1, 891, 109)  # df says 90 %, too
    assert "is 90 % full" in need.text and "cache-size" in need.remedy
    # Two directories on one disk: said once.
    found = attention.full_disks(
        (tmp_path, Path("/")), lambda path: Space(device=1, used=1, free=0)
    )
    assert [need.about for need in found] == [f"disk {tmp_path}"]


@pytest.mark.parametrize("now", [NOW, NOW - timedelta(days=90)])
def test_all_of_them_are_found_together(tmp_path: Path, keyring: Path, now: datetime) -> None:
    """Ninety days before, on a machine with room and the keys, nobody is needed."""
    early = now < NOW
    if early:
        keyring.touch()
    release = Release(distro="debian", codename="bookworm", version="12")
    ends = ((Support.SUPPORTED, NOW.date() + timedelta(days=30)),)
    world: Any = SimpleNamespace(
        clock=lambda: now,
        known=[Known(release=release, released=date(2023, 6, 10), ends=ends)],
        config=Config(),
        directory=tmp_path,
        cache=SimpleNamespace(root=tmp_path / "cache"),
        space=lambda path: Space(device=1, used=10 if early else 95, free=90 if early else 5),
    )
    rows = [row("bookworm", distro="debian"), row("jammy", "problem", code=2)]
    expires = int((NOW + timedelta(days=7)).timestamp())
    found = [need.about for need in attention.find(rows, world, "ABCD", expires)]
    all_four = ["keys ubuntu", "key", f"disk {tmp_path}", "release bookworm"]
    assert found == ([] if early else all_four)


def test_the_answer_counts_what_is_not_a_release() -> None:
    disk, other = (
        Need(about="disk /", text="t", remedy="r"),
        Need(about="key", text="t", remedy="r"),
    )
    keys = Need(about="keys ubuntu", text="t", remedy="r", waiting=("jammy",))
    good, bad = row("noble"), row("jammy", "problem", code=2)
    assert status.answer([good], []).endswith("; none needs attention.")
    assert status.answer([good], [disk]).endswith("; none needs attention, but 1 other thing does.")
    assert status.answer([good], [disk, other]).endswith("but 2 other things do.")
    assert status.answer([good, bad], [keys]).endswith("; 1 needs attention.")
    assert status.answer([good, bad], [keys, disk]).endswith("attention, and 1 other thing does.")
