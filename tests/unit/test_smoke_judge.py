"""What is made of what the guest said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.judge import Row, Tc, judge, read_tc
from pipeline.model import Cell, Expect, Seen
from pipeline.vm.results import Counted, Ran

TC = Tc(text="", major=6, loader="libbpf-1")
SYMPTOMS = ["legacy map definitions .* not supported"]
REFUSAL = "libbpf: elf: legacy map definitions in 'maps' section are not supported"


def row(**changes: Any) -> Row:
    fields: dict[str, Any] = {
        "case": "pinned-hash",
        "title": "",
        "way": "tc",
        "name": "x",
        "object": Path("x.o"),
        "argv": ("tc", "filter"),
        "pins": {"counts": 1},
        "expect": {"libbpf-1": (Expect.LOADS, "r"), "own": (Expect.REFUSED, "r")},
    }
    return Row(**(fields | changes))


def cell(
    case: Row,
    *,
    status: int = 0,
    output: str = "",
    maps: dict[str, int] | None = None,
    sent: int = 7,
    late: bool = False,
    shown: str = "",
    after: bool = True,
    symptoms: list[str] | None = None,
    tc: Tc = TC,
) -> Cell:
    ran = Ran(status=status, seconds=0.1, late=late, output=output)
    counted = Counted(sent=sent, maps={"counts": 7} if maps is None else maps)
    return judge(case, tc, ran, counted, shown, after=after, symptoms=symptoms)


@pytest.mark.parametrize(
    ("text", "major", "loader"),
    [
        ("tc utility, iproute2-6.1.0, libbpf 1.1.2\n", 6, "libbpf-1"),
        ("tc utility, iproute2-5.15.0, libbpf 0.5.0", 5, "libbpf-0"),
        ("tc utility, iproute2-6.1.0", 6, "own"),
        ("tc utility, iproute2-ss170905", 0, "own"),
        ("tc utility, iproute2-6.15.0, libbpf 1.5.0", 6, "libbpf-1"),
        ("tc utility, iproute2-10.0.0, libbpf 10.0.0", 10, "libbpf-1"),
        ("", 0, "own"),
    ],
)
def test_what_tc_says_of_itself(text: str, major: int, loader: str) -> None:
    said = read_tc(text)
    assert (said.major, said.loader) == (major, loader)


def test_loaded_and_counted() -> None:
    seen = cell(row())
    assert (seen.seen, seen.ok, seen.counted, seen.command) == (Seen.LOADS, True, 7, "tc filter")


@pytest.mark.parametrize("maps", [{"counts": 6}, {"counts": 8}, {"counts": -1}, {}, {"x": 7}])
def test_tc_said_yes_and_nothing_was_counted(maps: dict[str, int]) -> None:
    seen = cell(row(), maps=maps)
    assert (seen.seen, seen.ok) == (Seen.LOADED_WRONG, False)
    assert "counts holds" in seen.why


def test_maps_whose_names_were_swapped() -> None:
    case = row(pins={"ones": 1, "twos": 2})
    assert cell(case, maps={"ones": 7, "twos": 14}).ok
    assert cell(case, maps={"ones": 14, "twos": 7}).seen is Seen.LOADED_WRONG


def test_no_frame_sent_proves_nothing() -> None:
    assert cell(row(), sent=0, maps={"counts": 0}).seen is Seen.LOADED_WRONG


def test_refused_where_it_must_load() -> None:
    seen = cell(row(), status=1, output=REFUSAL)
    assert (seen.seen, seen.ok) == (Seen.REFUSED, False)


def test_the_negative_control() -> None:
    control = {"after": False, "symptoms": SYMPTOMS}
    assert cell(row(), status=1, output=REFUSAL, **control).ok
    # Refused for another reason, or not refused: then the fix has proven nothing.
    assert not cell(row(), status=1, output="RTNETLINK answers: No such file", **control).ok
    assert not cell(row(), **control).ok


def test_a_turned_case_must_load_after() -> None:
    assert cell(row(), symptoms=SYMPTOMS).ok
    assert not cell(row(), status=1, output=REFUSAL, symptoms=SYMPTOMS).ok


def test_a_refusal_without_a_word_is_not_clear() -> None:
    case = row(expect={"libbpf-1": (Expect.REFUSED, "r")}, says="")
    assert cell(case, status=1, output="no").ok
    assert not cell(case, status=1, output=" \n").ok
    assert not cell(row(expect=case.expect, says="maps"), status=1, output="no").ok


@pytest.mark.parametrize(("status", "late"), [(-11, False), (0, True), (-9, True)])
def test_a_crash_is_no_refusal(status: int, late: bool) -> None:
    case = row(expect={"libbpf-1": (Expect.REFUSED, "r")})
    seen = cell(case, status=status, late=late, output=REFUSAL)
    assert (seen.seen, seen.ok) == (Seen.CRASHED, False)


def test_the_expectation_is_that_of_the_loader() -> None:
    own = Tc(text="", major=6, loader="own")
    assert cell(row(), status=1, output="no", tc=own).ok
    assert not cell(row(), tc=own).ok


def test_program_names_before_there_were_any() -> None:
    case = row(program=True, expect={"own": (Expect.REFUSED, "r")})
    seen = cell(case, status=1, tc=Tc(text="", major=5, loader="own"))
    assert (seen.seen, seen.expected, seen.ok) == (Seen.NOT_POSSIBLE, Expect.ANY, True)
    assert cell(case, tc=Tc(text="", major=6, loader="own")).ok is False


def test_the_users_object() -> None:
    case = row(expect=None, pins={})
    assert cell(case, status=1, after=False).ok  # shown, not judged
    assert not cell(case, status=1).ok
    assert cell(case, maps={}, shown="filter protocol all pref 49152 bpf chain 0").ok
    assert cell(case, maps={}).seen is Seen.LOADED_WRONG
