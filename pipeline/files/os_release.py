# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""os-release(5): which system this machine is, or an image.

Python's own platform.freedesktop_os_release reads only that of this machine, without a bound.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.files import bounded

PATH = Path("/etc/os-release")


def read(path: Path = PATH) -> dict[str, str]:
    """Return the fields of a file. Raises OSError."""
    return parse(bounded.text(path, bounded.SMALL, errors="replace"))


def parse(text: str) -> dict[str, str]:
    """Return the fields of a text, without quotes; what is no assignment is passed over."""
    lines = (line.strip().partition("=") for line in text.split("\n"))
    return {name: value.strip("\"'") for name, equals, value in lines if equals}
