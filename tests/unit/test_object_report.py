# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``respin object`` says of an object, and the definitions in .maps that it prints."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from pipeline.errors import UsageError
from pipeline.files.elf import Broken
from pipeline.smoke import as_btf, btf, object_report
from pipeline.smoke.bpf_object import Description, Function, MapSymbol


def legacy(name: str, *values: int) -> MapSymbol:
    return MapSymbol(name=name, section="maps", offset=0, local=False, typed=True, values=values)


def description(*maps: MapSymbol, **changes: Any) -> Description:
    fields: dict[str, Any] = {
        "sections": (("classifier", 8), ("maps", 36 * len(maps))),
        "programs": ("classifier",),
        "symbols": (),
        "struct": 36,
    }
    return Description(maps=maps, **(fields | changes))


def test_type_sizes_flags_and_pinning_are_printed() -> None:
    text = as_btf.source(description(legacy("counts", 1, 4, 8, 16, 1, 0, 2)), "x.o")
    assert text.endswith(
        "struct {\n"
        "\t__uint(type, BPF_MAP_TYPE_HASH);\n"
        "\t__uint(key_size, 4);\n"
        "\t__uint(value_size, 8);\n"
        "\t__uint(max_entries, 16);\n"
        "\t__uint(map_flags, 0x1);\n"
        "\t__uint(pinning, LIBBPF_PIN_BY_NAME);\n"
        '} counts SEC(".maps");\n'
    )
    text = as_btf.source(description(legacy("counts", 200, 4, 8, 16)), "x.o")
    assert "__uint(type, 200)" in text and "pinning" not in text and "map_flags" not in text
    assert "object" in as_btf.source(description(legacy("c", 1, 4, 8, 16, 0, 0, 1)), "x.o")


def test_a_map_of_maps_comes_after_what_it_holds() -> None:
    outer = legacy("outer", 12, 4, 4, 8, 0, 43, 2, 42)
    held = legacy("held", 2, 4, 8, 1, 0, 42, 2, 0, 3)
    not_held = legacy("other", 2, 4, 8, 1, 0, 42, 0, 0, 0xFFFFFFFF)
    text = as_btf.source(description(outer, held, not_held), "x.o")
    assert text.index("} held SEC") < text.index("} outer SEC")
    assert '} outer SEC(".maps") = { .values = { [3] = (void *)&held } };' in text
    with pytest.raises(UsageError, match="names no inner map"):
        as_btf.source(description(outer), "x.o")


def test_tail_calls_have_their_slots_and_the_commands_that_fill_them() -> None:
    hop = Function(name="hop", section="7/2", offset=0, local=False)
    jumps = legacy("jumps", 3, 4, 4, 8, 0, 7, 2)
    found = description(jumps, functions=(hop,), programs=("xdp", "7/2"))
    text = as_btf.source(found, "x.o")
    assert "int hop(struct xdp_md *);" in text
    assert "[2] = (void *)&hop" in text
    graft = "/* tc exec bpf graft m:globals/jumps key 2 object-file FILE type xdp section 7/2 */"
    assert graft in text
    assert "Put no program that calls these into the section xdp" in text
    text = as_btf.source(description(jumps, functions=(hop,)), "x.o")
    assert "object-file FILE section 7/2 */" in text and "section xdp" not in text
    assert "int hop(struct __sk_buff *);" in text


@pytest.mark.parametrize("name", ["", "a b", "x;int y", "x */", "1x", "é"])
def test_no_name_can_add_to_the_source(name: str) -> None:
    with pytest.raises(UsageError, match="a name that C does not know"):
        as_btf.source(description(legacy(name, 1, 4, 8, 1)), "x.o")


def test_the_files_name_cannot_end_the_comment() -> None:
    text = as_btf.source(description(legacy("a", 1, 4, 8, 1)), 'x */ int evil;\n"')
    assert text.splitlines()[0].count("*/") == 1
    assert text.splitlines()[0].endswith("*/")


def test_an_object_without_legacy_maps() -> None:
    with pytest.raises(UsageError, match="has no legacy map"):
        as_btf.source(description(), "x.o")


# -- BTF ----------------------------------------------------------------------------------------

NAMES = b"\0.maps\0m\0type\0key\0value\0max_entries\0values\0"


def at(name: str) -> int:
    return NAMES.index(b"\0" + name.encode() + b"\0") + 1


def made(*types: bytes, strings: bytes = NAMES) -> bytes:
    body = b"".join(types)
    head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(body), len(body), len(strings))
    return head + body + strings


def a_type(kind: int, size: int, *data: int, name: int = 0, members: int = 0) -> bytes:
    more = struct.pack(f"<{len(data)}I", *data)
    return struct.pack("<III", name, kind << 24 | members, size) + more


INT, U64 = a_type(1, 4, 32), a_type(1, 8, 64)  # 1, 2


def a_map() -> bytes:
    """Return the BTF of an array with a u32 key, an array of three u64 as value, and a number."""
    members = [at("type"), 5, 0, at("key"), 6, 0, at("value"), 8, 0, at("values"), 6, 0]
    return made(
        *(INT, U64),
        a_type(3, 0, 1, 1, 2),  # 3: int[2]
        a_type(3, 0, 2, 1, 3),  # 4: u64[3]
        a_type(2, 3),  # 5: int (*)[2]
        a_type(2, 9),  # 6: const int *
        a_type(4, 32, *members, members=4),  # 7: the definition
        a_type(2, 4),  # 8: u64 (*)[3]
        a_type(10, 1),  # 9: const int
        a_type(14, 7, 1, name=at("m")),  # 10: m
        a_type(15, 32, 10, 0, 32, name=at(".maps"), members=1),
    )


def test_the_fields_of_a_map_in_btf() -> None:
    assert btf.maps(a_map(), little=True) == {
        "m": {"type": 2, "key_size": 4, "value_size": 24, "values": 1}
    }


def test_btf_cut_off_anywhere_or_turned_round_is_refused_or_read() -> None:
    data = a_map()
    for size in range(len(data)):
        try:
            btf.maps(data[:size], little=True)
        except Broken:
            continue
    for n in range(len(data)):
        for byte in (0, 1, 0x7F, 0xFF):
            try:
                btf.maps(data[:n] + bytes([byte]) + data[n + 1 :], little=True)
            except Broken:
                continue
    with pytest.raises(Broken):
        btf.maps(data, little=False)
    with pytest.raises(Broken):
        btf.maps(data[:40], little=True)


def test_a_type_that_names_itself_comes_to_an_end() -> None:
    loop = made(
        a_type(8, 1),  # 1: a typedef of itself
        a_type(14, 1, 1, name=at("m")),
        a_type(15, 32, 2, 0, 32, name=at(".maps"), members=1),
    )
    with pytest.raises(Broken, match="named too often"):
        btf.maps(loop, little=True)


# -- the report ---------------------------------------------------------------------------------


def test_each_limit_is_listed_once_with_its_loaders() -> None:
    sections = (("classifier", 8), ("tc", 8), ("maps", 36))
    found = description(legacy("m", 2, 4, 8, 1), sections=sections, programs=("classifier", "tc"))
    listed = object_report._limits(found)
    (dropped,) = [each for each in listed if "legacy maps" in each["what"]]
    assert dropped["loaders"] == ["libbpf-1"]
    assert dropped["programs"] == ["classifier", "tc"]
    assert set(object_report.titles()) >= {name for each in listed for name in each["loaders"]}
