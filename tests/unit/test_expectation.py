# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a user wants to see of an object: how it is read, planned and judged."""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UsageError
from pipeline.model import Seen
from pipeline.smoke import matrix, player_script
from pipeline.smoke.bpf_object import Description
from pipeline.smoke.cases import attach_types, loaders
from pipeline.smoke.expectation import FRAMES_MAX, Held, packed, parse, read_capture
from pipeline.smoke.matrix import Command, Row
from pipeline.smoke.user_object import UserObject
from pipeline.smoke.verdict import Said, Tc, judge
from pipeline.vm.results import Counted, Ran

TC = Tc(text="", version="6.1.0-3", loader=loaders()[-1])
FRAME = bytes(60)


def capture(
    path: Path, *frames: bytes, magic: int = 0xA1B2C3D4, link: int = 1, order: str = "<"
) -> Path:
    data = struct.pack(f"{order}IHHIIII", magic, 2, 4, 0, 0, 65535, link)
    for frame in frames:
        data += struct.pack(f"{order}IIII", 1, 0, len(frame), len(frame)) + frame
    path.write_bytes(data)
    return path


def row(**changes: Any) -> Row:
    fields: dict[str, Any] = {
        "case": "x.o",
        "title": "x.o, section classifier",
        "way": attach_types()["tc"],
        "name": "object-0",
        "object": Path("x.o"),
        "commands": (Command(argv=("tc", "filter")),),
        "expect": None,
        "received": -1,
    }
    return Row(**(fields | changes))


def test_the_forms_of_an_expectation() -> None:
    found = parse(["received=0", "map:a.b[7]=9", "map:c[0x10]=1", "map:c[0a:4d:00:01]=2"])
    assert found.received == 0 and found.sends
    assert found.maps == (
        Held(name="a.b", key=7, value=9),
        Held(name="c", key=16, value=1),
        Held(name="c", key=b"\x0aM\0\x01", value=2),
    )
    assert [held.label for held in found.maps] == ["a.b[7]", "c[16]", "c[0a:4d:00:01]"]
    assert not parse([]).sends


@pytest.mark.parametrize(
    "text",
    [
        *("", "received", "received=-1", "received=x", "map:a=1", "map:a[1]=-1", "map:a[x]=1"),
        *("map:a*[1]=1", "map:a[1]=1\t2", "map:[1]=1", f"map:a[{1 << 64}]=1", "map:a[-1]=1"),
    ],
)
def test_what_is_no_expectation(text: str) -> None:
    with pytest.raises(UsageError) as e:
        parse([text])
    assert "received=NUMBER" in e.value.hint


def test_a_key_has_the_byte_order_of_the_object() -> None:
    held = Held(name="a", key=258, value=0)
    assert held.key_hex(4, little=True) == "0201000000000000"
    assert held.key_hex(4, little=False) == "00000102"
    assert Held(name="a", key=b"\1\2", value=0).key_hex(4, little=False) == "0102"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D])
def test_a_capture(tmp_path: Path, magic: int, order: str) -> None:
    path = capture(tmp_path / "c", FRAME, FRAME + b"x", magic=magic, order=order)
    frames = read_capture(path)
    assert frames == (FRAME, FRAME + b"x")
    assert packed(frames) == b"\0\x3c" + FRAME + b"\0\x3d" + FRAME + b"x"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frames": ()}, "has 0 frames"),
        ({"frames": (FRAME,) * (FRAMES_MAX + 1)}, "has 1001 frames"),
        ({"frames": (bytes(13),)}, "frame 1 of"),
        ({"frames": (bytes(1515),)}, "frame 1 of"),
        ({"frames": (FRAME,), "link": 113}, "no Ethernet frames"),
        ({"frames": (FRAME,), "magic": 0x0A0D0D0A}, "not a capture"),
    ],
)
def test_what_is_no_capture(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    frames = change.pop("frames")
    with pytest.raises(UsageError, match=words):
        read_capture(capture(tmp_path / "c", *frames, **change))


def test_a_capture_cut_off_anywhere(tmp_path: Path) -> None:
    whole = capture(tmp_path / "c", FRAME).read_bytes()
    for size in range(len(whole)):
        (tmp_path / "c").write_bytes(whole[:size])
        with pytest.raises(UsageError):
            read_capture(tmp_path / "c")


def test_the_frames_of_a_capture_are_replayed() -> None:
    found = row(send="egress", replay=packed((FRAME,)), frames=1)
    assert "replay\tx:0\tegress\t/h/object-0.frames\t0\t-1" in player_script.plan(
        [found], "x", home="/h"
    )
    assert player_script.files([found])["object-0.frames"] == packed((FRAME,))


def cell(found: Row, sent: int = 7, received: int = 3, **maps: int) -> Seen:
    ran = Ran(status=0, seconds=0.1, late=False, output="bpf")
    counted = Counted(sent=sent, received=received, maps=maps)
    return judge(found, TC, Said(ran=(ran,), counted=counted), after=True).seen


def test_what_is_expected_is_judged() -> None:
    assert cell(row(send="ingress")) is Seen.LOADS
    assert cell(row(send="ingress", received=3)) is Seen.LOADS
    assert cell(row(send="ingress", received=0)) is Seen.LOADED_WRONG
    assert cell(row(send="ingress", holds={"a": 2}), a=2) is Seen.LOADS
    assert cell(row(send="ingress", holds={"a": 2}), a=3) is Seen.LOADED_WRONG
    assert cell(row(send="ingress", frames=1)) is Seen.LOADED_WRONG


def test_what_is_loaded_together_stays_together() -> None:
    rows = [row(), row(keep=True), row(keep=True), row()]

    def begun(leave: set[str]) -> list[str]:
        text = player_script.plan(rows, "x", home="/h", leave=frozenset(leave))
        return [line for line in text.splitlines() if line.startswith(("row", "next"))]

    assert begun(set()) == ["row\tx:0", "next\tx:1", "next\tx:2", "row\tx:3"]
    # After a crash nothing is left of the first: what was to find its maps proves nothing.
    assert begun({"x:0", "x:1"}) == ["row\tx:3"]
    assert begun({"x:0"}) == ["row\tx:3"]


def test_a_row_keeps_what_the_one_before_has_loaded_only_if_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = Description(sections=(), programs=("classifier",), maps=(), symbols=())
    monkeypatch.setattr(matrix, "read", lambda _: found)
    monkeypatch.setattr(matrix, "user_section", lambda _: "classifier")
    items = [UserObject(path=Path("a.o")), UserObject(path=Path("b.o"))]
    kernel = matrix.KernelFacts(version="6.1")
    alone = matrix.object_rows(items, kernel=kernel, home="/h")
    assert [(r.keep, r.title) for r in alone] == [
        (False, "a.o, section classifier"),
        (False, "b.o, section classifier"),
    ]
    both = matrix.object_rows(items, kernel=kernel, home="/h", together=True)
    assert [(r.keep, r.title) for r in both] == [
        (False, "a.o, section classifier"),
        (True, "b.o, section classifier (after a.o)"),
    ]
    expect = parse(["map:gone[0]=1"])
    with pytest.raises(UsageError, match="no pinned map gone"):
        item = dataclasses.replace(items[0], expect=expect)
        matrix.object_rows([item], kernel=kernel, home="/h")
