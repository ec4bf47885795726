# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is made of what the player said."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from pipeline.errors import SmokeImpossible
from pipeline.fixes import fixes
from pipeline.fixes.fixes import Fix
from pipeline.host.progress import Progress
from pipeline.host.resources import package_data
from pipeline.model import CaseResult, Cell, Expect, Package, Seen, SmokeReport
from pipeline.runs import proving
from pipeline.smoke import cases, render, smoke
from pipeline.smoke.cases import Expected, attach_types, loaders
from pipeline.smoke.matrix import Command, Row
from pipeline.smoke.verdict import Said, Tc, engine, judge, said_of
from pipeline.vm.results import Counted, Ran, Transcript, Tried

LOADER = {loader.name: loader for loader in loaders()}
TC = Tc(text="", version="6.1.0-3", loader=LOADER["libbpf-1-fixed"])
SYMPTOMS = ["legacy map definitions .* not supported"]
REFUSAL = "libbpf: elf: legacy map definitions in 'maps' section are not supported"
LOADS = Expected(what=Expect.LOADS, reason="r")
REFUSED = Expected(what=Expect.REFUSED, reason="r")
SURVIVES = Expected(what=Expect.SURVIVES, reason="r")


def row(**changes: Any) -> Row:
    fields: dict[str, Any] = {
        "case": "pinned-hash",
        "title": "one map",
        "way": attach_types()["tc"],
        "name": "x",
        "object": Path("x.o"),
        "commands": (Command(argv=("tc", "filter")),),
        "pins": {"counts": 1},
        "send": "ingress",
        "received": 7,
        "expect": {"libbpf-1-fixed": LOADS, "own": REFUSED},
    }
    return Row(**(fields | changes))


def cell(
    case: Row,
    *,
    status: int = 0,
    output: str = "",
    maps: dict[str, int] | None = None,
    sent: int = 7,
    received: int = 7,
    late: bool = False,
    after: bool = True,
    symptoms: list[str] | None = None,
    tc: Tc = TC,
    more: tuple[Ran, ...] = (),
    tried: Tried | None = None,
    lost: str = "",
) -> Cell:
    ran = Ran(status=status, seconds=0.1, late=late, output=output)
    values = {"counts": 7} if maps is None else maps
    counted = Counted(sent=sent, received=received, maps=values)
    said = Said(ran=(ran, *more), counted=counted, tried=tried, log="veth\n", lost=lost)
    return judge(case, tc, said, after=after, symptoms=symptoms)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("tc utility, iproute2-6.1.0, libbpf 1.1.2\n", "libbpf-1"),
        ("tc utility, iproute2-5.15.0, libbpf 0.5.0", "libbpf-0"),
        ("tc utility, iproute2-5.9.0, libbpf 0\n", "libbpf-0"),
        ("tc utility, iproute2-6.1.0, libbpf 1", "libbpf-1"),
        ("tc utility, iproute2-6.1.0", "own"),
        ("tc utility, iproute2-ss170905", "own"),
        ("tc utility, iproute2-10.0.0, libbpf 10.0.0", "libbpf-1"),
        ("", "own"),
    ],
)
def test_what_tc_says_of_itself(text: str, found: str) -> None:
    assert engine(text) == found


def test_what_the_verifier_said_goes_into_the_cell() -> None:
    ran = Ran(status=1, seconds=0.1, late=False, output="Verifier analysis:")
    transcript = Transcript(
        kernel="6.1",
        ran={"x:0": ran, "x:0:why": dataclasses.replace(ran, output="R0 invalid mem access")},
        counted={},
        tried={},
        logs={"x:0": ""},
        begun="x:0",
        done=True,
    )
    said = said_of(row(), "x:0", transcript)
    assert said is not None
    seen = judge(row(), TC, said, after=True)
    assert (seen.output, seen.verifier) == ("Verifier analysis:", "R0 invalid mem access")


def test_a_kernel_without_af_alg_proves_nothing() -> None:
    words = "Missing kernel AF_ALG support for PIN_OBJECT_NS!"
    seen = cell(row(expect=None), status=1, output=words)
    assert (seen.seen, seen.ok, seen.output) == (Seen.NOT_POSSIBLE, True, words)
    assert "CONFIG_CRYPTO_USER_API_HASH" in seen.reason
    assert cell(row(), status=1, output=words).seen is Seen.REFUSED


def test_loaded_and_counted() -> None:
    seen = cell(row())
    assert (seen.seen, seen.ok, seen.counted, seen.command) == (Seen.LOADS, True, 7, "tc filter")
    assert (seen.kernel_log, seen.maps, seen.received) == ("veth\n", {"counts": 7}, 7)


