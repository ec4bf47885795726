"""The packages that a smoke test is given: what they are, before anything is installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from debian.debian_support import Version

from pipeline import command
from pipeline.errors import SmokeFailed, SmokeImpossible

_TC = ("sbin/tc", "usr/sbin/tc", "bin/tc", "usr/bin/tc")


@dataclass(frozen=True, kw_only=True)
class Deb:
    """A binary package in a file."""

    path: Path
    name: str
    version: str
    architecture: str

    @property
    def title(self) -> str:
        """Name and version, for people."""
        return f"{self.name} {self.version}"

    @property
    def ours(self) -> bool:
        """Its version ends as respin's does: ``+bpfN`` in Debian, ``bpfN`` in Ubuntu."""
        revision = Version(self.version).debian_revision or ""
        return revision.rstrip("0123456789").endswith("bpf")


def read(path: Path) -> Deb:
    """Return what a package is. Raises SmokeFailed if it is none."""
    fields = command.run(
        ["dpkg-deb", "--show", "--showformat=${Package} ${Version} ${Architecture}", path],
        error=SmokeFailed,
        brief=f"{path.name} is not a package",
    ).text.split()
    return Deb(path=path, name=fields[0], version=fields[1], architecture=fields[2])


def with_programs(paths: Sequence[Path], architecture: str) -> tuple[Deb, ...]:
    """Return the packages to install: those with programs, neither documents nor symbols.

    The first is the one with ``tc``. Raises SmokeFailed if none has it, SmokeImpossible if
    one is for another architecture.
    """
    found = [
        deb
        for deb in map(read, paths)
        if deb.architecture != "all" and not deb.name.endswith(("-dbgsym", "-dbg"))
    ]
    foreign = [deb for deb in found if deb.architecture != architecture]
    if foreign:
        raise SmokeImpossible(
            f"{foreign[0].path.name} is for {foreign[0].architecture}, and this machine is "
            f"{architecture}",
            hint="Test it on a machine of its own architecture.",
        )
    found.sort(key=lambda deb: not _has_tc(deb.path))
    if paths and (not found or not _has_tc(found[0].path)):
        names = ", ".join(path.name for path in paths)
        raise SmokeFailed(
            f"{names} is not iproute2: there is no tc in it",
            hint="Give the binary package iproute2_VERSION_ARCHITECTURE.deb.",
        )
    return tuple(found)


def _has_tc(path: Path) -> bool:
    listing = command.run(["dpkg-deb", "--contents", path], error=SmokeFailed).text
    names = {line.split()[5].removeprefix("./") for line in listing.splitlines()}
    return not names.isdisjoint(_TC)
