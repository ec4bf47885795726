# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The statements about a run, and the envelopes that hold them."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from support import standin
from support.filled import filled
from support.said import BEGUN, DEB, DOC, ENDED, SHA, kinds, made, signed, values

from pipeline.archives import key_packets
from pipeline.cli import proof_words
from pipeline.errors import NotVerified
from pipeline.model import Built, Expect
from pipeline.proof import envelope, statements
from pipeline.proof.check import Proof
from pipeline.runs.report import Outcome


def test_what_is_proven_names_both_packages_and_the_control() -> None:
    provenance, tested, run = made()
    assert [s["name"] for s in provenance["subject"]] == [
        "patched/iproute2_1-1+bpf1.dsc",
        "debs/iproute2-doc_1-1+bpf1_all.deb",
        "debs/iproute2_1-1+bpf1_amd64.deb",
    ]
    assert [s["digest"]["sha256"] for s in tested["subject"]] == [SHA]  # the documents were not
    assert tested["predicate"]["result"] == "PASSED"
    assert tested["predicate"]["passedTests"] == [
        "pinned-hash tc before: refused",
        "pinned-hash tc after: loads",
    ]
    roles = {
        each["annotations"]["role"]
        for each in provenance["predicate"]["buildDefinition"]["resolvedDependencies"]
    }
    assert {"source", "build root", "respin", "fix"} <= roles
    assert {s["name"] for s in run["subject"]} == {"report.json", "respin.lock"}
    assert len(run["predicate"]["statements"]) == 2


def test_the_users_patches_are_among_the_materials() -> None:
    said, lock = values()
    locked = {"name": "mine.patch", "sha256": SHA, "optional": False}

    def provenance(lock: dict[str, object]) -> dict[str, object]:
        done = statements.of_run(said, lock, {}, fixes={}, begun=BEGUN, ended=ENDED)
        found: dict[str, object] = done[0]["predicate"]["buildDefinition"]
        return found

    definition = provenance({**lock, "patches": [locked]})
    assert definition["externalParameters"]["patches"] == [locked]  # type: ignore[index]
    assert {
        "name": "user-patches/mine.patch",
        "digest": {"sha256": SHA},
        "annotations": {"role": "user's patch"},
    } in definition["resolvedDependencies"]  # type: ignore[operator]
    assert "patches" not in provenance(lock)["externalParameters"]  # type: ignore[operator]
    assert "user-patches" not in str(provenance(lock))


def test_nothing_is_said_of_what_was_not_done() -> None:
    assert kinds(made(built=None, smoke=None, control=())) == [
        statements.PROVENANCE,
        statements.RUN,
    ]
    found = made(patched=None, built=None, outcome=Outcome.NOT_NEEDED)
    assert kinds(found) == [statements.TESTED, statements.RUN]
    assert found[0]["subject"][0]["name"] == "source/iproute2_1-1.dsc"  # what was tested
    assert kinds(made(patched=None, built=None, smoke=None)) == [statements.RUN]


def test_a_test_of_another_package_is_none_of_ours() -> None:
    """The distro's package, which is the control, would be what has passed."""
    (done, _) = values()
    built = filled(Built, version="1-1+bpf1", debs=(DOC,), changes=DOC, buildinfo=DOC)
    assert done["smoke"] and kinds(made(built=built)) == [statements.PROVENANCE, statements.RUN]


def test_nothing_passed_is_not_passed() -> None:
    smoked = standin.smoked()
    row = smoked.cases[0]
    shown = replace(row.before, expected=Expect.ANY)
    for cell, result in ((shown, "WARNED"), (row.before, "PASSED")):
        cases = (replace(row, before=cell, after=None),)
        tested = made(smoke=replace(smoked, cases=cases))[1]
        assert tested["predicate"]["result"] == result


def test_the_name_of_a_case_is_not_what_was_seen() -> None:
    case = "my before: refused after: loads"
    smoked = standin.smoked()
    row = replace(smoked.cases[0], case=case)
    each = {s["predicateType"]: s for s in made(smoke=replace(smoked, cases=(row,)))}
    said = dict(proof_words.words(Proof(statements=each, signers=())))["smoke test"]
    assert "refused 1 objects, the new one loaded 1" in said


def test_packages_that_respin_did_not_make() -> None:
    built = filled(Built, version="1-1+bpf1", debs=(DEB,), changes=DEB, buildinfo=DEB)
    for container, first in (
        ("unshare", statements.PROVENANCE),
        (statements.ELSEWHERE, statements.TESTED),
    ):
        assert kinds(made(built=replace(built, container=container)))[0] == first


# -- keys -----------------------------------------------------------------------------------


def test_keys_of_a_keyring_come_apart() -> None:
    old, new = b"\x99\x00\x02ab", b"\xc6\x01a"
    name, long, signature = b"\xb4\x03who", b"\xcd\xc0\x02" + b"n" * 194, b"\x88\x01s"
    endless, huge = b"\x9b...", b"\xcd\xff\x00\x00\x00\x03who"
    one, two = old + name + signature, new + long + huge
    assert key_packets.apart(one + two + one) == (one, two, one)
    for odd in (b"", name + one, one + endless, one + b"\xcd\xe0ab", one + b"\xff", one + b"x"):
        assert key_packets.apart(odd) == (odd,)
    for end in range(1, len(two)):
        assert b"".join(key_packets.apart(one + two[:end])) == one + two[:end]


# -- envelopes ------------------------------------------------------------------------------


def test_any_flipped_bit_of_the_file_is_found_or_changes_what_is_verified() -> None:
    """The envelope alone: the signature itself is gpgv's to check."""
    data = signed()
    before = envelope.read(data, "x")
    for place in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            try:
                after = envelope.read(bytes(flipped), "x")
            except NotVerified:
                continue
            assert [e.payload for e in after] != [e.payload for e in before] or [
                list(e.signatures) for e in after
            ] != [list(e.signatures) for e in before]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        signed()[:-3],
        signed().replace(b"\n", b""),
        signed().replace(b'"payload"', b'"payload" '),
        signed().replace(b"vnd.in-toto+json", b"vnd.in-toto+xml"),
        b"[" * 100_000,
        b"\xff",
        json.dumps([{"payload": "e30=", "payloadType": envelope.TYPE, "signatures": [1]}]).encode(),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(NotVerified, match="x does not hold signed statements"):
        envelope.read(data, "x")


def test_without_a_signer_there_is_no_signature() -> None:
    (only,) = envelope.read(envelope.to_bytes(envelope.sign([b"{}"], None)), "x")
    assert only.signatures == {} and base64.b64encode(only.payload) == b"e30="
