# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's lines: what is understood, and that nothing else is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import TestbedLost
from pipeline.vm.results import LINE_MAX, LINES_MAX, OUTPUT_MAX, merged, parse

HELLO = {"kind": "hello", "kernel": "6.1.0-56-cloud-amd64"}
RAN = {"kind": "ran", "id": "a", "status": 1, "seconds": 0.25, "late": False, "output": "no\n"}
MAPS = {"counts": 7, "gone": -1}
COUNTED = {"kind": "counted", "id": "a", "sent": 7, "received": 6, "maps": MAPS}
BEGUN = {"kind": "begun", "id": "a"}
TRIED = {"kind": "tried", "id": "a", "crashed": [[3, 11]], "loaded": 1, "refused": 2}
KERNEL = {"kind": "kernel", "id": "a", "log": "veth: hello\n"}
DONE = {"kind": "done"}


def lines(*objects: object) -> bytes:
    return b"".join(json.dumps(o).encode() + b"\n" for o in objects)


def test_a_whole_transcript() -> None:
    said = parse(lines(HELLO, RAN, COUNTED, DONE), {"a"})
    assert (said.kernel, said.done) == ("6.1.0-56-cloud-amd64", True)
    assert said.ran["a"].status == 1
    assert said.ran["a"].output == "no\n"
    assert said.counted["a"].maps == MAPS
    assert said.counted["a"].received == 6


def test_a_row_that_ended_and_one_that_did_not() -> None:
    said = parse(lines(HELLO, BEGUN, TRIED, KERNEL, BEGUN | {"id": "b"}), {"a", "b"})
    assert said.tried["a"].crashed == ((3, 11),)
    assert (said.begun, dict(said.logs)) == ("b", {"a": "veth: hello\n"})
    more = merged(said, parse(lines(HELLO, BEGUN | {"id": "b"}, KERNEL | {"id": "b"}, DONE), {"b"}))
    assert set(more.logs) == {"a", "b"}
    assert (more.done, set(more.tried)) == (True, {"a"})


def test_it_is_ready_for_the_next_packages_once() -> None:
    ready = {"kind": "ready"}
    assert parse(lines(HELLO, RAN, ready, COUNTED, DONE), {"a"}).done
    for out_of_turn in ((ready, HELLO), (HELLO, ready, ready), (HELLO, DONE, ready)):
        with pytest.raises(TestbedLost, match="in the wrong place"):
            parse(lines(*out_of_turn), {"a"})


def test_a_guest_that_said_nothing_is_not_done() -> None:
    said = parse(b"", {"a"})
    assert (said.kernel, said.done, dict(said.ran)) == ("", False, {})


def test_the_line_it_did_not_live_to_end_counts_for_nothing() -> None:
    whole = lines(HELLO, RAN, DONE)
    said = parse(whole[:-1], {"a"})
    assert "a" in said.ran
    assert not said.done


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[]",
        b"7",
        b"{}",
        b'{"kind":7}',
        b'{"kind":["ran"]}',
        b'{"kind":"ran"}',
        b'{"kind":"shutdown"}',
        b'{"kind":"done","and":"more"}',
        b"[" * 100_000,
        b'{"kind":"ran","id":"a","status":' + b"9" * 9999 + b',"seconds":1.0,"late":false}',
        json.dumps(RAN | {"extra": 1}).encode(),
        json.dumps(RAN | {"status": True}).encode(),
        json.dumps(RAN | {"status": "0"}).encode(),
        json.dumps(RAN | {"status": 1 << 63}).encode(),
        json.dumps(RAN | {"seconds": 1}).encode(),
        json.dumps(RAN | {"seconds": float("nan")}).encode(),
        json.dumps(RAN).replace("0.25", "1e999").encode(),
        json.dumps(RAN | {"late": 0}).encode(),
        json.dumps(RAN | {"output": None}).encode(),
        json.dumps(RAN | {"id": "b"}).encode(),
        json.dumps(RAN | {"output": "x" * LINE_MAX}).encode(),
        json.dumps(COUNTED | {"maps": [7]}).encode(),
        json.dumps(COUNTED | {"maps": {"counts": "7"}}).encode(),
        json.dumps(COUNTED | {"maps": {"counts": True}}).encode(),
        json.dumps(COUNTED | {"maps": {"counts": {}}}).encode(),
        json.dumps(COUNTED | {"received": None}).encode(),
        json.dumps(TRIED | {"crashed": [[1]]}).encode(),
        json.dumps(TRIED | {"crashed": [[1, True]]}).encode(),
        json.dumps(TRIED | {"crashed": {"1": 2}}).encode(),
        json.dumps(KERNEL | {"log": 7}).encode(),
        json.dumps(BEGUN | {"id": "b"}).encode(),
        json.dumps(HELLO).encode(),
    ],
    ids=lambda line: line[:60].decode(),
)
def test_a_hostile_line_ends_the_trust(line: bytes) -> None:
    with pytest.raises(TestbedLost, match="cannot be trusted"):
        parse(lines(HELLO) + line + b"\n" + lines(DONE), {"a"})


@pytest.mark.parametrize(
    "objects",
    [(RAN,), (DONE,), (HELLO, DONE, RAN), (HELLO, RAN, RAN), (HELLO, COUNTED, COUNTED)],
    ids=["before-hello", "done-first", "after-done", "ran-twice", "counted-twice"],
)
def test_lines_out_of_turn(objects: tuple[object, ...]) -> None:
    with pytest.raises(TestbedLost):
        parse(lines(*objects), {"a"})


def test_more_lines_than_any_run_has() -> None:
    with pytest.raises(TestbedLost, match="more than"):
        parse(b"\n" * (LINES_MAX + 1), set())


def test_what_could_steer_a_terminal_is_taken_out() -> None:
    evil = "\x1b]0;owned\x07\x1b[2Jtext\u202e\r\n\tend"
    said = parse(lines(HELLO, RAN | {"output": evil}), {"a"})
    assert said.ran["a"].output == "]0;owned[2Jtext\n\tend"


def test_bytes_that_are_no_text() -> None:
    raw = json.dumps(RAN).replace("no", "n\\\\o").encode().replace(b"\\\\", b"\xff")
    assert parse(lines(HELLO) + raw + b"\n", {"a"}).ran["a"].output == "n�o\n"


@given(st.binary(max_size=300))
def test_whatever_comes_it_is_parsed_or_refused(data: bytes) -> None:
    try:
        said = parse(data, {"a"})
    except TestbedLost as e:
        assert all(c.isprintable() or c in "\n\t" for c in e.details)
    else:
        assert not said.ran


@given(st.text(max_size=200))
def test_printable_output_goes_through_unchanged(text: str) -> None:
    clean = "".join(c for c in text if c.isprintable() or c in "\n\t")
    said = parse(lines(HELLO, RAN | {"output": clean}), {"a"})
    assert said.ran["a"].output == clean[-OUTPUT_MAX:]
