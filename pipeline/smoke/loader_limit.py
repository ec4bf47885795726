# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a limit of a loader is, and what an object is loaded by. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from debian.debian_support import Version

EARLIER_FIX = "libbpf-1-own"
"""The fix until November 2026: it handed objects with legacy maps to iproute2's own loader."""

AS_BTF = "define the maps in .maps (respin object --as-btf prints them so)"
"""What the author of an object can do about most limits."""


@dataclass(frozen=True, kw_only=True)
class LoaderLimit:
    """A limit of a loader that an object exceeds, and what its author can do."""

    what: str
    remedy: str
    says: str
    """A pattern of what tc says of it."""
    certain: bool = True
    """Whether every such object is refused; if not, only what tc says shows it."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What an object is loaded by, and as what."""

    loader: str
    """One of pipeline/smoke/cases.toml, or EARLIER_FIX."""
    version: str
    """Of the iproute2 package."""
    section: str
    kind: str
    """``tc``, ``xdp`` or ``lwt``: what the attach type gives to the program."""
    little: bool
    """Whether the kernel that loads it is little-endian."""

    @property
    def upstream(self) -> Version:
        """Return the upstream version of iproute2."""
        return Version(Version(self.version).upstream_version)
