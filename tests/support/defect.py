# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Other versions of iproute2, made from Debian's verified 6.1.0-3."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from pipeline.host import command
from support import real

ENTRY = """iproute2 ({version}) unstable; urgency=medium

  * For a test.

 -- Nobody <nobody@example.org>  Mon, 22 May 2023 15:00:00 +0100

"""


def renumbered(directory: Path, version: str, change: Callable[[Path], None] | None = None) -> Path:
    """Make another version of Debian's source in ``directory``, a new one; return its .dsc.

    ``change`` changes its tree. The original tarball is the same, whatever the upstream version
    says.
    """
    directory.mkdir(parents=True)
    tree = directory / "iproute2-6.1.0"
    command.run(["dpkg-source", "--no-check", "-x", real.dsc(), tree], cwd=directory)
    tarball = f"iproute2_{version.rpartition('-')[0]}.orig.tar.xz"
    shutil.copy(real.dsc().with_name("iproute2_6.1.0.orig.tar.xz"), directory / tarball)
    if change:
        change(tree)
    changelog = tree / "debian/changelog"
    changelog.write_text(ENTRY.format(version=version) + changelog.read_text())
    command.run(["dpkg-source", "-b", tree.name], cwd=directory)
    shutil.rmtree(tree)
    return directory / f"iproute2_{version}.dsc"