@pytest.mark.parametrize("maps", [{"counts": 6}, {"counts": 8}, {"counts": -1}, {}, {"x": 7}])
def test_tc_said_yes_and_nothing_was_counted(maps: dict[str, int]) -> None:
    seen = cell(row(), maps=maps)
    assert (seen.seen, seen.ok) == (Seen.LOADED_WRONG, False)
    assert "counts holds" in seen.why


@pytest.mark.parametrize(("wanted", "received"), [(7, 0), (0, 7), (7, 6), (2, 7)])
def test_the_receiver_got_what_it_must_not_or_too_little(wanted: int, received: int) -> None:
    seen = cell(row(received=wanted), received=received)
    assert (seen.seen, seen.ok) == (Seen.LOADED_WRONG, False)
    assert f"the receiver got {received} frames, not {wanted}" in seen.why
    assert cell(row(received=wanted), received=wanted).ok


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
    control: dict[str, Any] = {"after": False, "symptoms": SYMPTOMS}
    assert cell(row(), status=1, output=REFUSAL, **control).ok
    # Refused for another reason, or not refused: then the fix has proven nothing.
    assert not cell(row(), status=1, output="RTNETLINK answers: No such file", **control).ok
    assert not cell(row(), **control).ok


def test_a_turned_case_must_load_after() -> None:
    assert cell(row(), symptoms=SYMPTOMS).ok
    assert not cell(row(), status=1, output=REFUSAL, symptoms=SYMPTOMS).ok


def test_a_refusal_without_a_word_is_not_clear() -> None:
    case = row(expect={"libbpf-1-fixed": REFUSED})
    assert cell(case, status=1, output="no").ok
    assert not cell(case, status=1, output=" \n").ok
    says = Expected(what=Expect.REFUSED, reason="r", says="maps")
    assert not cell(row(expect={"libbpf-1-fixed": says}), status=1, output="no").ok


def test_a_difference_to_the_better_is_a_difference() -> None:
    seen = cell(row(expect={"libbpf-1-fixed": REFUSED}))
    assert (seen.seen, seen.ok) == (Seen.LOADS, False)


@pytest.mark.parametrize(("status", "late"), [(-11, False), (0, True), (-9, True)])
def test_a_crash_is_no_refusal(status: int, late: bool) -> None:
    case = row(expect={"libbpf-1-fixed": REFUSED})
    seen = cell(case, status=status, late=late, output=REFUSAL)
    assert (seen.seen, seen.ok) == (Seen.CRASHED, False)


def test_the_expectation_is_that_of_the_loader() -> None:
    own = Tc(text="", version="6.1.0-3", loader=LOADER["own"])
    assert cell(row(), status=1, output="no", tc=own).ok
    assert not cell(row(), tc=own).ok


def test_what_this_iproute2_does_not_have() -> None:
    case = row(since="6.0", expect={"libbpf-1-fixed": REFUSED})
    old = Tc(text="", version="5.19.0-1", loader=TC.loader)
    seen = cell(case, status=1, tc=old)
    assert (seen.seen, seen.expected, seen.ok) == (Seen.NOT_POSSIBLE, Expect.ANY, True)
    assert "iproute2 6.0" in seen.reason
    for version in ("6.0.0-1", "6.1.0-3"):
        assert cell(case, tc=Tc(text="", version=version, loader=TC.loader)).ok is False


def test_what_the_kernel_does_not_have() -> None:
    seen = judge(row(missing="CONFIG_NET_ACT_BPF"), TC, Said(), after=True)
    assert (seen.seen, seen.ok) == (Seen.NOT_POSSIBLE, True)
    assert "CONFIG_NET_ACT_BPF" in seen.reason


def test_the_guest_crashed_in_it() -> None:
    seen = judge(row(), TC, Said(lost="Kernel panic"), after=True)
    assert (seen.seen, seen.ok, seen.output) == (Seen.LOST, False, "Kernel panic")


def test_what_the_loading_command_itself_must_say() -> None:
    way = attach_types()["export"]
    case = row(way=way, commands=(Command(argv=("sh", "x.sh"), says=way.says),))
    map_info = "map_type:\t{}\nkey_size:\t4\nvalue_size:\t8\nmax_entries:\t8\nmap_flags:\t0x0\n"
    assert cell(case, output=map_info.format(1)).ok
    for other in (map_info.format(2), map_info.format(11), "pos:\t0\n", ""):
        assert cell(case, output=other).seen is Seen.LOADED_WRONG


