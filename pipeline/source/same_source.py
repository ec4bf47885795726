# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare two source packages: what they unpack to, and what their .dsc files say.

Two machines may compress the same content differently, so contents are compared.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from debian.deb822 import Deb822

from pipeline.archives import dsc_file
from pipeline.archives.dsc_file import Listed
from pipeline.files import bounded, compressed

LARGEST = 512 << 20
"""Bytes to which one file may unpack; iproute2's have 1 MB."""
SUMS = ("files", "checksums-sha1", "checksums-sha256")


def difference(one: Path, other: Path) -> str:
    """Return how two .dsc with their files differ; empty if they do not.

    Raises FetchError for a file that is not a source package.
    """
    first, second = _fields(one), _fields(other)
    for name in first.keys() | second.keys():
        if first.get(name) != second.get(name):
            return f"the field {name} of the .dsc"
    files = {f.name: f for f in dsc_file.read(one).files}
    others = {f.name: f for f in dsc_file.read(other).files}
    for name in files.keys() | others.keys():
        mine, theirs = files.get(name), others.get(name)
        if mine is None or theirs is None:
            return f"{name}, which only one of them has"
        if mine == theirs:
            continue
        if ".orig" in name or _content(one, mine) != _content(other, theirs):
            return f"the content of {name}"
    return ""


def _fields(dsc: Path) -> dict[str, str]:
    fields = Deb822(bounded.read(dsc, dsc_file.LIMIT))
    return {k.lower(): str(v) for k, v in fields.items() if k.lower() not in SUMS}


def _content(dsc: Path, file: Listed) -> str:
    path = dsc.parent / file.name
    dsc_file.check_file(path, file, dsc.name)
    sha = hashlib.sha256()
    for piece in compressed.pieces(path, path.suffix, LARGEST):
        sha.update(piece)
    return sha.hexdigest()
