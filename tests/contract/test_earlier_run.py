# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Going on from the directory of an earlier run: what is taken from it, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import packages, standin
from support.filled import filled

from pipeline.errors import FetchError
from pipeline.host.cache import Cache
from pipeline.model import Built, Package, Release
from pipeline.runs import report, report_reader, single_stage
from pipeline.runs.building import Building
from pipeline.runs.inputs import Inputs
from pipeline.runs.proving import Proving
from pipeline.runs.request import Request

RELEASE = Release(distro="debian", codename="bookworm", version="12")
ROOT = (Package(name="dpkg", version="1.21.22", architecture="amd64", sha256="0" * 64),)
SMOKED = standin.smoked()
MADE = filled(Built, version="6.1.0-3+bpf1", container="docker")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return the directory of a run in a container of Docker, by two indexes."""
    dsc = packages.make_source(tmp_path / "made", version="6.1.0-3")
    directory = standin.make(tmp_path / "run", dsc, RELEASE)
    done = report_reader.read(directory)
    assert done.built
    built = replace(
        done.built, container="docker", root=ROOT, seconds=41.5, ccache={"cache_miss": 7}
    )
    report.write(replace(done, built=built, archives=("source's", "root's")), directory)
    return directory


@pytest.fixture
def asked(tmp_path: Path) -> Request:
    return Request(release=RELEASE, fixes=(), cache=Cache(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do the stages of the archive, the container and the guest without any."""
    archive = SimpleNamespace(trust=lambda: ("root's", "guest's"), architecture="amd64")
    image = SimpleNamespace(packages=None)
    monkeypatch.setattr(Inputs, "archive", archive)
    monkeypatch.setattr(Building, "prepare", lambda stage, source: None)
    monkeypatch.setattr(Building, "build", lambda building, environment, patched: MADE)
    monkeypatch.setattr(Inputs, "control", lambda stage, source: source.files[:1])
    monkeypatch.setattr(Proving, "prepare_guest", lambda proving: image)
    monkeypatch.setattr(Proving, "smoke", lambda stage, *_: SMOKED)


def test_the_run_s_own_packages_are_proven_as_its_report_has_them(
    run: Path, asked: Request, tmp_path: Path
) -> None:
    before = report_reader.read(run)
    single_stage.prove_only(asked, run, None, tmp_path / "proven")
    after = report_reader.read(tmp_path / "proven")
    assert after.built == report.moved(before, run, tmp_path / "proven").built
    assert after.built and after.built.debs[0].path.read_bytes()
    assert after.smoke == SMOKED


def test_the_archives_of_both_parts_are_reported(run: Path, asked: Request, tmp_path: Path) -> None:
    proven = single_stage.prove_only(asked, run, None, tmp_path / "proven")
    built = single_stage.build_only(asked, run, tmp_path / "built")
    for done in (proven, built):
        assert done.archives == ("source's", "root's", "guest's")


def test_a_package_that_was_changed_meanwhile_is_refused(
    run: Path, asked: Request, tmp_path: Path
) -> None:
    (deb,) = (run / "debs").glob("*.deb")
    deb.write_bytes(deb.read_bytes() + b"\n")
    with pytest.raises(FetchError, match="has changed since its run") as caught:
        single_stage.prove_only(asked, run, None, tmp_path / "proven")
    assert str(deb) in caught.value.brief and "respin build" in caught.value.hint
    assert not (tmp_path / "proven").exists()
