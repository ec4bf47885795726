"""Version numbers of rebuilt packages, and the law that they keep.

Ours sorts above the distro's version and its binary rebuilds, and below every later
upload of the distro, so that a security update always wins (FACTS, checked with dpkg).
"""

from __future__ import annotations

from debian.debian_support import Version

from pipeline.errors import PatchError

BINARY_REBUILDS = 99
"""``+b1`` to ``+b99``: rebuilds of one upload that Debian's archive could publish."""


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
    if distro == "ubuntu":
        later = [f"{version}.1", f"{version}build1", f"{version}ubuntu0.1"]
        if "ubuntu" in version:
            later.pop()  # a version with ubuntuN is followed by ubuntuN.1 or ubuntuN+1
        return [(version, ours), *((ours, v) for v in later)]
    rebuilds = [f"{version}+b{n}" for n in (1, BINARY_REBUILDS)]
    later = [f"{version}+deb12u1", f"{version}.1", f"{version}+nmu1"]
    return [(version, ours), *((v, ours) for v in rebuilds), *((ours, v) for v in later)]
