# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Check provenance.json: who signed it, whether it is whole, and whether it fits the files.

What it holds may come from anybody. Only after the signatures are good is a statement read, and
only the kinds of statements that this version of respin writes are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import NotVerified
from pipeline.files import bounded, schema
from pipeline.proof import envelope, manifest, signers, statements
from pipeline.proof.envelope import HINT, Envelope

SHOWN = 20
"""Differences that an error lists."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Statements that belong together, and who signed them."""

    statements: Mapping[str, Mapping[str, Any]]
    """Type of the predicate -> the statement."""
    signers: tuple[str, ...]
    """Fingerprints of the trusted keys that signed each of them."""
    made: int = 0
    """When they were signed, by the signatures' own word, in seconds since 1970."""
    expired: tuple[str, ...] = ()
    """Those of the keys that have expired since."""

    def subjects(self, kind: str) -> dict[str, str]:
        """Return what a statement is about: path -> SHA-256; nothing if there is no such one."""
        subject = self.statements.get(kind, {"subject": ()})["subject"]
        return {each["name"]: each["digest"]["sha256"] for each in subject}

    def predicate(self, kind: str) -> Mapping[str, Any]:
        """Return what a statement says; nothing if there is no such one."""
        found: Mapping[str, Any] = self.statements.get(kind, {"predicate": {}})["predicate"]
        return found


def directory(path: Path, trusted: Sequence[bytes]) -> Proof:
    """Check a run's directory: every file in it is as it was when the statements were signed.

    ``trusted`` are binary keyrings. Raises NotVerified, naming the files that differ.
    """
    name = path / envelope.NAME
    found = envelopes(name)
    if not any(each.signatures for each in found):
        raise unsigned(str(name))
    proof = _verified(found, str(name), trusted)
    _hold(path, proof)
    return proof


def held(path: Path) -> Proof:
    """Check a run's directory against its own statements, whoever signed them."""
    proof = claimed(path / envelope.NAME)
    _hold(path, proof)
    return proof


def package(
    path: Path, beside: Path, trusted: Sequence[bytes], *, shown: tuple[str, str] | None = None
) -> Proof:
    """Check a .deb or .dsc against the statements in the file ``beside`` it. Raises NotVerified.

    They must have its content under its name.

    ``shown`` is what errors call the two, if not by these paths.
    """
    what, name = shown or (str(path), str(beside))
    proof = of_file(beside, trusted, shown=name)
    try:
        found = manifest.sha256(path)
    except OSError as e:
        raise _unreadable(path, e) from e
    names = made(proof)
    # A package that was withdrawn is still signed: under the name of another it is not that one.
    if names.get(path.name) != found:
        raise NotVerified(
            f"{what} is not the {path.name} that {name} is about"
            if path.name in names
            else f"{name} does not name {path.name}",
            details=f"SHA-256 of {path.name}: {found}\n"
            + "\n".join(f"named there: {each}: {sha}" for each, sha in names.items()),
            hint="get the package and its statements from one run",
        )
    return proof


def made(proof: Proof) -> dict[str, str]:
    """Return the packages and the source that statements are about: name of the file -> SHA-256.

    respin need not have made them: it may have tested what was built elsewhere.
    """
    return {
        name.rpartition("/")[2]: sha256
        for name, sha256 in proof.subjects(statements.RUN).items()
        if name.startswith(("debs/", "patched/")) and name.endswith((".deb", ".ddeb", ".dsc"))
    }


def of_file(path: Path, trusted: Sequence[bytes], *, shown: str = "") -> Proof:
    """Check the statements in a file, and nothing that they are about. Raises NotVerified.

    ``shown`` is what errors call it, if not by its path.
    """
    name = shown or str(path)
    found = envelopes(path, name)
    if not any(each.signatures for each in found):
        raise unsigned(name)
    return _verified(found, name, trusted)


def claimed(path: Path) -> Proof:
    """Read the statements in a file, whoever signed them. Raises NotVerified if it is not whole."""
    return _read(envelopes(path), str(path))


