# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The statements and their envelopes are what the libraries of that field read and write.

Neither library is there when respin runs: Debian 12 has no in-toto-attestation, and its
securesystemslib has no DSSE envelope. So they are the oracles here.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib import dsse
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import Key, Signature
from support.said import kinds, made, signed

from pipeline.proof import envelope, statements

PROTO: dict[str, Any] = {
    statements.PROVENANCE: provenance_pb2.Provenance,
    statements.TESTED: test_result_pb2.TestResult,
}


def test_in_totos_library_reads_and_writes_the_same() -> None:
    found = made()
    assert kinds(found) == list(statements.KINDS)
    for each in found:
        read = Statement.copy_from_pb(json_format.ParseDict(each, Statement([], "", {}).pb))
        read.validate()
        assert json_format.MessageToDict(read.pb) == each
        if each["predicateType"] in PROTO:
            inner = json_format.ParseDict(each["predicate"], PROTO[each["predicateType"]]())
            assert json_format.MessageToDict(inner) == each["predicate"]


def test_the_oracle_knows_a_field_that_is_not_there() -> None:
    (first, *_) = made()
    with pytest.raises(json_format.ParseError):
        json_format.ParseDict({**first["predicate"], "more": 1}, provenance_pb2.Provenance())


class FakeKey(Key):  # type: ignore[misc]
    """The same for securesystemslib."""

    @classmethod
    def from_dict(cls, keyid: str, key_dict: dict[str, Any]) -> FakeKey:
        """Make one."""
        return cls(keyid, "fake", "fake", {})

    def to_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def verify_signature(self, signature: Signature, data: bytes) -> None:
        """Verify."""
        if bytes.fromhex(signature.signature) != data[::-1]:
            raise VerificationError("not that")


def test_securesystemslib_reads_the_envelope_and_signs_the_same_bytes() -> None:
    data = signed()
    for value, mine in zip(json.loads(data), envelope.read(data, "x"), strict=True):
        theirs = dsse.Envelope.from_dict(value)
        assert theirs.payload == mine.payload
        assert theirs.pae() == envelope.encoded(mine.payload)
        assert theirs.verify([FakeKey.from_dict("A" * 40, {})], 1)
        theirs.payload += b" "
        with pytest.raises(VerificationError):
            theirs.verify([FakeKey.from_dict("A" * 40, {})], 1)
