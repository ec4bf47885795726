# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""``respin verify``: who vouches for a run or a package, and what they say of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pipeline.cli import terminal
from pipeline.cli.options import CONFIG, FILE, JSON, PATH, takes
from pipeline.cli.request import configured
from pipeline.errors import NotVerified, UsageError
from pipeline.nightly import status
from pipeline.proof import check, envelope, statements
from pipeline.proof.check import Proof
from pipeline.publish import trust

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    """The options of ``respin verify``."""

    what: Path
    keys: tuple[Path, ...]
    provenance: Path | None
    config: Path | None
    as_json: bool


@click.command(name="verify")
@click.argument("what", metavar="RUN|DEB", type=PATH)
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=FILE,
    help="Public key that must have signed; can be repeated [default: the keys under [trust], and "
    "this machine's own].",
)
@click.option(
    "--provenance",
    type=FILE,
    help="The signed statements about a package [default: those beside it].",
)
@CONFIG
@JSON
@takes(VerifyOptions)
def verify_command(options: VerifyOptions) -> None:
    """Check the signed statements about RUN, the directory of a run, or about a package of one.

    Says who signed them and what was proven. Exits 19 if a statement is missing, is not signed by a
    trusted key, or does not fit the files.
    """
    trusted = trust.trusted(configured(options.config), options.keys)
    if options.what.is_dir():
        if options.provenance:
            raise UsageError(
                "--provenance is for a package; a run's directory has its own statements",
                hint="omit it",
            )
        proof = check.directory(options.what, trusted)
    else:
        beside = options.provenance or beside_package(options.what)
        proof = check.package(options.what, beside, trusted)
    show(proof, options.what, as_json=options.as_json)


def beside_package(path: Path) -> Path:
    """Return the file with the statements about a package. Raises NotVerified if there is none.

    It is beside the package, as in a repository of ours, or in the directory of its run.
    """
    places = [
        path.with_suffix(f".{envelope.NAME}"),
        path.with_name(envelope.NAME),
        path.absolute().parent.parent / envelope.NAME,
    ]
    for place in places:
        if place.is_file():
            return place
    if not path.exists():
        raise UsageError(f"{path} does not exist", hint="name a run's directory, or a package")
    raise NotVerified(
        f"there are no signed statements about {path}",
        details="respin looked for\n" + "\n".join(map(str, places)),
        hint="name the file with --provenance",
    )


def show(proof: Proof, what: Path, *, as_json: bool) -> None:
    """Write what was verified to standard output."""
    if as_json:
        terminal.say_json(to_json(proof))
        return
    terminal.say(f"{what}: verified")
    for label, text in words(proof):
        terminal.say_wrapped(f"  {label:10} ", text)


def to_json(proof: Proof) -> dict[str, Any]:
    """Return what was verified as JSON."""
    return {
        "schema": SCHEMA,
        "signers": list(proof.signers),
        "expired": list(proof.expired),
        "signed": status.iso(proof.made),
        "statements": list(proof.statements.values()),
    }


def words(proof: Proof) -> list[tuple[str, str]]:
    """Return what was verified, in words: label and text."""
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
    for name, sha256 in proof.subjects(statements.PROVENANCE).items():
        found += [("made", name), ("  SHA-256", sha256)]
    found.append(("smoke test", _tested(proof)))
    found += [("not known", text) for text in run["unverified"]]
    return found


def _tested(proof: Proof) -> str:
    tested = proof.predicate(statements.TESTED)
    if not tested:
        return "none: nothing is proven of these files"
    passed, failed, warned = (
        tested.get(key, ()) for key in ("passedTests", "failedTests", "warnedTests")
    )
    control = sum(" before: refused" in each for each in passed)
    loads = sum(" after: loads" in each for each in passed)
    where = tested["configuration"][0].get("annotations", {})
    return (
        f"{tested['result']} on {where.get('kernel', '')}: {len(passed)} results as expected, "
        f"{len(failed)} not, {len(warned)} not possible; the package without the fix refused "
        f"{control} objects, the new one loaded {loads}"
    )
