# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that appear in a directory together, or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import FetchError


class Staging:
    """A directory beside ``dest`` that files leave for it together, or not at all."""

    def __init__(self, dest: Path) -> None:
        self._dest = dest

    def __enter__(self) -> Staging:
        try:
            self._dest.parent.mkdir(parents=True, exist_ok=True)
            self.path = Path(tempfile.mkdtemp(dir=self._dest.parent, prefix=".fetch-"))
        except OSError as e:
            raise FetchError(
                f"{self._dest.parent} cannot be written: {e.strerror}",
                hint="choose another directory",
            ) from e
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def keep(self, names: Iterable[str]) -> None:
        """Move the files to where they belong."""
        self._dest.mkdir(parents=True, exist_ok=True)
        for name in names:
            (self.path / name).replace(self._dest / name)
