# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the host's programs see behind a wall: programs, libraries, configuration.

There is no home, /var, /run or /sys, and only harmless devices; /tmp is empty and theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from pipeline.isolation.order import Bind

PROGRAMS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Links into /usr where /usr is merged, directories elsewhere."""


class Parts(TypedDict):
    """The fields of an order that say what is visible."""

    binds: tuple[Bind, ...]
    links: tuple[tuple[str, str], ...]
    copies: tuple[tuple[Path, str], ...]
    open: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class WallView:
    """What a program sees."""

    binds: tuple[Bind, ...]
    links: tuple[tuple[str, str], ...]
    copies: tuple[tuple[Path, str], ...] = ()
    open: tuple[str, ...] = ("/tmp", "/var/tmp")

    @property
    def parts(self) -> Parts:
        """The same, as arguments of an order."""
        return {"binds": self.binds, "links": self.links, "copies": self.copies, "open": self.open}


def system(
    *binds: Bind, copies: Sequence[tuple[Path, str]] = (), network: bool = False
) -> WallView:
    """Return the view of a program that needs the host's programs, and what else is named."""
    root = Path("/")
    seen = [Bind(host=root / name) for name in ("usr", "etc")]
    links = []
    for name in PROGRAMS:
        path = root / name
        if path.is_symlink():
            links.append((str(path), str(path.readlink())))
        elif path.is_dir():
            seen.append(Bind(host=path))
    found = list(copies)
    where = resolver()
    if network and where and not where.is_relative_to("/etc"):
        found.append((where, str(where)))
    return WallView(binds=(*seen, *binds), links=tuple(links), copies=tuple(found))


def resolver() -> Path | None:
    """Return the file that says who resolves names: /etc/resolv.conf is often a link into /run."""
    path = Path("/etc/resolv.conf")
    return path.resolve() if path.is_file() else None
