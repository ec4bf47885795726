# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The statements about a made-up run, and a signer without a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.model import Artifact, Built, Patched, Release, Source, VerifiedFile
from pipeline.proof import envelope, statements
from pipeline.runs import lockfile, report
from pipeline.runs.lockfile import Lock
from pipeline.runs.report import Outcome, Report
from support import standin
from support.filled import filled

SHA = "ab" * 32
BEGUN, ENDED = datetime(2026, 11, 26, 17, tzinfo=UTC), datetime(2026, 11, 26, 17, 1, tzinfo=UTC)
TOP = Path("/run")
RELEASE = Release(distro="debian", codename="bookworm", version="12")
DSC = VerifiedFile(path=TOP / "source/iproute2_1-1.dsc", size=1, sha256="cd" * 32, verified="")
SOURCE = filled(Source, name="iproute2", version="1-1", release=RELEASE, files=(DSC,))
DOC = Artifact(path=TOP / "debs/iproute2-doc_1-1+bpf1_all.deb", size=3, sha256="12" * 32)
DEB = Artifact(path=TOP / "debs/iproute2_1-1+bpf1_amd64.deb", size=3, sha256=SHA)


def values(**changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the JSON of a report and of its lock."""
    dsc = TOP / "patched/iproute2_1-1+bpf1.dsc"
    patched = filled(Patched, source=SOURCE, version="1-1+bpf1", dsc=dsc, sha256="ef" * 32)
    built = filled(
        Built, version="1-1+bpf1", debs=(DOC, DEB), container="unshare", root=standin.ROOT
    )
    built = replace(built, changes=DEB, buildinfo=DEB)
    given: dict[str, Any] = {
        "outcome": Outcome.FIXED,
        "source": SOURCE,
        "findings": (),
        "patched": patched,
        "built": built,
        "control": (DSC,),
        "smoke": standin.smoked(),
    }
    done = Report(**{**given, **changes})
    locked = filled(Lock, distro="debian", codename="bookworm", files=lockfile.files(SOURCE))
    return report.to_json(done, TOP), lockfile.to_json(locked)


def made(**changes: Any) -> tuple[dict[str, Any], ...]:
    """Return the statements; ``changes`` are to the report."""
    said, lock = values(**changes)
    files, fixes = {"report.json": SHA, "respin.lock": SHA}, {"stt-object": SHA}
    return statements.of_run(said, lock, files, fixes=fixes, begun=BEGUN, ended=ENDED)


def kinds(found: Sequence[dict[str, Any]]) -> list[str]:
    """Return the predicates' types."""
    return [each["predicateType"] for each in found]


class Fake:
    """A signer whose signature is the text backwards."""

    fingerprints = ("A" * 40,)

    def signatures(self, texts: Sequence[bytes]) -> list[dict[str, bytes]]:
        """Sign."""
        return [{self.fingerprints[0]: text[::-1]} for text in texts]


def signed() -> bytes:
    """Return the content of a provenance.json."""
    return envelope.to_bytes(envelope.sign([b'{"a":1}', b"{}"], Fake()))
