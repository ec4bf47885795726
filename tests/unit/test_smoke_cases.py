# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The smoke cases as data, the plan that comes of them, and the broken objects."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.fixes import fixes
from pipeline.host.resources import package_data, project_data, render
from pipeline.model import Expect
from pipeline.smoke import matrix, mutate, player_script
from pipeline.smoke.cases import (
    all_cases,
    attach_types,
    loader_of,
    loaders,
    map_struct_size,
    select,
)
from pipeline.smoke.matrix import KernelFacts, Row


def test_the_short_set() -> None:
    assert {(c.name, c.way.name) for c in select(None)} == {
        ("pinned-hash", "tc"),
        ("pinned-hash", "xdp"),
        ("several-maps", "tc"),
        ("object-pin-without-af-alg", "tc"),
        ("btf-maps", "tc"),
        ("static-map", "tc"),
        ("both-sections", "tc"),
        ("program-name", "tc"),
    }
    assert [c.repeat for c in select(["batch"])] == [1000]


def test_every_kind_of_object_of_the_issue_has_a_case() -> None:
    names = {c.name for c in select(None, whole=True)}
    assert names >= {
        *("pinned-hash", "eight-maps", "object-pin", "shared-map", "tail-calls", "map-in-map"),
        *("array", "per-cpu-array", "lru-hash", "lpm-trie", "notype", "debug", "btf-maps"),
        *("both-sections", "global-data", "static-map", "struct-large", "struct-small"),
        *("struct-between", "unnamed-offset", "maps-64", "maps-65", "no-map", "broken-objects"),
    }
    assert {c.way.name for c in select(None, whole=True)} == set(attach_types())
    assert {c.verdict for c in all_cases()} == {"pass", "drop", "mark", "redirect", "match"}


def test_every_case_expects_something_of_every_loader_for_a_reason() -> None:
    for case in all_cases():
        assert set(case.expect) == {loader.name for loader in loaders()}
        for expected in case.expect.values():
            assert expected.reason
            assert re.compile(expected.says)
        assert project_data("templates", "objects", case.template).is_file()
        # Something must show that it ran: a map, what the receiver gets, or that tc lived.
        assert case.pins or case.verdict in ("drop", "mark") or case.corpus, case.id


def test_what_a_needed_fix_turns_is_tried_by_default() -> None:
    turned = {case for fix in fixes.all_fixes() for case in fix.turns}
    assert turned
    assert turned <= {c.name for c in select(None)}
    # The loader that lacks a fix refuses them, the one that has it does not. What else another
    # defect may hide says nothing of the loader.
    defects = {loader.defect: loader.name for loader in loaders() if loader.defect}
    first = [fix for fix in fixes.all_fixes() if not fix.behind]
    assert set(defects) == {fix.name for fix in first}
    for case in select(sorted({case for fix in first for case in fix.turns})):
        assert {case.expect[name].what for name in defects.values()} == {Expect.REFUSED}
        sound = [loader.name for loader in loaders() if not loader.defect]
        assert {case.expect[name].what for name in sound} == {Expect.LOADS}


@pytest.mark.parametrize(
    ("engine", "version", "ours", "lacks", "name"),
    [
        ("own", "4.15.0-2ubuntu1", False, None, "own-notype"),
        ("own", "4.15.0-2ubuntu1bpf1", True, None, "own"),
        ("own", "4.9.0-1+deb9u1", False, None, "own-notype"),
        ("own", "4.20.0-2", False, None, "own"),
        ("own", "4.3-1", False, None, "own"),
        ("libbpf-0", "5.15.0-1ubuntu2", False, None, "libbpf-0"),
        ("libbpf-1", "6.1.0-3", False, None, "libbpf-1"),
        ("libbpf-1", "6.1.0-3+bpf1", True, None, "libbpf-1-fixed"),
        # What is known of a package counts more than its version.
        ("libbpf-1", "6.1.0-3", False, frozenset[str](), "libbpf-1-fixed"),
        ("libbpf-1", "6.1.0-3+bpf1", True, frozenset({"libbpf-legacy-maps"}), "libbpf-1"),
        ("own", "6.1.0-3", False, frozenset({"stt-object"}), "own-notype"),
    ],
)
def test_the_loader_of_a_package(
    engine: str, version: str, ours: bool, lacks: frozenset[str] | None, name: str
) -> None:
    assert loader_of(engine, version, ours=ours, lacks=lacks).name == name


