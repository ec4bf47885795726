# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The object files that a build leaves beside its packages, for a comparison with another build."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from pipeline.containers.base import Container, take
from pipeline.errors import BuildError

SUFFIX = ".o"
MOST = 2000
"""How many there may be; iproute2 6.1 has 250."""
LIST_BYTES = 1 << 20
BYTES = 512 << 20
"""Of all of them; iproute2 6.1's have 17 MB, mostly debugging information."""
SECONDS = 120.0
_NAME = re.compile(r"[\w.+-]+(/[\w.+-]+)*\.o", re.ASCII)
_BETWEEN = "@"
"""Stands for the slash in the name of a copy; no name that is accepted has it."""
LONGEST = 100
"""Bytes of a name in a tar archive of the old form."""


def copy_out(container: Container, directory: str, dest: Path) -> None:
    """Copy the object files below a directory of the container into ``dest``, a new directory.

    The copy of ``lib/bpf.o`` is ``lib@bpf.o``; ``names`` gives back the names. The container is
    not trusted: only files with a plain name are taken. Raises BuildError.
    """
    brief = f"respin could not copy the object files out of {directory}"
    argv = ["find", ".", "-type", "f", "-name", f"*{SUFFIX}", "-printf", r"%P\0"]
    found = container.call(
        argv, directory=directory, limit=LIST_BYTES, timeout=SECONDS, brief=brief
    ).stdout
    names = found.decode("utf-8", "replace").split("\0")[:-1]
    wrong = [n for n in names if not _NAME.fullmatch(n) or ".." in n or len(n) > LONGEST]
    if wrong or len(names) > MOST:
        what = f"{wrong[0]!r:.80} is not a plain name" if wrong else f"there are {len(names)}"
        raise BuildError(brief, details=what)
    dest.mkdir(parents=True)
    argv = ["tar", "--create", "--file=-", "--format=ustar", f"--transform=s,/,{_BETWEEN},g"]
    with tempfile.TemporaryFile(dir=dest) as archive:
        container.call(
            [*argv, "--verbatim-files-from", "--null", "--files-from=-"],
            directory=directory,
            stdin="".join(f"{name}\0" for name in names).encode(),
            stdout=archive,
            limit=BYTES,
            timeout=SECONDS,
            brief=brief,
        )
        archive.seek(0)
        take(archive, frozenset(name.replace("/", _BETWEEN) for name in names), dest)


def names(directory: Path) -> dict[str, Path]:
    """Return the copies in a directory by the names that the files had in the build."""
    return {p.name.replace(_BETWEEN, "/"): p for p in sorted(directory.glob(f"*{SUFFIX}"))}
