# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A tc with sanitizers, built from the fixed source of Debian's 6.1.0-3.

AddressSanitizer and UndefinedBehaviorSanitizer end it at the first read or write beyond memory, and
at the first undefined operation.
"""

from __future__ import annotations

import functools
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.host.cache import digest
from support import breakages, real

DIRECTORY = Path(__file__).parent
FILES = (DIRECTORY / "build-sanitized.sh", DIRECTORY / "sanitized.c")
SOURCE = "lib/bpf_legacy.c"
BROKEN = (
    breakages.Breakage(
        name="relocations-beyond-the-end",
        function="bpf_uncount_calls",
        old="if (off < data.sec_data->d_size / sizeof(*insns))",
        new="",
        red=(),
    ),
    breakages.Breakage(
        name="types-beyond-the-end",
        function="bpf_btf_reduce",
        old="\t\tif (size > end - cur)\n\t\t\tbreak;\n\n",
        new="",
        red=(),
    ),
)
"""A loader without two of the fix's checks, for the control."""


@functools.cache
def binaries() -> Path:
    """Return a directory with sound.tc and broken.tc, built if need be (a minute)."""
    root = real.root().root
    compiler = [f"{package.name} {package.version}" for package in root.packages]
    with TemporaryDirectory() as tmp:
        tree = breakages.fixed(Path(tmp) / "tree")
        broken = Path(tmp) / "broken.c"
        text = (tree / SOURCE).read_text()
        for breakage in BROKEN:
            changed = breakages.broken(text, breakage)
            assert changed, breakage.name
            text = changed
        broken.write_text(text)

        def make(part: Path) -> None:
            part.mkdir()
            names = ["sound.tc", "broken.tc"]
            breakages.build(tree, [broken, *FILES], FILES[0].name, [], names, part)

        sources = [(tree / name).read_text() for name in breakages.SOURCES]
        parts = [path.read_text() for path in (*FILES, broken)]
        return real.cache().entry("sanitized", digest(*compiler, *sources, *parts), make)
