# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A run by the command line for each row of docs/facts.md, from archives of the tests' own.

v4.10 and the wrong order of 7a04dd84 are run in test_own_archive.py, 6.1.0-3 as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import cli, proof, rows, world
from support.archive import Archive
from support.packages import make_deb

pytestmark = [pytest.mark.e2e, pytest.mark.needs("spatch")]

NUM, OFFS, NAME = rows.FUNCTIONS
LOAD = "bpf_do_load"
Site = tuple[str, str, str]

TAKES = "takes symbols of type STT_NOTYPE and STT_OBJECT"
NOT_THERE = "no file of this source defines {}"
NOT_BUILT_WITH: Site = (
    "absent",
    "",
    "the package is not built with it: libbpf-dev is not a build dependency",
)
OLDER: Site = ("absent", "", "built with libbpf-dev 0.3, which is older than 1.0")


def absent(function: str) -> Site:
    """Return what is said of a function that no file has."""
    return ("absent", "", NOT_THERE.format(function))


def takes(file: str) -> dict[str, Site]:
    """Return what is said of three functions in a file that has the fix."""
    return {function: ("fixed", file, TAKES) for function in rows.FUNCTIONS}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A version, how its source is made, and what is right."""

    rows: tuple[str, ...]
    right: dict[str, Site]
    libbpf: bool = False


NOTHING = {function: absent(function) for function in rows.FUNCTIONS}
NOT_NEEDED = {
    # v4.0-4.4: no function looks at the symbols of maps.
    ("bookworm", "4.3.0-1"): Case(rows=("v4.0",), right={**NOTHING, LOAD: NOT_BUILT_WITH}),
    # v4.20-5.10, and Debian's 5.10.0, which has v5.11's loader by a patch.
    ("bookworm", "5.9.0-1"): Case(rows=("v4.20",), right={**takes(rows.OLD), LOAD: NOT_BUILT_WITH}),
    ("bullseye", "5.10.0-4"): Case(
        rows=("v4.20", "v5.11"), right={**takes(rows.NEW), LOAD: OLDER}, libbpf=True
    ),
    # v5.11 on: libbpf below 1.0, and none. From 1.0: Debian's 6.1.0-3.
    ("bullseye", "5.15.0-1"): Case(
        rows=("v5.11",), right={**takes(rows.NEW), LOAD: OLDER}, libbpf=True
    ),
    ("bookworm", "5.18.0-1"): Case(
        rows=("v5.11",), right={**takes(rows.NEW), LOAD: NOT_BUILT_WITH}
    ),
}
ALONE = "4.9.0-1"
"""v4.5-4.9, with one function."""
THEN = ("tc", "classid", "egress", "action", "batch")
LATER = ("xdp", "lwt-xmit", "lwt-in", "lwt-out")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Two archives, and the cache of their runs."""

    archives: dict[str, Archive]
    cache: Path

    def run(self, release: str, version: str, out: Path, *more: str) -> dict[str, Any]:
        """Call ``respin run``; return its report."""
        archive = self.archives[release]
        given = ("--mirror", archive.url, "--keyring", str(archive.keyring), "--out", str(out))
        words = ("run", "--release", release, "--version", version, *given, "--json", *more)
        return proof.told(cli.respin(*words, cache=self.cache))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("rows")
    with (
        world.signer("today") as signer,
        Archive(directory / "bookworm", signer) as bookworm,
        Archive(directory / "bullseye", signer, suite="bullseye") as bullseye,
    ):
        archives = {"bookworm": bookworm, "bullseye": bullseye}
        for (release, version), case in NOT_NEEDED.items():
            dsc = rows.source(directory / version, version, *case.rows, libbpf=case.libbpf)
            archives[release].add_source(dsc)
        bookworm.add_source(rows.source(directory / ALONE, ALONE, "v4.5"))
        world.stock(bookworm, "bookworm")
        bullseye.add_deb(make_deb(directory, "libbpf-dev", "1:0.3-2", architecture="amd64"))
        for archive in archives.values():
            archive.publish()
        yield Place(archives=archives, cache=world.cache(directory / "cache"))


@pytest.mark.parametrize(("release", "version"), NOT_NEEDED)
def test_a_row_that_needs_nothing(place: Place, tmp_path: Path, release: str, version: str) -> None:
    report = place.run(release, version, tmp_path / "out")
    assert (report["outcome"], report["source"]["version"]) == ("not-needed", version)
    assert report["built"] is report["patched"] is report["smoke"] is None
    assert proof.sites(report) == NOT_NEEDED[release, version].right


def test_the_row_of_one_function(place: Place, tmp_path: Path) -> None:
    """v4.5-4.9: its own words before, fixed by a patch of that one function."""
    report = place.run("bookworm", ALONE, tmp_path / "out", "--case", "pinned-hash")
    one_function_is_fixed(report)


def one_function_is_fixed(report: dict[str, Any]) -> None:
    """Hold what the report of that run has to say."""
    assert report["outcome"] == "fixed"
    assert report["patched"]["version"] == report["built"]["version"] == f"{ALONE}+bpf1"
    # tc of then knew neither XDP (v4.12) nor tunnels of this kind (v4.10).
    assert proof.cells(report) == {
        **{("pinned-hash", way): ("refused", "loads") for way in THEN},
        **{("pinned-hash", way): ("not-possible", "not-possible") for way in LATER},
    }
    assert proof.sites(report) == {
        NUM: absent(NUM),
        OFFS: absent(OFFS),
        NAME: (
            "needed",
            rows.OLDEST,
            "passes over every symbol whose type is not STT_NOTYPE",
        ),
        LOAD: NOT_BUILT_WITH,
    }
    said = [c["before"]["output"] for c in report["smoke"]["cases"] if c["way"] in THEN]
    assert len(said) == len(THEN)
    for words in said:
        assert "Error loading maps into kernel!" in words
        assert "0 maps not supported" not in words
