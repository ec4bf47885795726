# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a night has published, without what differs from one night to another that does the same."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from pipeline.host.cache import file_sha256
from pipeline.proof import envelope

# They have dates, or are what is signed over dates.
DATED = ("Release", "InRelease", "Release.gpg")


def files(public: Path, targets: Iterable[str]) -> dict[str, str]:
    """Return the files of the repositories: path -> what identifies the content."""
    found = {}
    for target in targets:
        for path in sorted((public / target).rglob("*")):
            if path.is_file() and path.name not in DATED and "by-hash" not in path.parts:
                found[f"{target}/{path.relative_to(public / target)}"] = content(path)
    return found


def content(path: Path) -> str:
    """Return what identifies a file; of signed statements, which have dates, who signed them."""
    if not path.name.endswith(envelope.NAME):
        return file_sha256(path)
    found = envelope.read(path.read_bytes(), path.name)
    return json.dumps([sorted(each.signatures) for each in found])