def unsigned(name: str) -> NotVerified:
    """Return the error for statements without a signature."""
    return NotVerified(
        f"{name} is not signed, so nobody vouches for what it says",
        hint="make a key with respin key init, or name one with --sign-with, and repeat the run",
    )


def envelopes(path: Path, shown: str = "") -> tuple[Envelope, ...]:
    """Return the envelopes in a file, of which nothing is verified yet. Raises NotVerified."""
    try:
        data = bounded.read(path, envelope.LIMIT, follow=False)
    except OSError as e:
        raise _unreadable(path, e) from e
    return envelope.read(data, shown or str(path))


def _unreadable(path: Path, e: OSError) -> NotVerified:
    return NotVerified(f"{path} cannot be read: {e.strerror}", hint=HINT)


def _verified(each_one: Sequence[Envelope], name: str, trusted: Sequence[bytes]) -> Proof:
    """Check who signed the envelopes, then read them."""
    signed: list[dict[str, int]] = []
    expired: set[str] = set()
    for each in each_one:
        found, old = signers.of(each, name, trusted)
        signed.append(found)
        expired |= old
    of_all = [key for key in signed[0] if all(key in found for found in signed)]
    if not of_all:
        raise NotVerified(f"no key has signed all statements in {name}", hint=HINT)
    read = _read(each_one, name)
    return Proof(
        statements=read.statements,
        signers=tuple(of_all),
        made=max(found[key] for found in signed for key in of_all),
        expired=tuple(key for key in of_all if key in expired),
    )


def _read(each_one: Sequence[Envelope], name: str) -> Proof:
    """Read the statements, whoever signed them, and see that none is missing."""
    found: dict[str, dict[str, Any]] = {}
    for each in each_one:
        value = statement(each.payload, name)
        if value["predicateType"] in found:
            raise NotVerified(f"{name} has two statements of one kind", hint=HINT)
        found[value["predicateType"]] = value
    if statements.RUN not in found:
        raise NotVerified(f"{name} is not whole: it does not say what the run left", hint=HINT)
    digests = {
        value["predicateType"]: hashlib.sha256(envelope.canonical(value)).hexdigest()
        for value in found.values()
        if value["predicateType"] != statements.RUN
    }
    listed = {
        each["predicateType"]: each["sha256"]
        for each in found[statements.RUN]["predicate"].get("statements", ())
    }
    if digests != listed:
        raise NotVerified(f"{name} is not whole: its statements are not of one run", hint=HINT)
    return Proof(statements=found, signers=())


def statement(payload: bytes, name: str) -> dict[str, Any]:
    """Return the statement in a payload. Raises NotVerified for one that respin does not write."""
    try:
        value = bounded.parse_json(payload)
        schema.hold(value, "pipeline.proof", "statement.schema.json")
    except ValueError as e:
        raise NotVerified(
            f"{name} has a statement that is not one", details=str(e), hint=HINT
        ) from e
    kind = (value["_type"], value["predicateType"])
    if kind[0] != statements.STATEMENT or kind[1] not in statements.KINDS:
        raise NotVerified(
            f"{name} has a statement of a kind that this respin does not know",
            details=f"{kind[0]} with {kind[1]}",
            hint="use the version of respin that made it, or a newer one",
        )
    if envelope.canonical(value) != payload:
        raise NotVerified(f"{name} has a statement in another form than respin's", hint=HINT)
    return dict(value)


def _hold(path: Path, proof: Proof) -> None:
    """Compare the files in a directory with the statements. Raises NotVerified."""
    want = proof.subjects(statements.RUN)
    try:
        there = set(manifest.names(path))
        wrong = [f"{name}: is missing" for name in want if name not in there]
        wrong += [f"{name}: was added" for name in sorted(there - want.keys())]
        wrong += [
            f"{name}: has changed"
            for name, sha256 in want.items()
            if name in there and manifest.sha256(path / name) != sha256
        ]
    except OSError as e:
        raise NotVerified(f"{e.filename or path} cannot be read: {e.strerror}", hint=HINT) from e
    if wrong:
        more = [f"and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
        raise NotVerified(
            f"{path} is not as it was when its run ended",
            details="\n".join([*wrong[:SHOWN], *more]),
            hint=HINT,
        )
