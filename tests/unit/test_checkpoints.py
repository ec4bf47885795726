# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a killed run had finished is taken over if it is sound, and else made again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.filled import filled

from pipeline.host.cache import file_sha256
from pipeline.model import Artifact, Built, Package, Patched, Release, Source, VerifiedFile
from pipeline.runs import checkpoints
from pipeline.runs.checkpoints import BUILD, CONTROL, FETCH, PATCH, Checkpoints
from pipeline.runs.directory import CHECKPOINTS

ROOT = (Package(name="dpkg", version="1", architecture="amd64"),)
RELEASE = Release(distro="debian", codename="bookworm", version="12")


def verified(path: Path) -> VerifiedFile:
    return filled(
        VerifiedFile, path=path, size=path.stat().st_size, sha256=file_sha256(path), verified="so"
    )


def artifact(path: Path) -> Artifact:
    return Artifact(path=path, size=path.stat().st_size, sha256=file_sha256(path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return what a run left that was killed after its build."""
    folder = tmp_path / "killed"
    for name in ("source/a.dsc", "patched/b.dsc", "patched/patches/fix", "debs/c.deb", "control/d"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    notes = Checkpoints(folder)
    source = filled(Source, release=RELEASE, files=(verified(folder / "source/a.dsc"),))
    notes.note(FETCH, source)
    dsc, patch = folder / "patched/b.dsc", folder / "patched/patches/fix"
    notes.note(PATCH, filled(Patched, source=source, dsc=dsc, patches=(patch,)))
    deb = artifact(folder / "debs/c.deb")
    notes.note(BUILD, filled(Built, debs=(deb,), changes=deb, buildinfo=deb, root=ROOT))
    notes.note(CONTROL, (verified(folder / "control/d"),))
    (folder / ".work").mkdir()
    (folder / ".work/tree").write_text("half")
    (folder / "report.json").write_text("half")
    return folder


def had(folder: Path) -> set[str]:
    found = Checkpoints(folder)
    return {name for name in checkpoints.STAGES if found.had(name) is not None}


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_is_sound_is_taken_over_wherever_it_is_now(folder: Path) -> None:
    here = folder.rename(folder.with_name("taken-over"))
    found = Checkpoints(here)
    assert found.had(FETCH).dsc == here / "source/a.dsc"
    assert found.had(PATCH).patches == (here / "patched/patches/fix",)
    assert found.had(PATCH).source == found.had(FETCH)
    assert found.had(BUILD).debs[0].path == here / "debs/c.deb"
    assert found.had(BUILD).root == ROOT
    assert found.had(CONTROL)[0].path == here / "control/d"
    # What no stage had finished is gone.
    assert left(here) == {"source", "patched", "debs", "control", CHECKPOINTS}


def test_a_new_folder_has_nothing(tmp_path: Path) -> None:
    assert had(tmp_path) == set()


def spoil(name: str, how: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: how(folder / name)


def one_byte(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.parametrize(
    ("how", "sound"),
    [
        (spoil("debs/c.deb", one_byte), {FETCH, PATCH, CONTROL}),
        (spoil("debs/c.deb", Path.unlink), {FETCH, PATCH, CONTROL}),
        (spoil("debs/more.deb", Path.touch), {FETCH, PATCH, CONTROL}),
        (spoil(f"{CHECKPOINTS}/{BUILD}", Path.unlink), {FETCH, PATCH, CONTROL}),
        (spoil(f"{CHECKPOINTS}/{BUILD}", one_byte), {FETCH, PATCH, CONTROL}),
        (spoil(f"{CHECKPOINTS}/{BUILD}", lambda p: p.write_text("[]")), {FETCH, PATCH, CONTROL}),
        (spoil("patched/patches/fix", one_byte), {FETCH, CONTROL}),
        (spoil("source/a.dsc", one_byte), set()),
    ],
)
def test_what_is_not_sound_goes_with_all_that_was_made_of_it(
    folder: Path, how: Callable[[Path], object], sound: set[str]
) -> None:
    how(folder)
    assert had(folder) == sound
    assert left(folder) == {checkpoints.STAGES[name].folder for name in sound} | {CHECKPOINTS}
    assert {path.name for path in (folder / CHECKPOINTS).iterdir()} == sound


def test_another_respin_begins_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "__version__", "999")
    assert had(folder) == set()
