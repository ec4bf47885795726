# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""os-release(5): which system this machine, or an image, is.

Python's own platform.freedesktop_os_release reads only this machine's, and without a bound.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.files import bounded

PATH = Path("/etc/os-release")


def read(path: Path = PATH) -> dict[str, str]:
    """Return the fields of a file. Raises OSError."""
    return parse(bounded.text(path, bounded.SMALL, errors="replace"))


def parse(text: str) -> dict[str, str]:
    """Return the fields of a text, without quotes; lines that are not assignments are skipped."""
    lines = (line.strip().partition("=") for line in text.split("\n"))
    return {name: value.strip("\"'") for name, equals, value in lines if equals}
