# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What was verified of a run, in words and as JSON."""

from __future__ import annotations

from typing import Any

from pipeline.nightly import status
from pipeline.proof import check, statements
from pipeline.proof.check import Proof

SCHEMA = 1


def to_json(proof: Proof, again: dict[str, str] | None = None) -> dict[str, Any]:
    """Return what was verified as JSON."""
    return {
        "schema": SCHEMA,
        "signers": list(proof.signers),
        "expired": list(proof.expired),
        "signed": status.iso(proof.made),
        "rebuilt": again,
        "statements": list(proof.statements.values()),
    }


def words(
    proof: Proof, again: dict[str, str] | None = None, package: str = ""
) -> list[tuple[str, str]]:
    """Return what was verified, in words: label and text.

    ``package`` is the SHA-256 of the one package that it is about; empty: it is about a whole run.
    """
    run = proof.predicate(statements.RUN)
    found = [("signed by", key) for key in proof.signers]
    found.append(("signed", status.iso(proof.made) or ""))
    found += [
        ("", f"the key {key} has expired since; it was valid when it signed")
        for key in proof.expired
    ]
    source = run["source"]
    found.append(("outcome", str(run["outcome"])))
    found.append(("source", f"{source['name']} {source['version']} of {run['release']}"))
    there = check.made(proof)
    if package:
        found += [("package", _named(name)) for name, sha in there.items() if sha == package]
    made = proof.subjects(statements.PROVENANCE)
    read = {name: sha256 for name, sha256 in made.items() if package in ("", sha256)}
    for name, sha256 in read.items():
        found += [("made", name), ("  SHA-256", sha256)]
    found += [("same run", f"{name} (not checked here)") for name in made if name not in read]
    if there and not made:
        found.append(("made", "no statement says who made these files, and from what"))
    found.append(("smoke test", _tested(proof, package)))
    if again is not None:
        found.append(("made again", f"{len(again)} packages, the same byte for byte"))
    found += [("not known", text) for text in run["unverified"]]
    return found


def _named(name: str) -> str:
    """Return what the name of a package's file says: its version and architecture."""
    package, version, architecture = (*name.rpartition(".")[0].split("_"), "", "")[:3]
    return " ".join(filter(None, (package, version, architecture)))


def _tested(proof: Proof, package: str) -> str:
    tested, subjects = proof.predicate(statements.TESTED), proof.subjects(statements.TESTED)
    if not tested:
        return "none: nothing is proven of these files"
    if package and package not in subjects.values():
        return f"this package was not tested; tested: {', '.join(subjects)}"
    passed, failed, warned = (
        tested.get(key, ()) for key in ("passedTests", "failedTests", "warnedTests")
    )
    control = sum(each.endswith(" before: refused") for each in passed)
    loads = sum(each.endswith(" after: loads") for each in passed)
    where = tested["configuration"][0].get("annotations", {})
    return (
        f"{tested['result']} on {where.get('kernel', '')}: {len(passed)} results as expected, "
        f"{len(failed)} not, {len(warned)} not possible; the package without the fix refused "
        f"{control} objects, the new one loaded {loads}"
    )
