# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The doctor on the machine that the tests run on."""

from __future__ import annotations

from pathlib import Path

from pipeline.cli import doctor


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


def test_without_programs(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """A machine without a program has it named, and the rest still examined."""
    (tmp_path / "packages.txt").write_text("gone no-such-program build\n")
    monkeypatch.setattr(doctor, "project_data", lambda name: tmp_path / name)
    found = {c.what: c for c in doctor.examine(tmp_path / "cache")}
    assert found["gone"].remedy == "apt-get install gone"
    assert not found["gone"].ok and found["cache directory"].ok