def test_commands_after_the_first() -> None:
    then = Command(argv=("tc", "show"), says="bpf", silent=False)
    gone = Command(argv=("tc", "show"), silent=True)
    case = row(commands=(Command(argv=("tc", "filter")), then, gone))

    def ran(status: int, output: str) -> Ran:
        return Ran(status=status, seconds=0.1, late=False, output=output)

    assert cell(case, more=(ran(0, "a bpf filter"), ran(0, ""))).ok
    assert cell(case, more=(ran(0, "nothing"), ran(0, ""))).seen is Seen.LOADED_WRONG
    assert cell(case, more=(ran(0, "bpf"), ran(0, "bpf"))).seen is Seen.LOADED_WRONG
    refused = cell(case, more=(ran(1, "no"),))
    assert (refused.seen, refused.command) == (Seen.REFUSED, "tc filter\ntc show")
    assert cell(case, more=(ran(0, "bpf"), ran(-11, ""))).seen is Seen.CRASHED


def test_broken_objects() -> None:
    case = row(corpus=3, send="", expect={"libbpf-1-fixed": SURVIVES})
    whole = cell(case, tried=Tried(loaded=1, refused=2, crashed=()))
    assert (whole.seen, whole.ok) == (Seen.SURVIVES, True)
    crashed = cell(case, tried=Tried(loaded=0, refused=2, crashed=((1, 11),)))
    assert (crashed.seen, crashed.ok) == (Seen.CRASHED, False)
    assert "1.o (signal 11)" in crashed.why
    assert not cell(case, tried=Tried(loaded=0, refused=2, crashed=())).ok
    assert not cell(case, tried=None).ok


def test_the_users_object() -> None:
    shown = Command(argv=("tc", "show"), says=r"\bbpf\b")
    case = row(expect=None, pins={}, send="", commands=(Command(argv=("tc",)), shown))

    def show(text: str) -> tuple[Ran, ...]:
        return (Ran(status=0, seconds=0.1, late=False, output=text),)

    assert cell(case, status=1, after=False).ok  # shown, not judged
    assert not cell(case, status=1).ok
    assert cell(case, maps={}, more=show("filter protocol all bpf chain 0")).ok
    assert cell(case, maps={}, more=show("")).seen is Seen.LOADED_WRONG


def a_report() -> SmokeReport:
    """Return a report in which one row got better, one is bad, one lost and one impossible."""
    refused = cell(row(expect={"libbpf-1-fixed": REFUSED}), status=1, output="<no> & no")
    loads, bad = cell(row()), cell(row(), maps={"counts": 1})
    lost = judge(row(), TC, Said(lost="Kernel panic"), after=True)
    missing = judge(row(missing="CONFIG_X"), TC, Said(), after=True)
    cells = [(refused, loads), (loads, bad), (loads, lost), (missing, missing)]
    return SmokeReport(
        place="guest",
        kernel="6.1.0-9-amd64",
        kernel_package=Package(name="linux-image", version="6.1", architecture="amd64"),
        accelerator="tcg",
        before="tc utility, iproute2-6.1.0",
        after="tc utility, iproute2-6.1.0, libbpf 1.1.2",
        packages=("iproute2 6.1.0-3", "iproute2 6.1.0-3+bpf1"),
        loaders=("libbpf-1", "libbpf-1-fixed"),
        cases=tuple(
            CaseResult(case=f"case-{i}", title="<title>", way="tc", before=b, after=a, object="o")
            for i, (b, a) in enumerate(cells)
        ),
        crashes=1,
        seconds=1.5,
        compilers=("Debian clang version 19.1.7 (3)", "gcc (Debian 14.2.0-19) 14.2.0"),
    )


def test_a_fix_is_not_proven_by_what_is_not_possible() -> None:
    report = a_report()  # case-3 was possible neither before nor after
    proving._check_possible(report, ["case-0"])
    proving._check_possible(report, ["of-no-row"])
    with pytest.raises(SmokeImpossible, match="case-3, which proves the fix") as e:
        proving._check_possible(report, ["case-0", "case-3"])
    assert "CONFIG_X" in e.value.details


def test_the_page_escapes_what_programs_said() -> None:
    page = render.html([a_report()])
    assert "&lt;no&gt; &amp; no" in page
    assert "<no>" not in page
    assert "<script" not in page
    assert "http" not in page.replace("https://www.w3.org", "")


def test_what_changed_is_counted() -> None:
    assert render.count(a_report()) == {
        "same": 1,
        "better": 1,
        "worse": 2,
        "other": 0,
        "bad": 2,
        "impossible": 2,
    }


