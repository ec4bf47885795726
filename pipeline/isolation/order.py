# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a wall has to be like, and the command line that builds it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pipeline.isolation import enter
from pipeline.isolation.ids import Ids

CAPABILITIES = (0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 31)
"""What root may have behind a wall: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID,
SETPCAP, NET_BIND_SERVICE, SYS_CHROOT, SETFCAP. This is Docker's default without NET_RAW, MKNOD
(which no user namespace has) and AUDIT_WRITE; it covers only its own ids and namespaces."""


class WallKind(StrEnum):
    """What a command sees behind it."""

    TREE = "tree"
    """A tree, through an overlay or as a copy."""
    VIEW = "view"
    """The host's programs and configuration, and beside them only what is named."""
    ALL = "all"
    """All that the caller sees."""
    PLACE = "place"
    """The same, with a /proc of its own: where this machine itself is to be used up."""


@dataclass(frozen=True, kw_only=True)
class Bind:
    """A file or a directory of the host that is visible."""

    host: Path
    inside: str = ""
    """Where; empty: at the same place."""
    write: bool = False


@dataclass(frozen=True, kw_only=True)
class Order:
    """A wall."""

    kind: WallKind
    namespaces: bool = True
    ids: Ids | None = None
    """Those of its user namespace; None: root stays root."""
    network: bool = False
    """The host's; otherwise only a loopback interface that is down."""
    scratch: Path | None = None
    """For ``TREE``: a directory with the empty directories lower, upper, work, root (and copy)."""
    tree: Path | None = None
    copy: bool = False
    """The tree was copied to scratch/copy, and no overlay is mounted."""
    binds: tuple[Bind, ...] = ()
    copies: tuple[tuple[Path, str], ...] = ()
    """Small files that only the caller may read, and where they can be read (in a view)."""
    links: tuple[tuple[str, str], ...] = ()
    """Symbolic links to make: where, and to what."""
    open: tuple[str, ...] = ()
    """Directories to make, which everybody may use."""
    kvm: bool = False
    """Whether /dev/kvm is seen; the caller's groups are kept, one of which may have it."""
    mounts: bool = False
    """Whether it may mount (as what makes a root has to)."""
    uid: int | None = 0
    directory: str = "/"
    """The command's working directory; empty: where it is."""
    inherit: bool = False
    """Whether the command gets the caller's environment."""
    caps: tuple[int, ...] | None = ()
    """Capabilities that root may have in there; None: all."""
    filter: Path | None = None
    """The filter of system calls (seccomp.path)."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """setrlimit(2)."""
    shm: int = 64 << 20
    mark: Path | None = None
    """A file to make, which is not empty if the command was started."""

    def argv(self) -> list[str]:
        """Return the beginning of a command line: environment and command come after it.

        The environment is NAME=VALUE, and all that the command gets.
        """
        order = {name: getattr(self, name) for name in self.__dataclass_fields__}
        order["ids"] = self.ids and {"uid": self.ids.uid, "gid": self.ids.gid}
        order["binds"] = [
            (str(b.host), b.inside or str(b.host), "rw" if b.write else "ro") for b in self.binds
        ]
        text = json.dumps(order, default=_plain)
        return [sys.executable, "-I", "-S", "-B", str(Path(enter.__file__).absolute()), text]


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(value)
