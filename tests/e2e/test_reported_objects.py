# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects in the shape of users' reports, in one boot: each loads, or its true cause is named."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support import breakages, cli, real, userobjects

from pipeline.host.resources import package_data

SCHEMA = json.loads(package_data("pipeline.smoke", "smoke.schema.json").read_text())

COUNTS = (
    *("plain", "function-with-map", "global-function-with-map", "function-without-map"),
    *("function-uncalled", "printk", "printk-without-data"),
)
LOADS = ("static-program", "two-programs", "btf-map")
REFUSED = {
    "static-map": "packets is static",
    "near-miss": "section .map, which no loader",
    "outer": "outer has no inner_id",
    "btf-map-without-btf": "no BTF to describe them",
    "packet-load": "LD_ABS",
    "stripped": "symbol table was stripped",
    "several-sections": "3 sections named maps",
    "big-endian": "big-endian machines",
}
UNCHECKED = "value-unchecked"


@pytest.fixture(scope="module")
def distro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return Debian's own .deb."""
    return real.archive().fetch_binary("iproute2", None, tmp_path_factory.mktemp("deb")).path


@pytest.fixture(scope="module")
def fixed(distro: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same with the fixed programs."""
    return breakages.sound_deb(distro, tmp_path_factory.mktemp("fixed"))


@pytest.fixture(scope="module")
def said(distro: Path, fixed: Path, tmp_path_factory: pytest.TempPathFactory) -> cli.Said:
    """Measure them all, once."""
    directory = tmp_path_factory.mktemp("objects")
    argv: list[str | Path] = ["smoke", "--deb", fixed, "--against", distro, "--json"]
    for name in (*LOADS, *REFUSED, UNCHECKED):
        argv += ["--object", userobjects.make(name, directory)]
    return cli.respin(*argv, "--release", "bookworm", cache=real.cache().root)


@pytest.fixture(scope="module")
def rows(said: cli.Said) -> dict[str, dict[str, Any]]:
    """Return the rows by the object's name."""
    report = json.loads(said.out)
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    return {row["case"].removesuffix(".o"): row for row in report["reports"][0]["cases"]}


@pytest.mark.parametrize("name", LOADS)
def test_it_loads_and_no_limit_is_named(rows: dict[str, dict[str, Any]], name: str) -> None:
    assert (rows[name]["after"]["seen"], rows[name]["limits"]) == ("loads", [])
    before = "loads" if name == "btf-map" else "refused"
    assert rows[name]["before"]["seen"] == before


def test_it_loads_and_counts_and_no_limit_is_named(
    distro: Path, fixed: Path, tmp_path: Path
) -> None:
    argv: list[str | Path] = ["smoke", "--deb", fixed, "--against", distro, "--json"]
    argv += ["--expect", "received=7", "--expect", "map:packets[0]=7"]
    for name in COUNTS:
        argv += ["--object", userobjects.make(name, tmp_path)]
    done = cli.respin(*argv, "--release", "bookworm", cache=real.cache().root)
    assert done.status == 0, done.err
    found = json.loads(done.out)["reports"][0]["cases"]
    assert [row["case"] for row in found] == [f"{name}.o" for name in COUNTS]
    for row in found:
        assert (row["before"]["seen"], row["after"]["seen"]) == ("refused", "loads")
        assert (row["after"]["maps"], row["limits"]) == ({"packets[0]": 7}, [])


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_and_its_cause_is_named(rows: dict[str, dict[str, Any]], name: str) -> None:
    row = rows[name]
    assert row["after"]["seen"] == "refused"
    assert len(row["limits"]) == 1, row["after"]["output"]
    assert REFUSED[name] in row["limits"][0]


def test_the_program_that_fits_is_taken(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["two-programs"]["title"].endswith("section classifier")


def test_the_verifiers_log_is_in_the_report_and_its_end_on_the_terminal(
    said: cli.Said, rows: dict[str, dict[str, Any]]
) -> None:
    cell = rows[UNCHECKED]["after"]
    assert cell["seen"] == "refused"
    assert "R0 invalid mem access" in cell["verifier"]
    assert "R0 invalid mem access" in said.err
    assert rows["static-map"]["after"]["verifier"] == ""
    assert "0 maps not supported in current map section!" in said.err


def test_a_refusal_is_the_exit_status(said: cli.Said) -> None:
    assert said.status == 14


def frame(kind: bytes, size: int) -> bytes:
    """Return a frame from respin1 to respin0 with as many bytes of nothing."""
    header = bytes.fromhex("020000000064020000000065")
    ip = bytes.fromhex("4500001c00000000401100000a4d00020a4d0001")
    return header + kind + ip + bytes(size)


def test_objects_loaded_together_meet_each_others_pins(fixed: Path, tmp_path: Path) -> None:
    """Two IPv4 frames and one of ARP are sent; the first object counts, the second is refused."""
    frames = (frame(b"\x08\0", 8), frame(b"\x08\0", 80), frame(b"\x08\x06", 8))
    capture = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for each in frames:
        capture += struct.pack("<IIII", 1, 0, len(each), len(each)) + each
    (tmp_path / "three.pcap").write_bytes(capture)
    first, second = (userobjects.make(name, tmp_path) for name in ("plain", "wide-key"))
    done = cli.respin(
        *("smoke", "--deb", fixed, "--release", "bookworm", "--json", "--together"),
        *("--object", first, "--object", second, "--send", tmp_path / "three.pcap"),
        *("--expect", "received=2", "--expect", "map:packets[0]=2"),
        cache=real.cache().root,
    )
    one, other = json.loads(done.out)["reports"][0]["cases"]
    assert one["before"]["seen"] == "loads", done.err
    assert (one["before"]["sent"], one["before"]["received"]) == (3, 2)
    assert one["before"]["maps"] == {"packets[0]": 2}
    assert other["before"]["seen"] == "refused"
    assert other["title"].endswith("(after plain.o)")
    (cause,) = other["limits"]
    assert "is pinned already, and differs from the object's: packets" in cause
    assert done.status == 14
