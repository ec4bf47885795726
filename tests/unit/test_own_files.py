# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Files and directories that take the place of others, and locks of directories."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.files import own_files


@pytest.mark.parametrize("alone", [False, True])
def test_what_fails_leaves_what_was_there(tmp_path: Path, alone: bool) -> None:
    (tmp_path / "x").write_text("old")
    with pytest.raises(ZeroDivisionError), own_files.replacing(tmp_path / "x", alone=alone) as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("x", "old")]


def test_who_is_alone_replaces_what_a_killed_process_left(tmp_path: Path) -> None:
    (tmp_path / ".x.part").mkdir()
    (tmp_path / ".x.part/half").touch()
    with own_files.replacing(tmp_path / "x", alone=True) as part:
        part.mkdir()
    assert list(tmp_path.rglob("*")) == [tmp_path / "x"]


def test_shared_locks_of_a_directory_exclude_only_others(tmp_path: Path) -> None:
    def locked(*, shared: bool) -> bool:
        with own_files.locked(tmp_path, wait=False, shared=shared, directory=True) as held:
            return held

    with own_files.locked(tmp_path, shared=True, directory=True):
        assert locked(shared=True) and not locked(shared=False)
    assert locked(shared=False)
