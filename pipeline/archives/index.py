# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""An archive's signed indexes, as apt has fetched them: Packages and Sources.

They are searched in place for the requested paragraphs (paragraphs.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from debian import deb822
from debian.debian_support import Version

from pipeline.archives import dsc_file
from pipeline.archives.paragraphs import Paragraphs
from pipeline.archives.release import SignedRelease
from pipeline.errors import FetchError


@dataclass(frozen=True, kw_only=True)
class ListedPackage:
    """A package, source or binary, as an index lists it."""

    name: str
    version: str
    architecture: str
    """``source`` for a source package."""
    suite: str
    """``bookworm-security``: the suite of the index, as requested."""
    directory: str
    """Where its files lie, relative to the archive."""
    files: tuple[dsc_file.Listed, ...]
    """For a source package, the .dsc first."""
    index: Index = field(repr=False, compare=False)


def newest_first(found: Iterable[ListedPackage]) -> tuple[ListedPackage, ...]:
    """Sort by version, in dpkg's order."""
    return tuple(sorted(found, key=lambda each: Version(each.version), reverse=True))


class Index:
    """One Packages or Sources file, and the InRelease that vouches for it."""

    def __init__(
        self, path: Path, *, meta: str, release: SignedRelease, frozen: bool = False
    ) -> None:
        """Open the list file ``path``, which ``release`` lists as ``meta``.

        For a ``frozen`` archive, ``trust`` says which checks were waived. The content stays
        that of this moment, whatever another run's update does to the file.
        """
        self.path, self.meta, self.release = path, meta, release
        self.suite, self.site = release.suite, release.site
        self._frozen = frozen
        self._trust = ""
        self._text = Paragraphs(path, f"{self!r}")

    def __repr__(self) -> str:
        return f"{self.meta} of {self.suite} at {self.site}"

    def trust(self) -> str:
        """Say why this index is trusted: its InRelease, the date, the keys that signed it.

        Its SHA-256 must be the one that the signed text lists. Raises FetchError if not.
        """
        if not self._trust:
            self._check_hash()
            release = self.release
            self._trust = (
                f"{self!r}, listed in its InRelease of {_minute(release.stated.date)},"
                f" signed by {', '.join(release.signers)}{self._waived()}"
            )
        return self._trust

    def _waived(self) -> str:
        """Say which checks were waived for the index of a frozen archive."""
        waived = [f"that the key {key} has expired since" for key in self.release.expired]
        until = self.release.stated.valid_until
        if self._frozen and until and until < datetime.now(UTC):
            waived.append(f"that it was only valid until {_minute(until)}")
        if not waived:
            return ""
        return f"; the archive is frozen, so respin ignored {' and '.join(waived)}"

    def _check_hash(self) -> None:
        """Compare this list with the signed Release, if that lists it uncompressed."""
        listed = self.release.listed(self.meta)
        if listed and listed[0] != self._text.sha256():
            raise FetchError(
                f"the cached {self!r} does not match its signed InRelease",
                hint="delete the directory apt of the cache, or run again if another run updates "
                "it",
            )

    def sources(self, name: str) -> Iterator[ListedPackage]:
        """Yield the versions of a source package."""
        for text in self._text.named((name,)):
            fields = deb822.Sources(text)
            version, directory = str(fields.get("Version", "")), str(fields.get("Directory", ""))
            if not dsc_file.version_text(version) or ".." in directory.split("/"):
                raise FetchError(f"the entry of {name} in {self!r} is malformed")
            files = dsc_file.listed(fields.get("Checksums-Sha256"), f"{self!r}")
            ordered = sorted(files, key=lambda f: not f.name.endswith(".dsc"))
            yield ListedPackage(
                name=name,
                version=version,
                architecture="source",
                suite=self.suite,
                directory=directory,
                files=tuple(ordered),
                index=self,
            )

    def packages(self, names: Iterable[str]) -> Iterator[ListedPackage]:
        """Yield the binary packages of these names."""
        for fields in map(deb822.Deb822, self._text.named(names)):
            directory, _, name = str(fields.get("Filename", "")).rpartition("/")
            if not dsc_file.version_text(str(fields.get("Version", ""))) or ".." in directory.split(
                "/"
            ):
                raise FetchError(f"the entry of {fields.get('Package')} in {self!r} is malformed")
            entry = {"name": name, "size": fields.get("Size"), "sha256": fields.get("SHA256")}
            yield ListedPackage(
                name=str(fields["Package"]),
                version=str(fields["Version"]),
                architecture=str(fields.get("Architecture", "")),
                suite=self.suite,
                directory=directory.removeprefix("./"),
                files=dsc_file.listed([entry], f"{self!r}"),
                index=self,
            )

    def matching(self, pattern: str) -> set[str]:
        """Return the names of all packages that match a regular expression in full."""
        return self._text.matching(pattern)

    def essential(self, priorities: Iterable[str]) -> set[str]:
        """Return the names of the packages that are Essential or have one of the priorities."""
        lines = [b"Essential: yes", *(b"Priority: " + p.encode() for p in priorities)]
        places = (at for line in lines for at in self._text.lines(line))
        names = {str(deb822.Deb822(self._text.at(at)).get("Package")) for at in places}
        for name in names:
            if not dsc_file.package_name(name):
                raise FetchError(
                    f"{self!r} contains the invalid package name {name!r}",
                    hint="use another mirror",
                )
        return names


def _minute(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"
