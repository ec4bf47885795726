# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of the project's repository, for the tests of its supply chain."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from support.cli import CHECKOUT

LOCKS = ("requirements.lock", "requirements-dev.lock")


def tracked() -> list[Path]:
    """Return the repository's files, as they are in the checkout now, including links."""
    shown = subprocess.run(
        ["git", "-c", f"safe.directory={CHECKOUT}", "ls-files", "-z"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [path for name in shown.split("\0")[:-1] if os.path.lexists(path := CHECKOUT / name)]


def copied(tree: Path) -> Path:
    """Copy the repository's files to the new directory ``tree``, and return it."""
    for path in tracked():
        target = tree / path.relative_to(CHECKOUT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target, follow_symlinks=False)
    return tree


def files() -> list[Path]:
    """Return the repository's text files."""
    return [path for path in tracked() if path.is_file()]


def make(*argv: str, cwd: Path = CHECKOUT, **env: str) -> subprocess.CompletedProcess[str]:
    """Call make, but not as a part of the make that runs the tests."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PIP_"))}
    return subprocess.run(
        ["make", "--no-print-directory", *argv],
        cwd=cwd,
        env={**mine, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def entries(lock: str) -> dict[str, list[str]]:
    """Return the lines of a lock's packages by name==version; refuse any other kind of line."""
    found: dict[str, list[str]] = {}
    hashes: list[str] = []
    for line in (CHECKOUT / lock).read_text().splitlines():
        if line.lstrip().startswith("#"):
            continue
        if named := re.fullmatch(r"([a-z0-9-]+==[\w.]+)( ; [^\\]+)? \\", line):
            hashes = found.setdefault(named[1], [])
        else:
            given = re.fullmatch(r"    --hash=(sha256:[0-9a-f]{64})( \\)?", line)
            assert given, f"{lock}: {line!r} is neither a package at one version nor a hash"
            hashes.append(given[1])
    return found