def test_the_answer_is_one_sentence() -> None:
    report = a_report()
    assert render.answer([report]) == (
        "1 of 4 load now, 1 of which did not before; 2 that loaded before do not; "
        "1 was not possible here; 2 results are not as expected."
    )
    good = dataclasses.replace(report, cases=report.cases[:1])
    assert render.answer([good]) == (
        "1 of 1 load now, 1 of which did not before; nothing that loaded before is refused."
    )
    assert render.answer([good, good]).startswith("On 2 kernels, 2 of 2 load now")
    after = good.cases[0].after
    assert after is not None
    row = dataclasses.replace(good.cases[0], before=after, after=None)
    alone = dataclasses.replace(good, cases=(row,), after="", packages=("iproute2 6.1.0-3",))
    assert render.answer([alone]) == "1 of 1 load; every result is as expected."


def test_the_json_is_what_the_schema_says() -> None:
    schema = json.loads(package_data("pipeline.smoke", "smoke.schema.json").read_text())
    values = json.loads(json.dumps(render.to_json([a_report()])))
    jsonschema.Draft202012Validator(schema).validate(values)
    assert values["ok"] is False
    assert values["reports"][0]["compilers"] == list(a_report().compilers)
    values["reports"][0]["cases"][0]["before"]["seen"] = "nonsense"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(values)


def test_both_schemas_say_the_same_of_a_matrix() -> None:
    paths = (
        package_data("pipeline.smoke", "smoke.schema.json"),
        package_data("pipeline.runs", "report.schema.json"),
    )
    one, other = (json.loads(path.read_text())["$defs"] for path in paths)
    for name in ("smoke", "package", "case", "cell"):
        assert one[name] == other[name], name


def test_the_junit_form() -> None:
    root = ET.fromstring(render.junit([a_report()]))
    before, after = root.findall("testsuite")
    assert after.get("name") == "iproute2 6.1.0-3+bpf1 on Linux 6.1.0-9-amd64"
    assert (before.get("failures"), before.get("skipped")) == ("0", "1")
    found = {k: after.get(k) for k in ("tests", "failures", "errors", "skipped")}
    assert found == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    failure = after.findall("testcase")[1].find("failure")
    assert failure is not None and "counts holds 1" in (failure.get("message") or "")


@pytest.mark.parametrize(
    ("before", "status", "expected", "ok"),
    [
        (Seen.LOADS, 0, Expect.LOADS, True),
        (Seen.LOADS, 1, Expect.LOADS, False),
        (Seen.REFUSED, 1, Expect.ANY, True),
        (Seen.REFUSED, 0, Expect.ANY, True),
        (Seen.SURVIVES, 0, Expect.SURVIVES, False),
    ],
)
def test_with_patches_of_the_users_alone(
    before: Seen, status: int, expected: Expect, ok: bool
) -> None:
    """What the distro's package loads must load; what it refuses is not judged."""
    said = Said(
        ran=(Ran(status=status, seconds=0.1, late=False, output=""),),
        counted=Counted(sent=7, received=7, maps={"counts": 7}),
    )
    seen = judge(row(), TC, said, after=True, before=before)
    assert (seen.expected, seen.ok) == (expected, ok)


@pytest.mark.parametrize(
    ("built", "needed", "named", "whole"),
    [
        (True, (), None, True),
        (True, (), ("no-map",), False),  # the user's own choice
        (True, fixes.choose(["libbpf-legacy-maps"]), None, False),
        (False, (), None, False),  # nothing to compare it with
    ],
)
def test_without_a_fix_the_whole_matrix_is_tried(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    built: bool,
    needed: Sequence[Fix],
    named: tuple[str, ...] | None,
    whole: bool,
) -> None:
    asked: dict[str, Any] = {}

    def smoked(*_: object, **given: Any) -> SmokeReport:
        asked.update(given)
        return dataclasses.replace(a_report(), cases=a_report().cases[:1])

    monkeypatch.setattr(smoke, "smoke", smoked)
    request = SimpleNamespace(cases=named, applied=(), objects=(), cache=None)
    place = SimpleNamespace(path=tmp_path, logs=tmp_path)
    context: Any = SimpleNamespace(request=request, directory=place, progress=Progress())
    coming: Future[Any] | None = Future() if built else None
    if coming:
        coming.set_result(SimpleNamespace(files=lambda name: ()))
    prove = proving.Proving(context, None).smoke  # type: ignore[arg-type]
    with contextlib.suppress(SmokeImpossible):  # its one row is refused before
        prove(None, (), coming, needed, ())  # type: ignore[arg-type]
    assert asked["cases"] == cases.select(named, whole=whole)
    assert asked["keeps"] == (built and not needed)
