# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The root of a container that is already there: this machine's own, completed by apt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.containers import apt_inside, roots
from pipeline.containers.host import Host
from pipeline.errors import UsageError
from pipeline.files import os_release
from pipeline.model import AptSource, Package, Release


def install(
    sources: Sequence[AptSource], release: Release, key: Sequence[Package], log: Path
) -> tuple[Package, ...]:
    """Install exactly these packages here; return all that is installed.

    Raises UsageError if this is another release.
    """
    try:
        fields = os_release.read()
    except OSError as e:
        raise UsageError(
            f"this machine does not say which release it is: {os_release.PATH}: {e.strerror}"
        ) from e
    apt_inside.check_release(fields, release, "this machine")
    there = {(p.name, p.version) for p in roots.packages_of(Path("/"))}
    if any((p.name, p.version) not in there for p in key):
        with Host(network=True) as box:
            apt_inside.install(box, sources, key, log)
    return roots.packages_of(Path("/"))
