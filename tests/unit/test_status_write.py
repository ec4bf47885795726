# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The status page: what it shows is the runs' own, and a page that cannot be written is said so."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.filled import filled

from pipeline.errors import PublishError
from pipeline.nightly import status
from pipeline.nightly.state import RunRow

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    public = tmp_path / "public"
    public.write_text("somebody's file")
    with pytest.raises(PublishError, match=f"could not write the status page: {public}"):
        status.write(public, (), (), NOW)
    assert public.read_text() == "somebody's file"


def test_a_log_that_becomes_a_link_after_it_was_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the link leads to is neither shown nor opened to others."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    run = filled(RunRow, id=1, target="bookworm", folder=tmp_path / "runs/bookworm/000001")
    (run.folder / "logs").mkdir(parents=True)
    (run.folder / "logs/build.log").symlink_to(secret)
    monkeypatch.setattr(status, "_regular", lambda path: path.name == "build.log")
    with pytest.raises(PublishError):
        status.write(tmp_path / "public", (), (run,), NOW)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert [path for path in (tmp_path / "public").rglob("*") if not path.is_dir()] == []
