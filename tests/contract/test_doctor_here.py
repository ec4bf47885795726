# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The doctor on the machine that the tests run on."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.archives import host_apt
from pipeline.cli import doctor
from pipeline.errors import UsageError
from pipeline.host import command
from pipeline.vm.machine import machine_for, machines


def test_examine(tmp_path: Path) -> None:
    checks = doctor.examine(tmp_path / "cache")
    found = {c.what: c for c in checks}
    assert len(found) == len(checks)
    assert found["dpkg-dev"].ok and found["cache directory"].ok
    assert any("namespaces" in what for what in found)
    for check in checks:
        assert check.stages and check.found
        assert not (check.ok and check.remedy)
        assert check.ok or check.remedy or not check.required


def test_other_architectures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they need is not needed for this machine's own; this machine's own adds nothing."""
    native = {c.what for c in doctor.examine(tmp_path / "cache")}
    own = doctor.examine(tmp_path / "cache", [host_apt.architecture()])
    assert {c.what for c in own} == native
    others = ("arm64", "armhf", "s390x")
    found = {c.what: c for c in doctor.examine(tmp_path / "cache", others)}
    assert native < set(found)
    more = set(found) - native
    for name in others:
        machine = machine_for(name)
        assert set(machine.needs) <= more
        assert f"machine of QEMU for {name}" in more or not found[machine.package].ok
    assert all(found[what].required and found[what].stages == ("smoke",) for what in more)
    # A machine that lacks a cross compiler has it named, and only for that architecture.
    which = command.which
    gone = machine_for("s390x").compiler
    monkeypatch.setattr(command, "which", lambda name: None if name == gone else which(name))
    found = {c.what: c for c in doctor.examine(tmp_path / "cache", ["s390x"])}
    lacking = found["gcc-s390x-linux-gnu"]
    assert not lacking.ok and lacking.required
    assert lacking.remedy == "apt-get install gcc-s390x-linux-gnu"
    every = {c.what for c in doctor.examine(tmp_path / "cache", ["all"])}
    assert {package for m in machines().values() if not m.native for package in m.needs} <= every
    with pytest.raises(UsageError, match="there is no architecture named 'x86_64'"):
        doctor.examine(tmp_path / "cache", ["arm64", "x86_64"])


def test_without_programs(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """A machine without a program has it named, and the rest still examined."""
    (tmp_path / "packages.txt").write_text("gone no-such-program build\n")
    monkeypatch.setattr(doctor, "project_data", lambda name: tmp_path / name)
    found = {c.what: c for c in doctor.examine(tmp_path / "cache")}
    assert found["gone"].remedy == "apt-get install gone"
    assert not found["gone"].ok and found["cache directory"].ok
