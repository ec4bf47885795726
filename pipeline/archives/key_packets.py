# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The keys of a binary keyring, apart: where each begins, and nothing of what it says."""

from __future__ import annotations

_PUBLIC_KEY = 6
"""The tag of the packet with which a key begins (RFC 9580, 5)."""


def apart(ring: bytes) -> tuple[bytes, ...]:
    """Return each key of a binary keyring alone, with all that belongs to it.

    What is not a sequence of whole packets (RFC 9580, 4.2) stays in one piece, for gpgv to judge.
    """
    begins, place = [], 0
    while place < len(ring):
        found = _packet(ring, place)
        if found is None:
            return (ring,)
        tag, end = found
        if tag == _PUBLIC_KEY:
            begins.append(place)
        place = end
    if not begins or begins[0] != 0 or place != len(ring):
        return (ring,)
    return tuple(ring[a:b] for a, b in zip(begins, [*begins[1:], len(ring)], strict=True))


def _packet(ring: bytes, place: int) -> tuple[int, int] | None:
    """Return the tag and the end of the packet at a place; None if its length is not known."""
    header, rest = ring[place], ring[place + 1 : place + 6]
    if not header & 0x80 or not rest:
        return None
    if header & 0x40:
        tag, first = header & 0x3F, rest[0]
        if first < 192:
            return tag, place + 2 + first
        if first < 224 and len(rest) > 1:
            return tag, place + 3 + ((first - 192) << 8) + rest[1] + 192
        if first == 255 and len(rest) == 5:
            return tag, place + 6 + int.from_bytes(rest[1:5], "big")
        return None  # partial lengths are for data, not for keys
    size = {0: 1, 1: 2, 2: 4}.get(header & 3)
    if size is None or len(rest) < size:
        return None
    return header >> 2 & 0xF, place + 1 + size + int.from_bytes(rest[:size], "big")
