# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Several architectures in one run: what is done once, what each has, and one that fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import cli, packages, standin
from support.filled import filled

from pipeline import run
from pipeline.archives import host_apt
from pipeline.errors import (
    BuildError,
    PatchError,
    RespinError,
    UsageError,
)
from pipeline.files import bounded
from pipeline.host.cache import Cache
from pipeline.isolation import namespaces
from pipeline.model import Built, Finding, Patched, Release, Verdict
from pipeline.runs import architectures, lockfile_reader
from pipeline.runs.building import Building
from pipeline.runs.inputs import Inputs
from pipeline.runs.patching import Patching
from pipeline.runs.proving import Proving
from pipeline.runs.report import Report
from pipeline.runs.request import Request
from pipeline.smoke import possible

RELEASE = Release(distro="debian", codename="bookworm", version="12")
BOTH = ("amd64", "s390x")
FIX = SimpleNamespace(name="a-fix", directory=Path("/nowhere"), own=False)


@pytest.fixture
def asked(tmp_path: Path) -> Request:
    dsc = packages.make_source(tmp_path / "made")
    fixes: tuple[object, ...] = (FIX,)
    return Request(release=RELEASE, fixes=fixes, cache=Cache(tmp_path / "cache"), dsc=dsc)  # type: ignore[arg-type]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Do the stages without archive, container and guest; return what is called, as it is."""
    made: list[str] = []
    real = Inputs.fetch

    def fetch(inputs: Inputs) -> object:
        made.append("fetch")
        return real(inputs)

    def diagnose(patching: Patching, tree: Path) -> tuple[Finding, ...]:
        made.append("diagnose")
        return (filled(Finding, fix=FIX.name, verdict=Verdict.NEEDED),)

    def patch(patching: Patching, source: object, tree: Path, needed: object) -> Patched:
        made.append("patch")
        place = patching._context.directory.path / "patched"
        place.mkdir()
        (place / "new.dsc").write_text("the patched source\n")
        return filled(Patched, source=source, dsc=place / "new.dsc", patches=())

    def build(
        building: Building, environment: object, patched: Patched, *, keep: bool = False
    ) -> Built:
        name = building._context.request.target
        made.append(f"build {name} {patched.dsc.read_text().strip()}")
        if name == "s390x":
            raise BuildError("the cross build failed")
        return filled(Built, version="6.1.0-3+bpf1", container="unshare", root=())

    def prepare(building: Building, source: object) -> object:
        return SimpleNamespace(root=SimpleNamespace(packages=()))

    archive = SimpleNamespace(trust=lambda: ("an index",), architecture="amd64")
    image = SimpleNamespace(packages=None)
    for stage, name, does in (
        (Inputs, "fetch", fetch),
        (Patching, "patch", patch),
        (Building, "build", build),
        (Building, "prepare", prepare),
        (Inputs, "check_sandbox", lambda *_: None),
        (Inputs, "check_architecture", lambda *_: None),
        (Inputs, "tree", lambda *_: Path("/nowhere")),
        (Inputs, "distro_package", lambda _, source: source.files[:1]),
        (Inputs, "trust", lambda _: ("an index",)),
        (Patching, "check_coccinelle", lambda *_: None),
        (Patching, "diagnose", diagnose),
        (Patching, "check", lambda *_: made.append("check")),
        (Patching, "check_version", lambda *_: None),
        (Building, "check_engine", lambda *_: None),
        (Building, "written", lambda *_: ()),
        (Building, "stop", lambda *_: ""),
        (Building, "keep_ccache", lambda *_: None),
        (Proving, "check_possible", lambda *_: None),
        (Proving, "prepare_guest", lambda *_: image),
        (Proving, "smoke", lambda _, image, before, built, *__: built.result() and SMOKED),
    ):
        monkeypatch.setattr(stage, name, does)
    monkeypatch.setattr(Inputs, "archive", archive)
    return made


SMOKED = standin.smoked()


def files(directory: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(directory.iterdir())}


def test_one_that_fails_holds_up_no_other(asked: Request, calls: list[str], tmp_path: Path) -> None:
    """The source is fetched, diagnosed and patched once, and the patched one is checked once."""
    out = tmp_path / "out"
    found = run.run_each(asked, BOTH, out)
    assert list(found) == list(BOTH)
    amd64, s390x = found.values()
    assert isinstance(amd64, Report) and amd64.architecture == "amd64"
    assert isinstance(s390x, BuildError) and s390x.brief == "the cross build failed"
    assert sorted(calls) == [
        *("build amd64 the patched source", "build s390x the patched source"),
        *("check", "diagnose", "fetch", "patch"),
    ]
    assert [p.name for p in out.iterdir()] == ["amd64"]
    written = json.loads((out / "amd64/report.json").read_text())
    assert (written["architecture"], written["outcome"]) == ("amd64", "fixed")
    assert written["patched"]["dsc"] == "patched/new.dsc"
    assert (out / "amd64/patched/new.dsc").exists()
    assert lockfile_reader.read(out / "amd64/respin.lock").architecture == "amd64"
    assert asked.dsc
    assert files(out / "amd64/source").keys() >= {asked.dsc.name}
    assert files(out / "amd64/source")[asked.dsc.name] == asked.dsc.read_bytes()
    assert not list(asked.cache.directory("work").iterdir())


