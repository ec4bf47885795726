# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of the doctor that look at files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.archives import host_apt
from pipeline.cli import doctor
from pipeline.config import distros
from pipeline.vm.machine import machines

STAGES = {"setup", "fetch", "diagnose", "patch", "build", "smoke", "nightly"}


def test_needs_of_the_project() -> None:
    found = doctor.needs()
    assert len({n.package for n in found}) == len(found) > 10
    assert set().union(*(n.stages for n in found)) <= STAGES
    assert {"dpkg-dev", "mmdebstrap", "coccinelle"} <= {n.package for n in found}


def test_needs(tmp_path: Path) -> None:
    path = tmp_path / "packages.txt"
    path.write_text("# a comment\n\nfoo   /usr/share/foo   fetch,build\n")
    assert doctor.needs(path) == (
        doctor.Need(package="foo", shown_by="/usr/share/foo", stages=("fetch", "build")),
    )


def test_a_package_that_is_missing_is_mended_by_apt() -> None:
    need = doctor.Need(package="foo", shown_by="/nowhere/foo", stages=("fetch",))
    check = doctor._package(need, "debian")
    assert not check.ok and check.remedy == "apt-get install foo"
    there = doctor._package(doctor.Need(package="sh", shown_by="sh", stages=("fetch",)), "debian")
    assert there.ok and not there.remedy and there.found.endswith("/sh")


def test_the_keyring_of_another_distro_is_for_its_releases_only() -> None:
    need = doctor.Need(package="foo", shown_by="/nowhere/foo", stages=("fetch",), distro="ubuntu")
    checks = {here: doctor._package(need, here) for here in ("ubuntu", "debian", "")}
    assert [here for here, check in checks.items() if check.required] == ["ubuntu"]
    assert not any(check.ok for check in checks.values())
    assert checks["debian"].found == "/nowhere/foo is missing; only releases of ubuntu need it"
    assert checks["ubuntu"].found == "/nowhere/foo is missing"


def test_each_host_needs_the_qemu_of_its_own_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, machine in machines().items():
        monkeypatch.setattr(host_apt, "architecture", lambda name=name: name)
        (need,) = (n for n in doctor.needs() if n.architectures and n.concerns)
        assert need.package == machine.package, name


def test_each_distro_has_its_keyring_from_its_own_package() -> None:
    listed = {need.distro: (need.package, need.shown_by) for need in doctor.needs() if need.distro}
    assert listed == {d.name: (d.keyring_package, str(d.keyring)) for d in distros.ALL.values()}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ID=debian\n", "debian"),
        ('ID="ubuntu"\nID_LIKE=debian\n', "ubuntu"),
        ('ID=mint\nID_LIKE="ubuntu debian"\n', "ubuntu"),
        ("ID=raspbian\nID_LIKE=debian\n", "debian"),
        ("ID=arch\n", ""),
        ("", ""),
    ],
)
def test_the_distro_of_a_machine(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "os-release"
    assert distros.of_machine(path) == ""
    path.write_text(text)
    assert distros.of_machine(path) == found


def test_the_keys_of_the_json_are_those_that_programs_read() -> None:
    check = doctor.Check(stages=("fetch",), what="foo", ok=False, found="missing", remedy="get it")
    assert doctor.to_json([check]) == [
        {
            **{"stages": ("fetch",), "what": "foo", "ok": False, "found": "missing"},
            **{"mend": "get it", "required": True},
        }
    ]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("tester:100000:65536\n", 65536),
        ("1000:100000:65536\n", 65536),
        ("tester:100000:1000\ntester:200000:70000\n", 70000),
        ("other:100000:65536\n", 0),
        ("tester2:100000:65536\n", 0),
        ("tester:100000:many\n", 0),
        ("tester\n", 0),
    ],
)
def test_subids(tmp_path: Path, text: str, count: int) -> None:
    path = tmp_path / "subuid"
    path.write_text(text)
    assert doctor.subid_count(path, "tester", 1000) == count
    assert doctor.subid_count(tmp_path / "none", "tester", 1000) == 0


def test_cache(tmp_path: Path) -> None:
    assert all(c.ok or c.what == "disk space" for c in doctor._cache(tmp_path / "cache"))
    (tmp_path / "file").touch()
    (broken,) = doctor._cache(tmp_path / "file")
    assert not broken.ok and "cannot be written" in broken.found and "--cache" in broken.remedy
