# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Which ids of this machine stand for those behind a wall.

An ordinary user has a range of subordinate ids (subuid(5)), and is root in there. Root needs a
range, too, so that root in there is nobody out here: the range that /etc/subuid gives to root, if
there is one; else one that nobody has. systemd's allocation of ids (UIDS-GIDS) leaves 1879048192
(0x70000000) to 2147352575 unused, above what it gives to containers and below what it calls
foreign; Debian Policy 9.2.2 assigns none above 65535; login.defs and adduser assign none above
600100000. If respin itself runs in a container that has few ids, there are no others: the
namespace then has the same ids as the container around it.
"""

from __future__ import annotations

import functools
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

COUNT = 65536
"""Ids that a root needs for its users (nobody is 65534)."""

BASE = 0x70000000

Ranges = tuple[tuple[int, int, int], ...]
"""As in /proc/PID/uid_map: the first number inside, the first outside, the count."""


@dataclass(frozen=True, kw_only=True)
class Ids:
    """The ids of a user namespace."""

    uid: Ranges
    gid: Ranges
    words: str = ""
    """What is wrong with them; empty if nothing is."""

    @property
    def owner(self) -> tuple[int, int]:
        """The user and group, out here, of what root makes in there."""
        return self.uid[0][1], self.gid[0][1]

    @property
    def key(self) -> str:
        """What identifies them in the key of a tree that was made with them."""
        return f"{self.uid} {self.gid}"


def name() -> str:
    """Return this user's name, or the number of one that has none.

    Not what $USER says: su and runuser may leave that as it was for whoever called them.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


@functools.cache
def mine() -> Ids:
    """Return the ids that this user has for a user namespace.

    There may be too few of them, or none but the user's own: then namespaces cannot be entered.
    """
    if os.geteuid() == 0:
        return of_root(Path("/proc/self"), Path("/etc"))
    user = name()
    uids = subordinate(Path("/etc/subuid"), user, os.getuid())
    gids = subordinate(Path("/etc/subgid"), user, os.getuid())
    return Ids(
        uid=((0, os.geteuid(), 1), *((1, first, min(count, COUNT)) for first, count in uids)),
        gid=((0, os.getegid(), 1), *((1, first, min(count, COUNT)) for first, count in gids)),
    )


def of_root(process: Path, etc: Path) -> Ids:
    """Return root's; ``process`` has the maps of the namespace that root is in."""
    outer = {kind: read_map(process / f"{kind}_map") for kind in ("uid", "gid")}
    wanted = {}
    for kind, ranges in outer.items():
        given = [r for r in subordinate(etc / f"sub{kind}", "root", 0) if r[1] >= COUNT]
        first = given[0][0] if given else BASE
        if not any(a <= first and first + COUNT <= a + n for a, _, n in ranges):
            return Ids(
                **{k: tuple((a, a, n) for a, _, n in found) for k, found in outer.items()},
                words="this container has few ids, so a build has the same ids, in a namespace of "
                "its own",
            )
        wanted[kind] = ((0, first, COUNT),)
    return Ids(uid=wanted["uid"], gid=wanted["gid"])


def read_map(path: Path) -> Ranges:
    """Read /proc/PID/uid_map or gid_map."""
    found = []
    for line in path.read_text().splitlines():
        inside, outside, count = map(int, line.split())
        found.append((inside, outside, count))
    return tuple(found)


def subordinate(path: Path, user: str, uid: int) -> list[tuple[int, int]]:
    """Return the longest range in a subuid(5) file for a user: its first id and the count.

    The list is empty if there is none.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return []
    ranges = []
    for line in lines:
        owner, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        numbers = [n for n in (first, count) if n.isascii() and n.isdigit()]
        if owner in (user, str(uid)) and len(numbers) == 2:
            ranges.append((int(first), int(count)))
    return sorted(ranges, key=lambda r: r[1])[-1:]
