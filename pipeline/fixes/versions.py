# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Version numbers of rebuilt packages, and the version ordering that they keep.

A rebuild's version sorts above the distro's version and its binary rebuilds, and below every later
upload of the distro, so that a security update always wins (docs/facts.md; the tests ask dpkg).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from debian.debian_support import Version

from pipeline.config import distros
from pipeline.errors import PatchError

MADE = re.compile(r"\+?bpf\d+$")
"""What is appended to the distro's version, unless respin.toml says otherwise."""


def rebuilt(version: str, distro: str, number: int = 1, *, rule: str = "") -> str:
    """Return the version of a rebuild; ``rule`` is another suffix, with ``{n}`` for the number.

    Raises PatchError if it would break the version ordering.
    """
    suffix = rule or distros.ALL[distro].suffix + "{n}"
    ours = version + suffix.replace("{n}", str(number))
    for lower, higher in ordering(version, ours, distro):
        if not Version(lower) < Version(higher):
            raise PatchError(
                f"respin can make no version that follows {version}",
                details=f"{lower} must sort below {higher} but does not",
                hint="run `respin patch`, and build the result by hand with a version of your own",
            )
    return ours


def ordering(version: str, ours: str, distro: str) -> list[tuple[str, str]]:
    """Return the pairs (lower, higher) that must hold for a distro's version and a rebuild's."""
    kind = distros.ALL[distro]
    last = kind.binary_rebuilds
    rebuilds = [f"{version}+b{n}" for n in (1, last)] if last else []
    return [
        *((lower, ours) for lower in (version, *rebuilds)),
        *((ours, higher) for higher in kind.later(version)),
    ]


def check_against(ours: str, listed: Iterable[str], *, base: str = "") -> None:
    """Check a rebuild's version against those that an archive has, in all of its pockets.

    ``listed`` are the versions of the source and of its binary packages (these with ``+bN``);
    ``base`` is the distro's version, if the user chose another suffix. Raises PatchError if it is
    not above the distro's version it was made from and all rebuilds of that, or not below every
    version that is above that one.
    """
    base = base or MADE.sub("", ours)
    if base == ours:
        raise PatchError(f"{ours} is not the version of a rebuild")
    for version in sorted(set(listed), key=Version):
        if version == ours:
            continue
        own = MADE.sub("", version) == base  # the version itself, or a rebuild by respin
        if own or re.fullmatch(re.escape(base) + r"\+b\d+", version):
            if not Version(version) < Version(ours):
                raise PatchError(
                    f"{ours} would not replace {version}, which the archive has",
                    hint="choose a higher --number" if own else "",
                )
        elif Version(version) > Version(base) and not Version(ours) < Version(version):
            raise PatchError(
                f"{ours} would hide {version}, a later upload of the distro",
                details=f"{version} is above {base}, so it must also be above {ours}",
                hint="build from the later version",
            )
