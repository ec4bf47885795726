# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""An archive, a build, a guest or a user may send anything at all, and no reader breaks.

Whatever the bytes are, a reader returns or raises a RespinError, and takes little time and
memory. The bytes are real samples that were cut, repeated or swapped, or have numbers, words and
control characters where none belong. `make fuzz` does the same for longer (MINUTES=).
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from support.readers import TARGETS

from pipeline.errors import RespinError

SECONDS = 5.0
"""For one input; the slowest takes 0.05 s on an idle machine."""
MEMORY = 300 << 10
"""KiB that all of a reader's inputs may take at most."""
TOTAL = float(os.environ.get("FUZZ_MINUTES", "1")) * 60
"""Seconds for all readers."""

TOKENS = (
    *(
        b"",
        b"\0",
        b"\n",
        b"\n\n",
        b"\r\n",
        b" ",
        b"\t",
        b":",
        b"'",
        b'"',
        b"\\",
        b"{}",
        b"[" * 2000,
    ),
    *(b"\xff\xfe", "\u2028\u0661\udcff".encode("utf-8", "surrogatepass"), b"\x1b]0;x\x07", b"../"),
    *(b"0", b"-1", b"9" * 400, b"9" * 5000, b"1e999", b"NaN", b"null", b"true", b"\x7f" * 8),
    *(b"Package: iproute2\n", b"Checksums-Sha256:\n", b"#", b"/*", b"(", b")" * 500, b"<" * 200),
    *(b"Mon, 31 Dec 9999 23:59:59 +0000", b"Mon, 01 Jan 0001 00:00:00 +2359", b"=" * 300),
    *(b"-----BEGIN PGP SIGNED MESSAGE-----\n", b"%s%n", b"\xf0\x9f\x98\x80", b"a" * 3000),
)


@st.composite
def changed(draw: st.DrawFn, samples: tuple[bytes, ...]) -> bytes:
    """Draw a sample with a few changes."""
    data = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        to = min(len(data), at + draw(st.integers(0, 80)))
        how = draw(st.sampled_from(("put", "put", "cut", "twice", "bytes", "end", "lines")))
        if how == "put":
            data[at : to if draw(st.booleans()) else at] = draw(st.sampled_from(TOKENS))
        elif how == "cut":
            del data[at:to]
        elif how == "twice":
            data[at:at] = data[at:to] * draw(st.sampled_from((1, 2, 500)))
        elif how == "bytes":
            data[at:to] = draw(st.binary(max_size=12))
        elif how == "end":
            del data[at:]
        else:
            lines = bytes(data).split(b"\n")
            data = bytearray(b"\n".join(draw(st.permutations(lines)) if len(lines) < 40 else lines))
    return bytes(data)


@pytest.mark.bad_input
@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_of_anything(name: str, count: Callable[[str, int], None]) -> None:
    target = TARGETS[name]
    with contextlib.suppress(RespinError):  # what it imports takes its time once
        target.read(target.samples[0])
    begun, played = time.monotonic(), 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for sample in target.samples:
        _read(target.read, sample)

    def play(data: bytes) -> None:
        nonlocal played
        played += 1
        _read(target.read, data)

    settle = settings(
        max_examples=50,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    bytes_of = changed(target.samples) | st.binary(max_size=400)
    number = 0
    while time.monotonic() - begun < TOTAL / len(TARGETS):
        seed(number)(settle(given(bytes_of)(play)))()
        number += 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY
    count("bad_input", played)


def _read(read: Callable[[bytes], object], data: bytes) -> None:
    """Read, and hold it to the law."""
    began = time.monotonic()
    try:
        read(data)
    except RespinError as e:
        assert e.brief and "\n" not in re.sub(r"\s+$", "", e.brief), e.brief
    assert time.monotonic() - began < SECONDS, f"{len(data)} bytes took too long"
