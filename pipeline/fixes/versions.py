# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Version numbers of rebuilt packages, and the ordering that they keep.

Ours sorts above the distro's version and its binary rebuilds, and below every later
upload of the distro, so that a security update always wins (FACTS, checked with dpkg).
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
    """Return our version for a distro's; ``rule`` is another suffix, with ``{n}``.

    Raises PatchError if it would not keep the ordering.
    """
    suffix = rule or distros.ALL[distro].suffix + "{n}"
    ours = version + suffix.replace("{n}", str(number))
    for lower, higher in ordering(version, ours, distro):
        if not Version(lower) < Version(higher):
            raise PatchError(
                f"no version of ours can follow {version}",
                details=f"{lower} has to sort below {higher}, and does not",
                hint="build it by hand with a version of your own, after `respin patch`",
            )
    return ours


def ordering(version: str, ours: str, distro: str) -> list[tuple[str, str]]:
    """Return the pairs (lower, higher) that hold for a distro's version and ours."""
    kind = distros.ALL[distro]
    last = kind.binary_rebuilds
    rebuilds = [f"{version}+b{n}" for n in (1, last)] if last else []
    return [
        *((lower, ours) for lower in (version, *rebuilds)),
        *((ours, higher) for higher in kind.later(version)),
    ]


def check_against(ours: str, listed: Iterable[str], *, base: str = "") -> None:
    """Hold our version against those that an archive really has, in any of its pockets.

    ``listed`` are versions of the source and of its binary packages (there with ``+bN``);
    ``base`` is the distro's version, where another suffix than ours was chosen.
    Raises PatchError if ours is not above the distro's version that it was made from and
    all its rebuilds, or not below every other version that is above that one.
    """
    base = base or MADE.sub("", ours)
    if base == ours:
        raise PatchError(f"{ours} is no version of a rebuild")
    for version in sorted(set(listed), key=Version):
        if version == ours:
            continue
        own = MADE.sub("", version) == base  # the version itself, or a rebuild of ours
        if own or re.fullmatch(re.escape(base) + r"\+b\d+", version):
            if not Version(version) < Version(ours):
                raise PatchError(
                    f"{ours} would not replace {version}, which the archive has",
                    hint="choose a higher --number" if own else "",
                )
        elif Version(version) > Version(base) and not Version(ours) < Version(version):
            raise PatchError(
                f"{ours} would hide {version}, a later upload of the distro",
                details=f"{version} is above {base}, and has to be above {ours}",
                hint="build from the later version",
            )