def test_each_that_does_not_fail_is_whole(asked: Request, calls: list[str], tmp_path: Path) -> None:
    names = ("amd64", "arm64", "riscv64")
    found = run.run_each(asked, names, tmp_path / "out")
    assert all(isinstance(done, Report) for done in found.values())
    first, *others = (files(tmp_path / "out" / name / "source") for name in names)
    assert others == [first, first]
    reports = [json.loads((tmp_path / "out" / n / "report.json").read_text()) for n in names]
    assert [r["architecture"] for r in reports] == list(names)


def test_a_patched_source_that_is_not_sound_proves_nothing(
    asked: Request, calls: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PatchError("the patched source still needs a-fix")

    monkeypatch.setattr(Patching, "check", refuse)
    found = run.run_each(asked, ("amd64", "arm64"), tmp_path / "out")
    assert all(isinstance(done, PatchError) for done in found.values())
    assert not any((tmp_path / "out" / name).exists() for name in found)


def test_a_source_that_cannot_be_fetched_ends_all(
    asked: Request, calls: list[str], tmp_path: Path
) -> None:
    lost = replace(asked, dsc=tmp_path / "nothing.dsc")
    with pytest.raises(RespinError, match=r"nothing\.dsc"):
        run.run_each(lost, BOTH, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_directory_that_is_not_ours_ends_all_before_anything(
    asked: Request, calls: list[str], tmp_path: Path
) -> None:
    (tmp_path / "out/s390x").mkdir(parents=True)
    (tmp_path / "out/s390x/mine").touch()
    with pytest.raises(UsageError, match="s390x exists and is not a directory that respin wrote"):
        run.run_each(asked, BOTH, tmp_path / "out")
    assert calls == []


def test_one_run_and_several_do_not_share_a_directory(
    asked: Request, calls: list[str], tmp_path: Path
) -> None:
    run.run_each(asked, ("amd64", "arm64"), tmp_path / "several")
    with pytest.raises(UsageError, match="several holds the runs of several architectures"):
        run.run(asked, tmp_path / "several")
    run.run_each(asked, ("amd64", "arm64"), tmp_path / "several")  # replaced one by one
    run.run(asked, tmp_path / "one")
    del calls[:]
    with pytest.raises(UsageError, match="one is the directory of one run"):
        run.run_each(asked, ("amd64", "arm64"), tmp_path / "one")
    assert calls == []


def test_no_guest_needs_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of its root runs here, so that another architecture can be proven without them."""
    closed = BuildError("this user cannot create namespaces here", hint="open them")
    for name in ("qemu", "compiling", "guest_programs"):
        monkeypatch.setattr(possible, name, SimpleNamespace(check=lambda machine: None))
    monkeypatch.setattr(namespaces, "trouble", lambda: closed)
    for architecture in ("amd64", "s390x"):
        possible.check(architecture)


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        ("amd63", "dpkg knows no architecture 'amd63'", "did you mean amd64"),
        ("zzz", "dpkg knows no architecture 'zzz'", "choose one of amd64, "),
        ("-L", "dpkg knows no architecture '-L'", "choose one of amd64, "),
    ],
)
def test_a_name_that_dpkg_does_not_know(asked: Request, name: str, said: str, hint: str) -> None:
    with pytest.raises(UsageError, match=said) as e:
        architectures.choose(asked, ("amd64", name))
    assert hint in e.value.hint and e.value.exit_code == 2


def test_what_all_stands_for(asked: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the release that respin knows, this machine's first, each once.

    Some may be in another archive of the distro.
    """
    there = ("amd64", "arm64", "armel", "mips64el", "s390x")
    archive = SimpleNamespace(architectures=there, sources=("main",))
    ports = SimpleNamespace(architectures=("armhf", "riscv64"), sources=("ports",))
    ports.check_architecture = lambda: None

    def archive_of(request: Request) -> object:
        return ports if request.architecture in ("armhf", "ppc64el") else archive

    monkeypatch.setattr(architectures, "archive_of", archive_of)
    monkeypatch.setattr(host_apt, "architecture", lambda: "arm64")
    found = architectures.choose(asked, ("s390x", "all", "s390x"))
    assert found == ("arm64", "s390x", "amd64", "armhf")
    assert architectures.choose(asked, ()) == ()


def test_a_container_that_can_build_for_one_only(tmp_path: Path) -> None:
    names = ("--architecture", "amd64", "--architecture", "arm64")
    said = cli.respin("run", *names, "--container", "host", "--out", tmp_path / "out")
    assert said.status == 2 and "builds for one architecture at a time" in said.err


def test_a_copy_that_fails_stops_only_its_own(
    asked: Request, calls: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = bounded.copy_tree

    def full(source: Path, target: Path, largest: int) -> None:
        if "arm64" in str(target):
            raise OSError(28, "No space left on device")
        real(source, target, largest)

    monkeypatch.setattr(bounded, "copy_tree", full)
    found = run.run_each(asked, ("amd64", "arm64"), tmp_path / "out")
    assert isinstance(found["amd64"], Report)
    assert "No space left on device" in str(found["arm64"])


def test_the_command_says_it_of_each(tmp_path: Path) -> None:
    said = cli.respin("run", "--architecture", "sparc", "--out", tmp_path / "out")
    assert said.status == 2 and "has no packages for sparc" in said.err
    assert not (tmp_path / "out").exists()
