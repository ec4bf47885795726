# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Version numbers of rebuilt packages, and the law that they keep.

Ours sorts above the distro's version and its binary rebuilds, and below every later
upload of the distro, so that a security update always wins (FACTS, checked with dpkg).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from debian.debian_support import Version

from pipeline.errors import PatchError

BINARY_REBUILDS = 99
"""``+b1`` to ``+b99``: rebuilds of one upload that Debian's archive could publish."""

MADE = re.compile(r"\+?bpf\d+$")
"""What ``suffix`` appends."""


def suffix(distro: str, number: int) -> str:
    """Return what is appended for the number-th rebuild of one distro version.

    Ubuntu's later uploads append digits or ``build`` to theirs, Debian's ``+deb12u1``: a
    plus would sort above the first, its lack above Debian's ``+b1``.
    """
    return f"bpf{number}" if distro == "ubuntu" else f"+bpf{number}"


def rebuilt(version: str, distro: str, number: int = 1, *, rule: str = "") -> str:
    """Return our version for a distro's; ``rule`` is another suffix, with ``{n}``.

    Raises PatchError if it would not keep the law.
    """
    ours = version + (rule.replace("{n}", str(number)) if rule else suffix(distro, number))
    for lower, higher in law(version, ours, distro):
        if not Version(lower) < Version(higher):
            raise PatchError(
                f"no version of ours can follow {version}",
                details=f"{lower} has to sort below {higher}, and does not",
                hint="build it by hand with a version of your own, after `respin patch`",
            )
    return ours


def law(version: str, ours: str, distro: str) -> list[tuple[str, str]]:
    """Return the pairs (lower, higher) that hold for a distro's version and ours."""
    rebuilds = [f"{version}+b{n}" for n in (1, BINARY_REBUILDS)] if distro != "ubuntu" else []
    return [
        (version, ours),
        *((v, ours) for v in rebuilds),
        *((ours, v) for v in later(version, distro)),
    ]


def later(version: str, distro: str) -> list[str]:
    """Return the lowest uploads that can follow a version, one for each convention.

    Debian: an NMU (``.1``, ``+nmu1``), a stable update (``+deb12u1``, before that the name
    of the release), the last number plus one. Ubuntu: ``buildN``, ``ubuntuN``, ``.1``, the
    last number plus one, ``+esm1``.
    """
    last = re.fullmatch(r"(.*?)(\d*)", version, re.DOTALL)
    assert last
    next_one = f"{last[1]}{int(last[2] or 0) + 1}"
    if distro == "ubuntu":
        first = [] if "ubuntu" in version else [f"{version}ubuntu0.1", f"{version}ubuntu1"]
        return [f"{version}build1", f"{version}.1", f"{version}+esm1", next_one, *first]
    return [f"{version}{s}" for s in (".1", "+nmu1", "+deb1u1", "+etch1")] + [next_one]


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
