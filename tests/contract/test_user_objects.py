# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects in the shape of users' reports, as clang makes them: which loader refuses each, and why.

That tc says so too is shown by tests/e2e/test_reported_objects.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from support import cli, userobjects
from support.filled import filled

from pipeline.host.resources import package_data
from pipeline.model import Cell, Seen
from pipeline.smoke import matrix, object_report, results
from pipeline.smoke.bpf_object import read
from pipeline.smoke.cases import loader_of
from pipeline.smoke.limits import limits
from pipeline.smoke.loader_limit import EARLIER_FIX, Target
from pipeline.smoke.matrix import KernelFacts
from pipeline.smoke.user_object import UserObject, user_section
from pipeline.smoke.verdict import Tc

SCHEMA = json.loads(package_data("pipeline.smoke", "object.schema.json").read_text())
ALL = ("libbpf-1", "libbpf-1-fixed", EARLIER_FIX, "own", "libbpf-0")
LEGACY = {"libbpf-1": "legacy maps"}
TEXT = "functions in .text that use no map"
OWN_ONLY = dict.fromkeys(("own", EARLIER_FIX))

RIGHT: dict[str, dict[str, str]] = {
    "plain": LEGACY,
    "function-with-map": LEGACY,
    "global-function-with-map": LEGACY,
    "function-without-map": LEGACY | dict.fromkeys(OWN_ONLY, TEXT),
    "function-uncalled": LEGACY | dict.fromkeys(OWN_ONLY, TEXT),
    "printk": LEGACY | dict.fromkeys(OWN_ONLY, "variables in .rodata"),
    "printk-without-data": LEGACY,
    "static-program": dict.fromkeys(("libbpf-1", EARLIER_FIX), "count_all is static"),
    "static-map": dict.fromkeys(ALL, "packets is static"),
    "near-miss": dict.fromkeys(ALL, "section .map, which no loader"),
    "wide-key": LEGACY,
    "outer": dict.fromkeys(ALL, "outer has no inner_id"),
    "btf-map": {"own": "only libbpf loads"},
    "btf-map-without-btf": dict.fromkeys(ALL, "no BTF") | {"own": "only libbpf loads"},
    "packet-load": dict.fromkeys(ALL, "LD_ABS"),
    "two-programs": LEGACY,
    "stripped": dict.fromkeys(ALL, "symbol table was stripped"),
    "several-sections": dict.fromkeys(ALL, "3 sections named maps"),
}


@pytest.mark.needs("clang")
@pytest.mark.parametrize("name", RIGHT)
def test_an_objects_limits(name: str, tmp_path: Path) -> None:
    path = userobjects.make(name, tmp_path)
    way = "xdp" if name == "several-sections" else "tc"
    section = user_section(UserObject(path=path, way=way))
    found = read(path)
    for loader in ALL:
        to = Target(loader=loader, version="6.1.0-3", section=section, kind=way, little=True)
        told = " | ".join(limit.what for limit in limits(found, to) if limit.certain)
        assert RIGHT[name].get(loader, "") in told, loader
        assert bool(told) == (loader in RIGHT[name]), (loader, told)


@pytest.mark.needs("clang")
def test_the_other_byte_order_is_read(tmp_path: Path) -> None:
    found = read(userobjects.make("big-endian", tmp_path))
    assert not found.little
    assert [m.values for m in found.maps] == [(1, 4, 8, 4, 0, 0, 2, 0, 0)]
    assert {r.target for r in found.references} == {"maps"}
    to = Target(loader="own", version="6.1.0-3", section="classifier", kind="tc", little=True)
    assert "big-endian" in limits(found, to)[0].what


@pytest.mark.needs("clang")
@pytest.mark.parametrize("name", RIGHT)
def test_the_report_is_what_its_schema_says(name: str, tmp_path: Path) -> None:
    report = object_report.examine(userobjects.make(name, tmp_path))
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(report)))
    told = {loader for limit in report["limits"] if limit["certain"] for loader in limit["loaders"]}
    if name != "several-sections":
        assert told - {"own-notype"} == set(RIGHT[name])


@pytest.mark.needs("clang")
def test_the_fields_of_both_kinds_of_maps(tmp_path: Path) -> None:
    (legacy,) = object_report.examine(userobjects.make("wide-key", tmp_path))["maps"]
    (defined,) = object_report.examine(userobjects.make("btf-map", tmp_path))["maps"]
    names = ("name", "section", "type_name", "key_size", "value_size", "max_entries", "pinning")
    assert [legacy[n] for n in names] == ["packets", "maps", "HASH", 8, 8, 4, "global"]
    assert [defined[n] for n in names] == ["packets", ".maps", "ARRAY", 4, 8, 1, "none"]
    (unknown,) = object_report.examine(userobjects.make("btf-map-without-btf", tmp_path))["maps"]
    assert unknown["type"] is None


@pytest.mark.needs("clang")
def test_the_command(tmp_path: Path) -> None:
    path = userobjects.make("printk", tmp_path)
    table = cli.respin("object", path)
    assert table.status == 0, table.err
    assert "packets  maps     HASH" in table.out
    assert "-DBPF_NO_GLOBAL_DATA" in table.out
    printed = cli.respin("object", "--as-btf", path)
    assert '} packets SEC(".maps");' in printed.out
    as_json = cli.respin("object", "--json", path)
    assert json.loads(as_json.out) == object_report.examine(path)
    both = cli.respin("object", "--json", "--as-btf", path)
    assert (both.status, both.out) == (2, "")


@pytest.mark.needs("clang")
@pytest.mark.parametrize("little", [True, False])
def test_the_byte_order_is_that_of_the_machine_it_is_tested_on(
    little: bool, tmp_path: Path
) -> None:
    """A big-endian object is right on an emulated s390x, whatever this machine is."""
    path = userobjects.make("big-endian", tmp_path)
    (row,) = matrix.object_rows(
        [UserObject(path=path)], kernel=KernelFacts(version="6.1"), home="/"
    )
    cell = filled(Cell, seen=Seen.REFUSED, output="ELF endianness mismatch")
    tc = Tc(text="", version="6.1.0-3", loader=loader_of("own", "6.1.0-3"))
    told = " ".join(results._limits(row, cell, tc, little=little))
    assert ("big-endian" in told) is little
