# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The frozen records that stages pass to each other; nothing else is passed."""

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
    """A release of a distro, as in distro-info-data."""

    distro: str
    """``debian`` or ``ubuntu``, as in os-release's ID."""
    codename: str
    """``bookworm``; also the name of its suite in the archive."""
    version: str
    """``12``; empty for a release that has no number yet."""
    kernel: str = ""
    """The kernel package to test on, if respin.toml names one."""
    suffix: str = ""
    """The suffix for versions, with ``{n}`` for the number, if respin.toml sets one."""


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
    architectures: tuple[str, ...] = ()
    """What it is asked for, by Debian's names; empty: all that apt is set up for."""
    frozen: bool = False
    """It never changes any more: neither its Valid-Until nor keys that have since expired count."""
    fallback: bool = False
    """Used only for suites that no other source has."""
    since: date | None = None
    """The day of the release; no index of it can be older."""
    ordered: bool = False
    """No pocket's index may be older than that of the release: the distro signs them often
    enough."""
    gpgv: Path | None = None
    """The program that apt calls instead of gpgv(1), if keys of a frozen archive have expired."""

    def __post_init__(self) -> None:
        """Take a plain text for an address, too."""
        object.__setattr__(self, "uri", Address(self.uri))

    def stanza(self, *, types: str = "deb deb-src") -> str:
        """Return it in deb822 form (sources.list(5)). Raises UsageError for unsafe values."""
        only = self.architectures
        return (
            f"Types: {types}\nURIs: {deb822_words(self.uri)}\n"
            f"Suites: {deb822_words(*self.suites)}\n"
            f"Components: {deb822_words(*self.components)}\n"
            + (f"Architectures: {deb822_words(*only)}\n" if only else "")
            + f"Signed-By: {deb822_path(self.keyring)}\n"
            + ("Check-Valid-Until: no\n" if self.frozen else "")
        )


@dataclass(frozen=True, kw_only=True)
class Package:
    """A binary package at one version, as an archive's index lists it."""

    name: str
    version: str
    architecture: str
    sha256: str = field(default="", compare=False)
    """SHA-256 of its .deb, as the signed index lists it; empty if it came from no index."""


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
    """For the report: which signed index, and which key, vouches for this hash."""


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
    """Whether a signed index of its archive lists the .dsc. If not, it is as trusted as its
    origin."""

    @property
    def dsc(self) -> Path:
        """Return the path of the .dsc."""
        return self.files[0].path


# -- diagnose ---------------------------------------------------------------------------


class Verdict(StrEnum):
    """How a source tree relates to a fix."""

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
    """Whether some of its functions are fixed and others are not."""
    condition: str = ""
    """For ``needed``: in words, what it depends on that respin was not told."""


# -- patch ------------------------------------------------------------------------------


class Fate(StrEnum):
    """What came of a user's own patch."""

    APPLIED = "applied"
    IN_SOURCE = "in-source"
    """The distro's source already has it, so it was left out."""
    LEFT_OUT = "left-out"
    """It is optional, and does not apply."""


@dataclass(frozen=True, kw_only=True)
class UserPatch:
    """A user's own patch, and what came of it."""

    name: str
    sha256: str
    """Of the file that was given."""
    optional: bool
    fate: Fate
    reason: str = ""
    """Why it was left out, in words."""


@dataclass(frozen=True, kw_only=True)
class Patched:
    """The new source package."""

    source: Source
    version: str
    dsc: Path
    sha256: str
    """SHA-256 of the .dsc, which lists those of its files."""
    patches: tuple[Path, ...]
    """The quilt patches alone, in series order: one per fix, then the user's own."""
    fixes: tuple[str, ...]
    own: tuple[UserPatch, ...] = ()
    """What came of the user's own patches (in a report: ``user_patches``)."""
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
    cross: str = ""
    """For a cross build: the compiler, in its own words."""
    omitted: tuple[str, ...] = ()
    """For a cross build: the binary packages, the same for every architecture, that it omits."""
    image: str = ""
    """The image that the container's root was made from, by digest, if there is one."""
    root: tuple[Package, ...]
    """What the container's root contained, build dependencies included."""
    seconds: float
    ccache: Mapping[str, int] = field(default_factory=dict)
    """ccache's own counters of this build (``direct_cache_hit``, ``cache_miss`` …)."""

    def files(self, package: str) -> tuple[Path, ...]:
        """Return the files of one of the binary packages."""
        return tuple(d.path for d in self.debs if d.path.name.startswith(f"{package}_"))


class Difference(StrEnum):
    """How something relates to the same of a build without the patch."""

    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, kw_only=True)
class ChangedFile:
    """A file of a package that a build without the patch does not give."""

    package: str
    path: str
    """Without the first slash."""
    how: Difference


