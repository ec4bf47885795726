# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The package that brings clients the repository's key: ORIGIN-archive-keyring.

It works like debian-archive-keyring: a renewed or replaced key reaches every client with its next
upgrade, while the old one is still valid.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import PublishError
from pipeline.host import command
from pipeline.host.resources import render
from pipeline.publish.generations import Issued

DIRECTORY = Path("usr/share/keyrings")
"""Where packages install keyrings (sources.list(5)); a user's file of that name is replaced."""
TIMEOUT = 60.0
FORMAT = "%Y%m%d%H%M%S"


def name(origin: str) -> str:
    """Return the package's name."""
    return f"{origin}-archive-keyring".lower()


def version(origin: str, public: bytes, known: Sequence[Issued], date: int) -> str:
    """Return the version for a public key: the last one if the key is the same, else a new one.

    ``known`` are the published generations, by serial; ``date`` is that of the new index.
    """
    same = f"{hashlib.sha256(public).hexdigest()} {len(public)}"
    for issued in known[-1:]:
        if issued.keyring and issued.files.get(f"{origin}.asc") == same:
            return issued.keyring
    return datetime.fromtimestamp(date, UTC).strftime(FORMAT)


def make(directory: Path, origin: str, public: bytes, version: str) -> Path:
    """Make the package in a directory; return its path. Raises PublishError.

    The same key and version give the same bytes.
    """
    package = name(origin)
    made = datetime.strptime(version, FORMAT).replace(tzinfo=UTC)
    deb = directory / f"{package}_{version}_all.deb"
    with tempfile.TemporaryDirectory(dir=directory, prefix=".keyring-") as work:
        tree = Path(work)
        tree.chmod(0o755)
        (tree / DIRECTORY).mkdir(parents=True)
        (tree / DIRECTORY / f"{origin}.asc").write_bytes(public)
        (tree / "DEBIAN").mkdir()
        text = render("repository/keyring.control.j2", package=package, version=version, to=origin)
        (tree / "DEBIAN/control").write_text(text)
        for path in tree.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        command.run(
            ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, deb],
            env={**command.environment(), "SOURCE_DATE_EPOCH": str(int(made.timestamp()))},
            timeout=TIMEOUT,
            error=PublishError,
            brief="dpkg-deb could not make the package with the key",
        )
    return deb
