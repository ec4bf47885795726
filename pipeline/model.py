# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The frozen records that stages hand on to each other; nothing else is passed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path

from pipeline.text.address import Address
from pipeline.text.quoting import deb822_path, deb822_words

# -- releases and archives --------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Release:
    """A release of a distro, as distro-info-data names it."""

    distro: str
    """``debian`` or ``ubuntu``, as in os-release's ID."""
    codename: str
    """``bookworm``; also the name of its suite in the archive."""
    version: str
    """``12``; empty for a release that has no number yet."""
    kernel: str = ""
    """The kernel package to test on, where respin.toml names one."""
    suffix: str = ""
    """What is appended to a version, with ``{n}``, where respin.toml gives a rule."""


@dataclass(frozen=True, kw_only=True)
class AptSource:
    """One archive that apt reads: a stanza of a .sources file."""

    uri: Address
    suites: tuple[str, ...]
    components: tuple[str, ...]
    keyring: Path
    """The keys that may sign its index (a keyring file for Signed-By)."""
    also: tuple[Path, ...] = ()
    """More keyrings of the same kind."""
    frozen: bool = False
    """Nothing is added to it any more: its Valid-Until is not held against it, nor are keys
    that have expired since."""
    fallback: bool = False
    """Asked only for suites that no other source has."""
    since: date | None = None
    """The day of the release: no index of it is older."""
    ordered: bool = False
    """No pocket's index is older than that of the release: the distro signs them that often."""
    gpgv: Path | None = None
    """What apt is to call in place of gpgv(1), where keys of a frozen archive have expired."""

    def __post_init__(self) -> None:
        """Take a plain text for an address, too."""
        object.__setattr__(self, "uri", Address(self.uri))

    def stanza(self, *, types: str = "deb deb-src") -> str:
        """Return it in deb822 form (sources.list(5)). Raises UsageError for what has none."""
        return (
            f"Types: {types}\nURIs: {deb822_words(self.uri)}\n"
            f"Suites: {deb822_words(*self.suites)}\n"
            f"Components: {deb822_words(*self.components)}\n"
            f"Signed-By: {deb822_path(self.keyring)}\n"
            + ("Check-Valid-Until: no\n" if self.frozen else "")
        )


@dataclass(frozen=True, kw_only=True)
class Package:
    """A binary package at one version, as an archive's index lists it."""

    name: str
    version: str
    architecture: str
    sha256: str = field(default="", compare=False)
    """Of its .deb, as the signed index lists it; empty where no index was asked."""


# -- fetch ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class VerifiedFile:
    """A file of the distro, and how it was verified."""

    path: Path
    size: int
    """Bytes."""
    sha256: str
    """Lower-case hexadecimal."""
    verified: str
    """In words for the report: which signed index, signed by which key, listed this hash."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A source package as fetched: the .dsc first, then the files that it names."""

    name: str
    version: str
    release: Release
    files: tuple[VerifiedFile, ...]
    origin: str
    """Where it came from: an archive's suite and URI, or a local .dsc."""
    indexed: bool = False
    """A signed index of its archive lists the .dsc. If not, it is as trusted as whoever gave it."""

    @property
    def dsc(self) -> Path:
        """The path of the .dsc."""
        return self.files[0].path


# -- diagnose ---------------------------------------------------------------------------


class Verdict(StrEnum):
    """What a source tree is to a fix."""

    NEEDED = "needed"
    FIXED = "fixed"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Site:
    """The verdict on one function that a fix concerns."""

    function: str
    file: str
    """Relative to the source tree; empty if no file has the function."""
    line: int
    """Counted from 1; 0 if no file has the function."""
    verdict: Verdict
    reason: str
    text: str = ""
    """For ``unknown``: the code that was not understood."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The verdict of one fix on a source tree."""

    fix: str
    verdict: Verdict
    sites: tuple[Site, ...]
    half: bool = False
    """Some of its functions are fixed and others are not."""


# -- patch ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Patched:
    """The new source package."""

    source: Source
    version: str
    dsc: Path
    sha256: str
    """Of the .dsc, which has those of its files."""
    patches: tuple[Path, ...]
    """The quilt patches alone, in series order, one per fix."""
    fixes: tuple[str, ...]
    epoch: int
    """The date of its changelog entry, in seconds since 1970, for SOURCE_DATE_EPOCH."""


