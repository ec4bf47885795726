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

    A rebuild of the same source (+bN) counts, too. Returns None if the archive has none. Raises
    RespinError.
    """
    archive = inputs.archive_of(request)
    same = re.compile(rf"{re.escape(str(request.version))}(\+b[0-9]+)?")
    for version in archive.binary_versions(name):
        if same.fullmatch(version):
            return archive.fetch_binary(name, version, dest).path
    return None
