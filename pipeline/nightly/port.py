# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the archive has of the distro's own packages.

A port may lag behind: a source is there before its packages for another architecture are.
"""

from __future__ import annotations

import re
from pathlib import Path

from debian.debian_support import Version

from pipeline.archives import host_apt
from pipeline.errors import FetchError
from pipeline.runs import inputs
from pipeline.runs.request import PACKAGE, Request


def lacks(request: Request) -> bool:
    """Tell whether the archive does not have the distro's package of the requested version yet.

    This is asked only of another architecture than this machine's: its libraries may be behind as
    well, and then no cross build is possible. A later version, or a rebuild (+bN), is not behind.
    Raises RespinError.
    """
    if request.target == host_apt.architecture() or request.version is None:
        return False
    archive = inputs.archive_of(request)
    archive.check_architecture()
    found = archive.binary_versions(PACKAGE)
    return not any(Version(version) >= Version(request.version) for version in found)


def package(request: Request, name: str, dest: Path) -> Path | None:
    """Fetch the distro's package of the requested version into the directory ``dest``.

    A rebuild of the same source (+bN) counts, too. Returns None if the archive has no package of
    this name at all. Raises FetchError if it has none of this version yet, and other RespinErrors.
    """
    archive = inputs.archive_of(request)
    same = re.compile(rf"{re.escape(str(request.version))}(\+b[0-9]+)?")
    found = archive.binary_versions(name)
    for version in found:
        if same.fullmatch(version):
            return archive.fetch_binary(name, version, dest).path
    if found:
        raise FetchError(
            f"the archive does not have {name} {request.version} yet, to compare with",
            details=f"it has {', '.join(found)}",
            hint="collect the run again when it has",
        )
    return None
