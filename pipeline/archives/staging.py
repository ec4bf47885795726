# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that appear in a directory together, or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import FetchError


@dataclass(frozen=True, kw_only=True)
class Staging:
    """A directory beside ``dest``, from which files move there together, or not at all."""

    path: Path
    dest: Path

    def keep(self, names: Iterable[str]) -> None:
        """Move the files to where they belong."""
        self.dest.mkdir(parents=True, exist_ok=True)
        for name in names:
            (self.path / name).replace(self.dest / name)


@contextmanager
def staged(dest: Path) -> Iterator[Staging]:
    """Yield a directory for the files of ``dest``. Raises FetchError if it cannot be made."""
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
        path = Path(tempfile.mkdtemp(dir=dest.parent, prefix=".fetch-"))
    except OSError as e:
        raise FetchError(
            f"{dest.parent} cannot be written: {e.strerror}", hint="choose another directory"
        ) from e
    try:
        yield Staging(path=path, dest=dest)
    finally:
        shutil.rmtree(path, ignore_errors=True)
