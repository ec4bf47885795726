# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""provenance.json: a list of DSSE envelopes, each with an in-toto statement and its signatures.

DSSE 1.0.2 (github.com/secure-systems-lab/dsse) says what is signed and how an envelope looks. The
signature is OpenPGP's, as gpg makes it and gpgv checks it. docs/proof.md shows how to check one
without respin. Debian 12's securesystemslib has no envelope, so this module is the one place that
knows the form; tests/unit/test_statements.py holds it against that library and in-toto's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.errors import NotVerified
from pipeline.files import bounded, schema

NAME = "provenance.json"
TYPE = "application/vnd.in-toto+json"
"""The type of the payload (in-toto attestation framework, envelope.md)."""
LIMIT = 16 << 20
"""Bytes of the file; that of a run has about 200 kB."""
HINT = "get the unchanged file from whoever made the run, or repeat the run"


class Signer(Protocol):
    """Whoever signs: an OpenPGP key, or several."""

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The keys; each signs on its own."""

    def signatures(self, texts: Sequence[bytes]) -> list[dict[str, bytes]]:
        """Return for each text the signature (RFC 4880, binary) of each key by its fingerprint."""


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A statement and its signatures."""

    payload: bytes
    signatures: Mapping[str, bytes]
    """Fingerprint of the key, as the envelope names it -> the signature."""


def encoded(payload: bytes) -> bytes:
    """Return what is signed: DSSE's pre-authentication encoding (PAE) of a payload."""
    return b"DSSEv1 %d %s %d %s" % (len(TYPE), TYPE.encode(), len(payload), payload)


def canonical(value: object) -> bytes:
    """Return the only JSON text of a value that respin writes and accepts here."""
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode()


def sign(payloads: Sequence[bytes], signer: Signer | None) -> tuple[Envelope, ...]:
    """Return the envelopes of payloads; without a ``signer`` they have no signatures."""
    texts = [encoded(payload) for payload in payloads]
    each: Sequence[Mapping[str, bytes]] = signer.signatures(texts) if signer else [{}] * len(texts)
    return tuple(
        Envelope(payload=payload, signatures=signatures)
        for payload, signatures in zip(payloads, each, strict=True)
    )


def to_bytes(envelopes: Sequence[Envelope]) -> bytes:
    """Return the content of provenance.json: a list in JSON, one envelope a line."""
    lines = (
        canonical(
            {
                "payload": base64.b64encode(envelope.payload).decode(),
                "payloadType": TYPE,
                "signatures": [
                    # OpenPGP leaves some bytes of a signature unsigned (RFC 4880, 5.2.3.2), so
                    # gpgv cannot see that one of them has changed; the digest shows it.
                    {
                        "keyid": key,
                        "sha256": hashlib.sha256(signature).hexdigest(),
                        "sig": base64.b64encode(signature).decode(),
                    }
                    for key, signature in envelope.signatures.items()
                ],
            }
        )
        for envelope in envelopes
    )
    return b"[\n" + b",\n".join(lines) + b"\n]\n"


def read(data: bytes, name: str) -> tuple[Envelope, ...]:
    """Return the envelopes in the content of provenance.json; ``name`` is the file's, for errors.

    Nothing is verified yet. Raises NotVerified for anything but what ``to_bytes`` writes.
    """
    try:
        values = bounded.parse_json(data)
        schema.hold(values, "pipeline.proof", "envelope.schema.json")
        found = tuple(map(_envelope, values))
    except schema.Wrong as e:
        raise _broken(name, str(e)) from e
    except (ValueError, binascii.Error) as e:
        what = "it is cut off, or not JSON" if isinstance(e, json.JSONDecodeError) else str(e)
        raise _broken(name, what) from e
    if to_bytes(found) != data:
        raise _broken(name, "it was changed: respin writes the same content in another form")
    return found


def _envelope(value: Mapping[str, Any]) -> Envelope:
    each = value["signatures"]
    signatures = {s["keyid"]: base64.b64decode(s["sig"], validate=True) for s in each}
    return Envelope(
        payload=base64.b64decode(value["payload"], validate=True), signatures=signatures
    )


def _broken(name: str, why: str) -> NotVerified:
    return NotVerified(f"{name} does not hold signed statements of respin", details=why, hint=HINT)
