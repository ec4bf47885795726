# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a build says of itself, .changes and .buildinfo: read as what a stranger says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from debian.deb822 import Deb822

from pipeline.archives import dsc_file
from pipeline.archives.dsc_file import Listed
from pipeline.errors import BuildError, FetchError
from pipeline.files import bounded
from pipeline.model import Package

LIMIT = 4 << 20
"""Bytes; those of iproute2 have 3 kB and 10 kB."""

_INSTALLED = re.compile(r"^\s*(\S+?)(?::(\S+))? \(= (\S+)\)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Upload:
    """The fields of a .changes or a .buildinfo that the pipeline relies on."""

    source: str
    version: str
    architecture: str
    """Of a .buildinfo: the one that it was built on."""
    files: tuple[Listed, ...]
    installed: tuple[Package, ...]
    """Of a .buildinfo: the packages that were installed."""


def read(path: Path) -> Upload:
    """Read a .changes or a .buildinfo. Raises BuildError if it is none."""
    try:
        data = bounded.read(path, LIMIT)
    except OSError as e:
        raise BuildError(f"{path} cannot be read: {e.strerror}") from e
    return parse(data, path.name)


def parse(data: bytes, where: str) -> Upload:
    """Read the text of a .changes or a .buildinfo; ``where`` names it. Raises BuildError."""
    try:
        data.decode("utf-8")
        fields = Deb822(data)  # not as text, of which it takes more than newlines to end lines
        sums = _sums(str(fields.get("Checksums-Sha256", "")))
        listed = dsc_file.listed(sums, where) if sums else ()
    except FetchError as e:
        raise BuildError(e.brief, details=e.details) from e
    except (ValueError, KeyError, EOFError, TypeError) as e:
        raise BuildError(f"{where} is not as dpkg writes it", details=str(e)[:400]) from e
    architecture = str(fields.get("Build-Architecture", ""))
    return Upload(
        source=str(fields.get("Source", "")),
        version=str(fields.get("Version", "")),
        architecture=architecture,
        files=listed,
        installed=tuple(
            Package(name=name, version=version, architecture=arch or architecture)
            for name, arch, version in _INSTALLED.findall(
                str(fields.get("Installed-Build-Depends", ""))
            )
        ),
    )


def _sums(field: str) -> list[dict[str, str]]:
    """Return the entries of a Checksums-Sha256 field."""
    rows = [line.split() for line in field.splitlines() if line.strip()]
    if any(len(row) != 3 for row in rows):
        raise ValueError("a line of Checksums-Sha256 is not a sum, a size and a name")
    return [dict(zip(("sha256", "size", "name"), row, strict=True)) for row in rows]
