# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that crashes is booted again: what is played then, and when that ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import MappingProxyType

import pytest

from pipeline.errors import TestbedLost
from pipeline.host.cache import file_sha256
from pipeline.model import GuestPackages, Package
from pipeline.smoke import guest_files, guest_session
from pipeline.smoke.guest_session import GuestPlan, Played, play
from pipeline.smoke.smoke import _to_install
from pipeline.smoke.tested_packages import Deb
from pipeline.vm.image import GuestImage
from pipeline.vm.machine import machine_for
from pipeline.vm.results import Transcript

ROWS = ("a", "b", "c")
FIRST, SECOND = [Path("distro.deb")], [Path("ours.deb")]


class FakeGuest:
    """Plays three rows in each phase, and crashes in those that are named."""

    def __init__(self, crashes: Sequence[str]) -> None:
        self.crashes = list(crashes)
        self.boots: list[tuple[tuple[str, ...], list[Path], bool]] = []

    def boot(
        self,
        _guest: GuestPlan,
        phases: Sequence[str],
        first: Sequence[Path],
        coming: Future[Sequence[Path]] | None,
        leave: frozenset[str],
        _number: int,
    ) -> guest_session._Boot:
        self.boots.append((tuple(phases), list(first), coming is not None))
        ended: dict[str, str] = {}
        begun, done = "", True
        for step in self._steps(phases):
            if step in self.crashes and step not in leave:
                begun, done = (begun if "install" in step else step), False
                break
            if "install" not in step and step not in leave:
                begun, ended[step] = step, ""
        said = Transcript(
            kernel="6.1",
            ran=MappingProxyType({}),
            counted={},
            tried={},
            logs=ended,
            begun=begun,
            done=done,
        )
        return guest_session._Boot(
            said=said, error=TestbedLost("lost", details="panic"), waited=0.0
        )

    @staticmethod
    def _steps(phases: Sequence[str]) -> Iterator[str]:
        for phase in phases:
            yield f"{phase}:install"
            yield from (f"{phase}:{row}" for row in ROWS)


def played(monkeypatch: pytest.MonkeyPatch, *crashes: str) -> tuple[Played, FakeGuest]:
    fake = FakeGuest(crashes)
    monkeypatch.setattr(guest_session, "_boot", fake.boot)
    coming: Future[Sequence[Path]] = Future()
    coming.set_result(SECOND)
    guest = GuestPlan.__new__(GuestPlan)  # nothing of it is looked at here
    return play(guest, ("before", "after"), FIRST, coming), fake


def test_what_the_root_was_made_of_is_not_installed_again(tmp_path: Path) -> None:
    debs = [
        Deb(path=tmp_path / name, name=name, version="1", architecture="arm64")
        for name in ("distros", "ours")
    ]
    for deb in debs:
        deb.path.write_text(deb.name)
    same = Package(name="x", version="1", architecture="arm64", sha256=file_sha256(debs[0].path))
    image = GuestImage(
        machine=machine_for("arm64"),
        directory=tmp_path,
        kernel="6.1",
        package=same,
        packages=GuestPackages(root=(same,), kernel=()),
        config=None,
        modules=(),
    )
    assert _to_install(image, debs[:1]) == []
    assert _to_install(image, debs[1:]) == [debs[1].path]
    assert _to_install(image, debs) == [deb.path for deb in debs]
    for installed, count in ((True, 1), (False, 2)):
        script = guest_files.init(image, ("before", "after"), installed=installed)
        assert script.count("dpkg --install") == count
        assert "after:install" in script and script.count(":version") == 2


EVERY = {f"{phase}:{row}" for phase in ("before", "after") for row in ROWS}
WHOLE = (("before", "after"), FIRST, True)


def test_one_boot_where_nothing_crashes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, fake = played(monkeypatch)
    assert (set(seen.said.logs), seen.lost, seen.crashes) == (EVERY, {}, 0)
    assert fake.boots == [WHOLE]


def test_a_crash_before_costs_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, fake = played(monkeypatch, "before:b")
    assert set(seen.said.logs) == EVERY - {"before:b"}
    assert (seen.lost, seen.crashes) == ({"before:b": "panic"}, 1)
    assert fake.boots == [WHOLE, WHOLE]


def test_a_crash_after_does_not_try_the_first_package_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen, fake = played(monkeypatch, "before:a", "after:b", "after:c")
    assert set(seen.lost) == {"before:a", "after:b", "after:c"}
    assert set(seen.said.logs) == EVERY - set(seen.lost)
    alone = (("after",), SECOND, False)
    assert fake.boots == [WHOLE, WHOLE, alone, alone]


@pytest.mark.parametrize("where", ["before:install", "after:install"])
def test_a_crash_at_another_time_ends_it(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    with pytest.raises(TestbedLost):
        played(monkeypatch, where)


def test_too_many_crashes_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_session, "CRASHES_MAX", 2)
    seen, _ = played(monkeypatch, "before:a", "after:c")
    assert seen.crashes == 2
    with pytest.raises(TestbedLost):
        played(monkeypatch, "before:a", "after:b", "after:c")
