# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""How full a file system is."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Space:
    """A file system and its bytes."""

    device: int
    used: int
    free: int
    """What this user can still write."""

    @property
    def percent(self) -> int:
        """How full it is for this user; like df(1), a started per cent counts as one."""
        return -(-100 * self.used // max(1, self.used + self.free))


def space(path: Path) -> Space:
    """Return the space of the file system that holds a path. Raises OSError."""
    seen = shutil.disk_usage(path)
    return Space(device=path.stat().st_dev, used=seen.used, free=seen.free)