# -- build ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file that a build made."""

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Built:
    """What dpkg-buildpackage left behind."""

    version: str
    debs: tuple[Artifact, ...]
    changes: Artifact
    buildinfo: Artifact
    container: str
    """``unshare``, ``docker``, ``podman``, ``host``, or ``elsewhere``."""
    image: str = ""
    """The image that the container's root was made from, by digest, if it was."""
    root: tuple[Package, ...]
    """What the container's root contained, build dependencies included."""
    seconds: float
    ccache: Mapping[str, int] = field(default_factory=dict)
    """ccache's own counters of this build (``direct_cache_hit``, ``cache_miss`` …)."""


# -- smoke ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class GuestPackages:
    """What a guest was made of."""

    root: tuple[Package, ...]
    kernel: tuple[Package, ...]
    """Those that hold the kernel's image and modules."""


class Expect(StrEnum):
    """What a case expects of a loader."""

    LOADS = "loads"
    REFUSED = "refused"
    SURVIVES = "survives"
    """Whatever it is given, tc does not crash."""
    ANY = "any"
    """Shown, not judged (the user's own object under the distro's package)."""


class Seen(StrEnum):
    """What was seen in the guest."""

    LOADS = "loads"
    """Loaded, and the program ran and counted the packets that were sent."""
    REFUSED = "refused"
    LOADED_WRONG = "loaded-wrong"
    """tc said yes, and the program did not run or did not count."""
    SURVIVES = "survives"
    """Given broken objects, tc refused or loaded each, and did not crash."""
    CRASHED = "crashed"
    LOST = "lost"
    """The guest crashed."""
    NOT_POSSIBLE = "not-possible"
    """The kernel or the iproute2 lacks what the case needs."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One case under one package."""

    expected: Expect
    reason: str
    """Why that is expected."""
    seen: Seen
    ok: bool
    command: str
    """What was run, one command a line."""
    status: int
    """Exit status of the last one; negative: killed by that signal."""
    output: str
    counted: int
    """Packets that the first pinned map counted; -1 if it was not read."""
    sent: int
    received: int
    """How many of them the receiver got."""
    maps: Mapping[str, int]
    """What each pinned map held; -1 for one that could not be read."""
    seconds: float
    kernel_log: str = ""
    """What the kernel said meanwhile."""
    why: str = ""
    """If not ok: in a sentence, what differs."""


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """One row of the smoke matrix."""

    case: str
    title: str
    way: str
    """``tc``, ``xdp`` …: those of pipeline/smoke/ways.toml."""
    before: Cell
    after: Cell | None
    """None where only one package was tested."""
    object: str = ""
    """The object's sections, maps and symbols, as text."""
    yours: bool = False
    """The object is the user's own."""
    limits: tuple[str, ...] = ()
    """For the user's own object: the loaders' limits that it runs into, and what to do."""

    @property
    def cells(self) -> tuple[tuple[str, Cell], ...]:
        """Its cells, each with ``before`` or ``after``."""
        after = (("after", self.after),) if self.after else ()
        return (("before", self.before), *after)


@dataclass(frozen=True, kw_only=True)
class SmokeReport:
    """The smoke matrix: what was seen of one package or two on one kernel."""

    place: str
    """``guest`` or ``netns``."""
    kernel: str
    """``uname -r`` as the place said it."""
    kernel_package: Package | None
    """None where it was this machine's own kernel."""
    accelerator: str
    """``kvm`` or ``tcg``; empty without a guest."""
    before: str
    """``tc -V`` before."""
    after: str
    """``tc -V`` after; empty where only one package was tested."""
    packages: tuple[str, ...]
    """Name and version of the package before, and of the one after."""
    loaders: tuple[str, ...]
    """What each loads objects with, as in pipeline/smoke/cases.toml."""
    cases: tuple[CaseResult, ...]
    crashes: int
    """How often the guest crashed and was booted again."""
    seconds: float
    """Without those in which the guest waited for the build."""

    @property
    def cells(self) -> tuple[tuple[CaseResult, str, Cell], ...]:
        """Every cell, with its row and ``before`` or ``after``."""
        both = [(row, when, cell) for row in self.cases for when, cell in row.cells]
        return tuple(both)

    @property
    def ok(self) -> bool:
        """Every cell is as expected."""
        return all(cell.ok for _, _, cell in self.cells)