@dataclass(frozen=True, kw_only=True)
class ChangedSymbol:
    """A function or variable that a build without the patch does not give."""

    name: str
    """As in the symbol table, without the numbers that the compiler adds."""
    object: str
    """The object file, relative to the source tree: ``lib/bpf_legacy.o``."""
    variable: bool
    how: Difference
    in_patch: bool
    """Whether the patch changes its source. If not, what it includes or calls has changed: the
    layout of a structure, or a function that the compiler put into it."""
    programs: tuple[str, ...]
    """The installed programs that have it; empty if the build left no debugging symbols."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What the patch changed in the packages."""

    control: Mapping[str, str]
    """The packages without it, which were built in the same root: file name -> SHA-256."""
    files: tuple[ChangedFile, ...]
    objects: int
    """Object files that were compared."""
    symbols: tuple[ChangedSymbol, ...]
    unread: tuple[str, ...]
    """Object files that differ and whose functions cannot be compared: link-time optimization."""
    seconds: float


# -- smoke ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class GuestPackages:
    """The parts of a guest."""

    root: tuple[Package, ...]
    kernel: tuple[Package, ...]
    """The packages with the kernel's image and modules."""


class Expect(StrEnum):
    """What a case expects from a loader."""

    LOADS = "loads"
    REFUSED = "refused"
    SURVIVES = "survives"
    """tc does not crash, whatever file it reads."""
    ANY = "any"
    """Shown, not judged (the user's own object under the distro's package)."""


class Seen(StrEnum):
    """What was seen in the guest."""

    LOADS = "loads"
    """Loaded, and the program ran and counted the packets that were sent."""
    REFUSED = "refused"
    LOADED_WRONG = "loaded-wrong"
    """tc reported success, but the program did not run or did not count."""
    SURVIVES = "survives"
    """Given broken objects, tc refused or loaded each, and did not crash."""
    CRASHED = "crashed"
    LOST = "lost"
    """The guest crashed."""
    NOT_POSSIBLE = "not-possible"
    """The kernel or this iproute2 lacks what the case needs."""


GOOD = (Seen.LOADS, Seen.SURVIVES)
"""What a package can do."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The result of one case with one package."""

    expected: Expect
    reason: str
    """Why that is expected."""
    seen: Seen
    ok: bool
    command: str
    """The commands that ran, one per line."""
    status: int
    """Exit status of the last command; negative if that signal killed it."""
    output: str
    counted: int
    """Packets that the first pinned map counted; -1 if it was not read."""
    sent: int
    received: int
    """How many of them the receiver got."""
    maps: Mapping[str, int]
    """The value in each pinned map; -1 if it could not be read."""
    seconds: float
    kernel_log: str = ""
    """What the kernel logged meanwhile."""
    verifier: str = ""
    """If the kernel's verifier refused the program: what the command says with its whole log."""
    why: str = ""
    """If not ok: a sentence about what differs."""


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """One row of the smoke matrix."""

    case: str
    title: str
    way: str
    """``tc``, ``xdp`` …: those of pipeline/smoke/ways.toml."""
    before: Cell
    after: Cell | None
    """None if only one package was tested."""
    object: str = ""
    """The object's sections, maps and symbols, as text."""
    yours: bool = False
    """Whether the object is the user's own."""
    limits: tuple[str, ...] = ()
    """For the user's own object: the limits of the loaders that it exceeds, and what to do."""

    @property
    def cells(self) -> tuple[tuple[str, Cell], ...]:
        """Return its cells, each with ``before`` or ``after``."""
        after = (("after", self.after),) if self.after else ()
        return (("before", self.before), *after)


@dataclass(frozen=True, kw_only=True)
class SmokeReport:
    """The smoke matrix: the results of one or two packages on one kernel."""

    place: str
    """``guest`` or ``netns``."""
    kernel: str
    """The output of ``uname -r`` there."""
    kernel_package: Package | None
    """None if it was this machine's own kernel."""
    accelerator: str
    """``kvm`` or ``tcg`` (emulation); empty without a guest."""
    before: str
    """``tc -V`` before."""
    after: str
    """``tc -V`` after; empty if only one package was tested."""
    packages: tuple[str, ...]
    """Name and version of the package before, and of the one after."""
    loaders: tuple[str, ...]
    """The loader of each, as in pipeline/smoke/cases.toml."""
    cases: tuple[CaseResult, ...]
    crashes: int
    """How often the guest crashed and was booted again."""
    seconds: float
    """Seconds, without the time in which the guest waited for the build."""
    compilers: tuple[str, ...] = ()
    """In the compilers' own words: what made the cases' objects, and the programs of the guest."""
    architecture: str = ""
    """The packages' architecture, by Debian's name; empty in reports of earlier versions."""
    machine: str = ""
    """QEMU's program and its type of machine; empty without a guest."""
    kept: int | None = None
    """If no fix is in the package after: how many rows load before, each of which must load after;
    else None."""

    @property
    def cells(self) -> tuple[tuple[CaseResult, str, Cell], ...]:
        """Return every cell, with its row and ``before`` or ``after``."""
        both = [(row, when, cell) for row in self.cases for when, cell in row.cells]
        return tuple(both)

    @property
    def ok(self) -> bool:
        """Return whether every cell is as expected."""
        return all(cell.ok for _, _, cell in self.cells)
