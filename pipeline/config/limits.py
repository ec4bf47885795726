# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""How long archives and services may take, and how much they may send.

docs/sources.md documents these limits. A time-out between two bytes (``idle``) does not stop a
server that sends one now and then, so there are also deadlines and a minimum rate.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Seconds and bytes."""

    idle: float = 30.0
    """Seconds without a byte after which a request fails."""
    watch: float = 600.0
    """Seconds for all requests of a night's watch to one archive."""
    update: float = 900.0
    """Seconds for apt to bring the indexes of one release up to date."""
    files: float = 3600.0
    """Seconds for apt, or mmdebstrap, to fetch the files of one stage."""
    answer: float = 1800.0
    """Seconds for one answer of snapshot or Launchpad."""
    service: float = 3600.0
    """Seconds that a run spends on one such service, pauses included."""
    hook: float = 30.0
    """Seconds for one notification to a webhook."""
    hooks: float = 120.0
    """Seconds for all notifications of a night."""
    patience: float = 60.0
    """Seconds after which an answer must keep the minimum rate."""
    pace: float = 1024.0
    """The minimum rate: bytes per second, on average."""
    release: int = 16 << 20
    """Bytes of an InRelease; Debian's has 200 kB."""
    listing: int = 512 << 20
    """Bytes of a Packages or Sources, unpacked; Debian's have 60 MB. apt may write no longer
    file while it brings the indexes up to date."""
    file: int = 2 << 30
    """Bytes of any other file that apt writes."""


LIMITS = Limits()
