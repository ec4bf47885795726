"""A whole run for each version that an archive has or had: fetch to proof, by the command line.

Two releases, three pockets, several versions, some superseded. Debian's lives, and snapshot
has what it had; Ubuntu's is past its end: its archive is frozen, the key that signed it has
expired, and Launchpad has what it had.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support import cli, defect, real, world
from support.archive import Archive, Signer
from support.packages import make_source
from support.services import Service, launchpad, snapshot

from pipeline.data import data_path

GOLDEN = Path(__file__).parents[1] / "golden/fixes"
SCHEMA = json.loads(data_path("templates", "report.schema.json").read_text())
LONG_AGO = datetime(2020, 6, 1, tzinfo=UTC)

SUPERSEDED, RELEASED, MENDED, ODD = "6.1.0-2", real.VERSION, "6.1.0-4", "6.1.0-5"
ONE = ("--case", "pinned-hash")
UBUNTUS, UBUNTU, UBUNTUS_MENDED = "6.1.0-1ubuntu1", "6.1.0-1ubuntu2", "6.1.0-1ubuntu2.1"


@dataclass(frozen=True, kw_only=True)
class World:
    """What the tests ask of."""

    folder: Path
    cache: Path
    config: Path
    debian: Archive
    accepted: str
    """SHA-256 of the .dsc for which only its hash can vouch."""
    old_key: str

    def respin(self, *args: str | Path, out: Path) -> cli.Said:
        """Call ``respin run`` for one of the two releases."""
        here = () if "bionic" in args else ("--mirror", self.debian.url)
        keys = () if "bionic" in args else ("--keyring", self.debian.keyring)
        return cli.respin(
            *("run", *args, *here, *keys, "--json", "--out", out),
            cache=self.cache,
            config=self.config,
        )


def small(folder: Path, version: str, case: str) -> Path:
    """Make a source that is never built: the loader of a golden case."""
    tree = GOLDEN / case / "in"
    files = {str(p.relative_to(tree)): p.read_text() for p in tree.rglob("*.[ch]")}
    return make_source(folder / version, version=version, files=files)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with (
        Signer("today") as today,
        Signer("old", expired=True) as old,
        Archive(folder / "debian", today) as debian,
        Archive(folder / "ubuntu", old, suite="bionic") as ubuntu,
        Service() as service,
    ):
        debian.add_source(real.dsc())
        debian.add_source(small(folder, MENDED, "v4.20-fixed"), suite="bookworm-updates")
        debian.add_source(small(folder, ODD, "unknown-second-test"), suite="bookworm-security")
        world.stock(debian, "bookworm")
        debian.publish()
        then_source = defect.renumbered(folder / "then", SUPERSEDED)
        with Archive(folder / "then-archive", today, suite="sid") as then:
            then.add_source(then_source)
            then.publish(date=LONG_AGO)
            snapshot(service, then_source, SUPERSEDED, archive=then)

        ubuntu.add_source(small(folder, UBUNTU, "unknown-second-test"))
        ubuntu.add_source(small(folder, UBUNTUS_MENDED, "v4.20-fixed"), suite="bionic-updates")
        world.stock(ubuntu, "bionic")
        ubuntu.publish(date=LONG_AGO)
        old_source = defect.stt_object(folder / "launchpad", UBUNTUS)
        launchpad(service, old_source, UBUNTUS, series="bionic", pages=2)

        config = folder / "respin.toml"
        config.write_text(
            f'[archives]\nsnapshot = "{service.url}"\nlaunchpad = "{service.url}"\n'
            'debian-old = ""\ndebian-security-old = ""\nubuntu-old = ""\n'
            f'[release.bionic]\nuris = ["{ubuntu.url}"]\ncomponents = ["main"]\nfrozen = true\n'
            f'keyring = "{ubuntu.keyring}"\nkernel = "{world.KERNEL}"\n'
        )
        yield World(
            folder=folder,
            cache=world.cache(folder / "cache"),
            config=config,
            debian=debian,
            accepted=hashlib.sha256(old_source.read_bytes()).hexdigest(),
            old_key=old.fingerprint,
        )


def told(said: cli.Said) -> dict[str, Any]:
    """Return the report of a run that came to an end."""
    assert said.status == 0, said.err
    report: dict[str, Any] = json.loads(said.out)
    jsonschema.validate(report, SCHEMA)
    return report


def proven(report: dict[str, Any], version: str) -> None:
    """Hold that a run built ``version``, and that the guest saw what it is for."""
    assert report["outcome"] == "fixed"
    assert report["patched"]["version"] == report["built"]["version"] == version
    for case, seen in cells(report).items():
        turned = case[0] in ("pinned-hash", "several-maps")
        assert seen == ("refused", "loads" if turned else "refused")
    assert cells(report)["pinned-hash", "tc"] == ("refused", "loads")


def cells(report: dict[str, Any]) -> dict[tuple[str, str], tuple[str, str]]:
    """Return what the guest saw of the cases of legacy maps: before and after."""
    return {
        (c["case"], c["way"]): (c["before"]["seen"], c["after"]["seen"])
        for c in report["smoke"]["cases"]
        if c["case"] in ("pinned-hash", "several-maps", "static-map")
    }


def test_what_the_release_has(made: World, tmp_path: Path) -> None:
    """The distro's own .deb fails, ours works; it is below what the other pockets have."""
    args = ("--release", "bookworm", "--version", RELEASED, *ONE)
    report = told(made.respin(*args, out=tmp_path / "out"))
    proven(report, f"{RELEASED}+bpf1")
    assert report["source"]["origin"] == f"bookworm at {made.debian.url}"
    assert [Path(f["path"]).name for f in report["control"]] == [f"iproute2_{RELEASED}_amd64.deb"]
    assert "listed in its InRelease" in report["control"][0]["verified"]
    assert not any("frozen" in line for line in report["archives"])


