# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The last step of a run: provenance.json, with signed statements about all that it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pipeline.files import bounded
from pipeline.fixes.fixes import Fix
from pipeline.proof import envelope, manifest, statements
from pipeline.proof.envelope import Signer
from pipeline.runs import lockfile
from pipeline.runs.directory import REPORT, UNFINISHED
from pipeline.runs.lockfile import content_of


def seal(
    directory: Path,
    *,
    fixes: Sequence[Fix],
    signer: Signer | None,
    begun: datetime,
    made: bool = True,
) -> None:
    """Write provenance.json into a directory that has everything else.

    ``fixes`` are those that were asked for. Without a ``signer`` the statements are not signed.
    Unless respin ``made`` its packages, here or in a run that a trusted key signed, none of them
    says who did.
    Raises PublishError if the key cannot sign, OSError if the file cannot be written.
    """
    texts = statements.of_run(
        bounded.from_json(directory / REPORT, bounded.LARGE),
        bounded.from_json(directory / lockfile.NAME, bounded.LARGE),
        manifest.of(directory, without=(envelope.NAME, UNFINISHED)),
        fixes={fix.name: content_of(fix) for fix in fixes},
        begun=begun,
        ended=datetime.now(UTC),
        made=made,
    )
    payloads = [envelope.canonical(each) for each in texts]
    signed = envelope.sign(payloads, signer)
    (directory / envelope.NAME).write_bytes(envelope.to_bytes(signed))
