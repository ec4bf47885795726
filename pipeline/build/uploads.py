# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Read what a build says about itself (.changes and .buildinfo), as untrusted input."""

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
"""Bytes of such a file; iproute2's have 3 kB and 10 kB."""

_INSTALLED = re.compile(r"^\s*(\S+?)(?::(\S+))? \(= (\S+)\)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Upload:
    """The fields of a .changes or a .buildinfo that respin uses."""

    source: str
    version: str
    architecture: str
    """Of a .buildinfo: the architecture of the build."""
    files: tuple[Listed, ...]
    installed: tuple[Package, ...]
    """Of a .buildinfo: the installed packages."""


def read(path: Path) -> Upload:
    """Read a .changes or a .buildinfo. Raises BuildError if it is not valid."""
    try:
        data = bounded.read(path, LIMIT)
    except OSError as e:
        raise BuildError(f"respin could not read {path}: {e.strerror}") from e
    return parse(data, path.name)


def parse(data: bytes, where: str) -> Upload:
    """Read the text of a .changes or a .buildinfo; ``where`` names it. Raises BuildError."""
    try:
        data.decode("utf-8")
        fields = Deb822(data)  # bytes: in text more than newlines end lines
        sums = _sums(str(fields.get("Checksums-Sha256", "")))
        listed = dsc_file.listed(sums, where) if sums else ()
    except FetchError as e:
        raise BuildError(e.brief, details=e.details) from e
    except (ValueError, KeyError, EOFError, TypeError) as e:
        raise BuildError(
            f"{where} does not have the form that dpkg writes", details=str(e)[:400]
        ) from e
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
        raise ValueError("a line of Checksums-Sha256 does not consist of a sum, a size and a name")
    return [dict(zip(("sha256", "size", "name"), row, strict=True)) for row in rows]