def test_what_the_release_had(made: World, tmp_path: Path) -> None:
    """Superseded: from snapshot, by the index of then; what it is held against is built here."""
    args = ("--release", "bookworm", "--version", SUPERSEDED, *ONE)
    report = told(made.respin(*args, out=tmp_path / "out"))
    proven(report, f"{SUPERSEDED}+bpf1")
    assert "debian of 20230103T000000Z at" in report["source"]["origin"]
    assert all("sid at" in f["verified"] for f in report["source"]["files"])
    assert all("built here" in f["verified"] for f in report["control"])


@pytest.mark.parametrize(
    ("args", "outcome"),
    [
        (("--release", "bookworm", "--pocket", "updates"), MENDED),
        (("--release", "bionic", "--pocket", "updates"), UBUNTUS_MENDED),
    ],
)
def test_what_needs_nothing(
    made: World, tmp_path: Path, args: tuple[str, ...], outcome: str
) -> None:
    report = told(made.respin(*args, out=tmp_path / "out"))
    assert (report["outcome"], report["source"]["version"]) == ("not-needed", outcome)
    assert report["built"] is report["patched"] is report["smoke"] is None


@pytest.mark.parametrize(
    "args", [("--release", "bookworm"), ("--release", "bionic", "--pocket", "release")]
)
def test_what_is_not_understood(made: World, tmp_path: Path, args: tuple[str, ...]) -> None:
    said = made.respin(*args, out=tmp_path / "out")
    assert said.status == 11 and said.out == ""
    assert "bpf_map_num_sym (lib/bpf.c:" in said.err
    assert not list(tmp_path.iterdir())


def test_what_ubuntu_had(made: World, tmp_path: Path) -> None:
    """The older defect; from Launchpad, in roots of a frozen archive whose key has expired."""
    args = ("--release", "bionic", "--version", UBUNTUS)
    said = made.respin(*args, out=tmp_path / "refused")
    assert said.status == 10
    assert f"--accept-unsigned-source {made.accepted}" in " ".join(said.err.split())
    accept = ("--accept-unsigned-source", made.accepted)
    report = told(made.respin(*args, *accept, out=tmp_path / "out"))
    proven(report, f"{UBUNTUS}bpf1")
    assert {f["fix"]: f["verdict"] for f in report["findings"]} == {
        "stt-object": "needed",
        "libbpf-legacy-maps": "absent",
    }
    assert "/+sourcepub/1" in report["source"]["origin"]
    assert "accepted by the user" in report["source"]["files"][0]["verified"]
    assert report["archives"]
    for line in report["archives"]:
        assert (
            f"the archive is frozen, so it was not held against it that the key {made.old_key}"
            in line
        )
    assert {"static-map", "several-maps"} <= {case for case, _ in cells(report)}
    for case in report["smoke"]["cases"]:
        if case["case"] == "pinned-hash":
            for words in (
                "0 maps not supported in current map section!",
                "Error fixing up map structure, incompatible struct bpf_elf_map used?",
                "Error fetching ELF ancillary data!",
            ):
                assert words in case["before"]["output"]
    assert "libbpf" not in report["smoke"]["after"]


def test_it_is_refused_while_the_archive_lives(made: World, tmp_path: Path) -> None:
    """The control: the same archive, not known to be frozen."""
    living = tmp_path / "respin.toml"
    living.write_text(made.config.read_text().replace("frozen = true\n", ""))
    said = cli.respin(
        *("run", "--release", "bionic", "--out", tmp_path / "out"),
        cache=made.cache,
        config=living,
    )
    assert said.status == 10
    assert "not signed by a key" in said.err
    assert not (tmp_path / "out").exists()
