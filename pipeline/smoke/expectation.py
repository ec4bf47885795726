# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a user wants to see of an object of theirs: frames that pass, and values in maps."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.files import bounded

CAPTURE_MAX = 4 << 20
"""Bytes of a capture."""
FRAMES_MAX = 1000
FRAME_MAX = 1514
"""Bytes that the pair of interfaces takes: an MTU of 1500, and the Ethernet header."""
KEY_MAX = 64
"""Bytes of a key (pipeline/vm/guest/maps.c)."""

_FORMS = "received=NUMBER, or map:NAME[KEY]=NUMBER; KEY is a number, or bytes such as 0a:4d:00:01"
_MAP = re.compile(r"map:([A-Za-z0-9_.]{1,100})\[([^\]]+)\]=(\d{1,18})")
_RECEIVED = re.compile(r"received=(\d{1,6})")
_BYTES = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2})+")

# The magic numbers of a capture: of microseconds and of nanoseconds (draft-ietf-opsawg-pcap).
_MAGIC = {0xA1B2C3D4: "<", 0xA1B23C4D: "<", 0xD4C3B2A1: ">", 0x4D3CB2A1: ">"}
_ETHERNET = 1


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a pinned map has to hold under a key."""

    name: str
    key: int | bytes
    """A number, or the bytes themselves."""
    value: int

    @property
    def label(self) -> str:
        """Return map and key, for people."""
        key = self.key.hex(":") if isinstance(self.key, bytes) else str(self.key)
        return f"{self.name}[{key}]"

    def key_hex(self, size: int, *, little: bool) -> str:
        """Return the key in hexadecimal, ``size`` bytes long if it is a number."""
        if isinstance(self.key, bytes):
            return self.key.hex()
        if little:  # the kernel reads only as much as a key has
            return self.key.to_bytes(8, "little").hex()
        return (self.key % (1 << 8 * size)).to_bytes(size, "big").hex()


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What has to be seen of an object, besides that it loads."""

    received: int | None = None
    """How many frames have to pass; None if that is not judged."""
    maps: tuple[Held, ...] = ()
    frames: tuple[bytes, ...] = ()
    """The Ethernet frames to send, if not respin's own."""

    @property
    def sends(self) -> bool:
        """Return whether frames are sent at all."""
        return self.received is not None or bool(self.maps or self.frames)


NOTHING = Expectation()
"""It loads, and nothing else is asked."""


def parse(texts: Sequence[str], capture: Path | None = None) -> Expectation:
    """Return what the options --expect and --send ask for. Raises UsageError for an invalid one."""
    received: int | None = None
    maps: list[Held] = []
    for text in texts:
        if found := _RECEIVED.fullmatch(text):
            received = int(found[1])
        elif found := _MAP.fullmatch(text):
            maps.append(Held(name=found[1], key=_key(text, found[2]), value=int(found[3])))
        else:
            raise UsageError(f"--expect {text}: respin does not know this form", hint=_FORMS)
    return Expectation(
        received=received, maps=tuple(maps), frames=read_capture(capture) if capture else ()
    )


def _key(text: str, key: str) -> int | bytes:
    if _BYTES.fullmatch(key) and len(key) < 3 * KEY_MAX:
        return bytes.fromhex(key.replace(":", ""))
    try:
        number = int(key, 0)
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 64:
        raise UsageError(f"--expect {text}: {key} is no key", hint=_FORMS)
    return number


def read_capture(path: Path) -> tuple[bytes, ...]:
    """Return the Ethernet frames of a capture in pcap's format.

    Raises UsageError if it cannot be read, is in another format, or has frames that are not whole
    or too large.
    """
    try:
        data = bounded.read(path, CAPTURE_MAX)
    except OSError as e:
        raise UsageError(f"respin could not read {path}: {e.strerror}") from e
    order = _MAGIC.get(int.from_bytes(data[:4], "little")) if len(data) >= 24 else None
    if order is None:
        raise UsageError(
            f"{path} is not a capture in pcap's format",
            hint="write one with tcpdump -w, or convert another with editcap -F pcap",
        )
    if struct.unpack_from(f"{order}I", data, 20)[0] & 0xFFFF != _ETHERNET:
        raise UsageError(
            f"{path} has no Ethernet frames",
            hint="capture on an Ethernet interface, not on `any`",
        )
    frames: list[bytes] = []
    at = 24
    while at < len(data):
        if at + 16 > len(data):
            raise UsageError(f"{path} ends in the middle of a frame")
        size, whole = struct.unpack_from(f"{order}8xII", data, at)
        frame = data[at + 16 : at + 16 + size]
        if size != whole or len(frame) < size or not 14 <= size <= FRAME_MAX:
            raise UsageError(
                f"frame {len(frames) + 1} of {path} is not whole, or does not have 14 to "
                f"{FRAME_MAX} bytes",
                hint="capture whole frames: tcpdump -s 0, with segmentation offload off",
            )
        frames.append(frame)
        at += 16 + size
    if not 0 < len(frames) <= FRAMES_MAX:
        raise UsageError(
            f"{path} has {len(frames)} frames, and respin sends 1 to {FRAMES_MAX}",
            hint="editcap -r FILE OUT 1-100 keeps the first 100",
        )
    return tuple(frames)


def packed(frames: Sequence[bytes]) -> bytes:
    """Return frames as the player reads them: each after its length, two bytes, high byte first."""
    return b"".join(len(frame).to_bytes(2, "big") + frame for frame in frames)
