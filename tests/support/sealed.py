# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run directories without a run, sealed as a run seals its own."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from pipeline.archives import openpgp
from pipeline.fixes.fixes import all_fixes
from pipeline.model import Release
from pipeline.proof.envelope import Signer
from pipeline.publish import keys
from pipeline.runs import sealed
from support import packages, standin

RELEASE = Release(distro="debian", codename="bookworm", version="12")


def seal(directory: Path, signer: Signer | None) -> Path:
    """Write the statements about what is in a directory now; return it."""
    sealed.seal(directory, fixes=all_fixes(), signer=signer, begun=datetime.now(UTC))
    return directory


def run(directory: Path, signer: Signer | None) -> Path:
    """Leave what a run leaves."""
    dsc = packages.make_source(directory.parent / f"{directory.name}.made", version="6.1.0-1")
    return seal(standin.make(directory, dsc, RELEASE), signer)


def key(state: Path) -> tuple[keys.Key, bytes]:
    """Make a key; return it and its public half, in binary form."""
    made = keys.init(state, "a worker")
    return made, openpgp.binary(made.public())


def expire(made: keys.Key, seconds: int) -> bytes:
    """Let a key expire so many seconds from now, wait for it, and return its public half."""
    assert made.home
    when = ("--quick-set-expire", made.fingerprints[0], f"seconds={seconds}")
    keys.change(made.home, *when, brief="set the expiry")
    time.sleep(seconds + 1)
    return openpgp.binary(made.public())