def test_the_loader_of_a_package_for_which_only_some_fixes_were_looked_for() -> None:
    """Nobody has fixed what nobody has looked for."""
    for ours, version in ((False, "6.1.0-3"), (False, "6.1.0-3+bpf1")):
        found = loader_of(
            "libbpf-1", version, ours=ours, lacks=frozenset(), about=frozenset({"my-fix"})
        )
        assert found.name == "libbpf-1"
    about = frozenset({"libbpf-legacy-maps"})
    for lacks, name in ((frozenset[str](), "libbpf-1-fixed"), (about, "libbpf-1")):
        assert loader_of("libbpf-1", "6.1.0-3", lacks=lacks, about=about).name == name


def test_names_that_are_none() -> None:
    with pytest.raises(UsageError, match="no smoke case nonsense") as e:
        select(["pinned-hash", "nonsense"])
    assert "several-maps" in e.value.hint
    with pytest.raises(UsageError, match="no attach type tape"):
        select(None, ["tape"])
    with pytest.raises(UsageError, match="no smoke case with these names"):
        select(["several-maps"], ["xdp"])


@pytest.mark.parametrize(
    ("version", "size"),
    [
        ("4.5.0-1", 24),
        ("4.6.0-1", 28),
        ("4.9.0-1+deb9u1", 28),
        ("4.12.0-1", 28),
        ("4.13.0-1", 36),
        ("4.15.0-2ubuntu1", 36),
        ("6.1.0-3", 36),
        ("1:6.1.0-3", 36),
    ],
)
def test_the_struct_is_that_of_the_release(version: str, size: int) -> None:
    assert map_struct_size(version) == size
    assert struct_of(size) == size


@pytest.mark.parametrize("size", [12, 24, 28, 36, 44])
def test_the_struct_has_the_bytes_that_a_case_asks_for(size: int) -> None:
    assert struct_of(size) == size


def struct_of(size: int) -> int:
    source = render(
        "objects/pinned-hash.c.j2",
        kind="tc",
        section="classifier",
        size=size,
        verdict="pass",
        pin="global",
    )
    body = source.partition("struct bpf_elf_map {")[2].partition("}")[0]
    more = re.search(r"more\[(\d+)\]", body)
    return body.count("__u32") * 4 + (int(more[1]) - 1 if more else 0) * 4


KERNEL = KernelFacts(version="6.1.0-9-amd64", config=frozenset({"CONFIG_NET_ACT_BPF"}))


def test_what_a_kernel_lacks() -> None:
    assert KERNEL.lacks(["CONFIG_NET_ACT_BPF"], "") == ""
    assert KERNEL.lacks(["CONFIG_LWTUNNEL_BPF", "CONFIG_X"], "") == "CONFIG_LWTUNNEL_BPF, CONFIG_X"
    assert KERNEL.lacks([], "4.10") == ""
    assert KERNEL.lacks([], "6.2") == "Linux 6.2"
    assert KernelFacts(version="4.9").lacks(["CONFIG_X"], "4.10") == "Linux 4.10"
    assert KernelFacts(version="odd").lacks(["CONFIG_X"], "4.10") == ""  # nothing is known


def test_what_a_kernel_must_not_have() -> None:
    """A module is unloaded; what is built in, or may be, stays."""
    wanted = ["CONFIG_X"]
    module = KernelFacts(
        version="6.1", config=frozenset(wanted), modules={"CONFIG_X": "/respin/modules/x.ko"}
    )
    assert module.has_built_in(wanted) == ""
    built_in = KernelFacts(version="6.1", config=frozenset(wanted))
    assert built_in.has_built_in(wanted) == "a kernel without CONFIG_X"
    assert KernelFacts(version="6.1").has_built_in(wanted) == "a kernel without CONFIG_X"
    assert KernelFacts(version="6.1", config=frozenset()).has_built_in(wanted) == ""


def row(name: str, way: str, kernel: KernelFacts = KERNEL) -> Row:
    (case,) = select([name], [way])
    return matrix._case_row(case, Path(__file__), kernel, "/home dir", little=True)


def test_a_row_becomes_lines_of_a_plan() -> None:
    text = player_script.plan([row("tail-calls", "exec")], "after", home="/home dir")
    lines = [line.split("\t") for line in text.splitlines()]
    assert [line[:2] for line in lines] == [
        ["row", "after:0"],
        ["run", "after:0"],
        ["why", "after:0:why"],
        ["run", "after:0:1"],
        ["send", "after:0"],
        ["end", "after:0"],
    ]
    assert lines[1][3:7] == ["tc", "filter", "add", "dev"]
    assert lines[1][-3:] == ["/home dir/tail-calls-exec.o", "section", "classifier"]
    assert lines[2][2:] == [*lines[1][2:], "verbose"]
    counts = "counts=35777=00000000=/sys/fs/bpf/tc/globals/counts"
    assert lines[4][2:] == ["ingress", "7", "0", "7", counts, lines[4][-1]]


@pytest.mark.parametrize(("name", "way"), [("pinned-hash", "batch"), ("handover", "export")])
def test_a_batch_and_a_script_are_not_asked_why(name: str, way: str) -> None:
    assert "why\t" not in player_script.plan([row(name, way)], "after", home="/h")


def test_a_route_is_asked_why_before_what_follows() -> None:
    kernel = KernelFacts(version="6.1", config=frozenset({"CONFIG_LWTUNNEL_BPF"}))
    text = player_script.plan([row("pinned-hash", "lwt-xmit", kernel)], "after", home="/h")
    (line,) = [line for line in text.splitlines() if line.startswith("why")]
    assert line.split("\t")[-7:-3] == ["section", "lwt_xmit", "verbose", "via"]


def test_a_way_by_a_script_brings_it() -> None:
    found = row("handover", "export")
    script = package_data("pipeline.smoke", "handover.sh")
    assert player_script.files([found])["handover-export.sh"] == script
    load, home = found.commands[0], "/home dir/handover-export"
    assert load.argv[:3] == ("sh", f"{home}.sh", f"{home}.o")
    assert load.says == attach_types()["export"].says
    assert "tail-calls-exec.sh" not in player_script.files([row("tail-calls", "exec")])


def test_a_row_that_is_not_possible_or_was_played_is_left_out() -> None:
    rows = [row("object-pin", "tc"), row("pinned-hash", "action"), row("drop", "tc")]
    assert [r.missing for r in rows] == ["CONFIG_CRYPTO_USER_API_HASH", "", ""]
    text = player_script.plan(rows, "x", home="/h", leave=frozenset({"x:2"}))
    assert re.findall(r"(?m)^row\t(.*)$", text) == ["x:1"]
    assert set(player_script.files(rows)) == {"pinned-hash-action.o", "drop-tc.o"}


def test_what_the_receiver_is_to_get() -> None:
    assert (row("drop", "egress").send, row("drop", "egress").received) == ("egress", 0)
    assert (row("mark", "tc").mark, row("mark", "tc").received) == (matrix.MARK, 7)
    assert row("redirect", "tc").send == "redirected"
    assert row("global-data", "tc").received == 2
    own = hashlib.sha1(Path(__file__).read_bytes()).hexdigest()
    assert row("object-pin", "tc").paths == {"counts": f"/sys/fs/bpf/tc/{own}/counts"}


def test_no_word_of_a_users_can_break_a_plan() -> None:
    assert player_script._quoted("a\tb\nc%d") == "a%09b%0ac%25d"


SOUND = [b"\x7fELF\x02\x01\x01" + bytes(57)]


def test_the_corpus_is_the_same_for_the_same_seed() -> None:
    some = list(mutate.broken(SOUND, 12, seed="a"))
    assert some == list(mutate.broken(SOUND, 12, seed="a"))
    assert len(some) == 12
    assert b"" in some


def test_the_corpus_of_a_big_endian_object() -> None:
    """Its numbers are written as it writes them, and the other byte order is little-endian."""
    big = b"\x7fELF\x02\x02\x01" + bytes(57)
    some = list(mutate.broken([big], 12, seed="a"))
    assert big[:5] + b"\x01" + big[6:] in some
    assert big[:18] + b"\x00\x3e" + big[20:] in some, "x86-64"
    little = list(mutate.broken(SOUND, 12, seed="a"))
    assert SOUND[0][:5] + b"\x02" + SOUND[0][6:] in little
    assert SOUND[0][:18] + b"\x3e\x00" + SOUND[0][20:] in little


def test_a_key_in_both_byte_orders() -> None:
    (trie,) = select(["lpm-trie"])
    assert trie.keys_hex(little=True) == {"counts": "200000000a4d000100000000"}
    assert trie.keys_hex(little=False) == {"counts": "000000200a4d000100000000"}


def test_a_corpus_survives_or_it_does_not() -> None:
    found = select(["broken-objects"])
    assert found[0].corpus >= 300
    assert found[0].expect["libbpf-1-fixed"].what is Expect.SURVIVES
