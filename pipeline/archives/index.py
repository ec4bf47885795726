"""An archive's signed indexes, as apt has fetched them: Packages and Sources.

They are read as they are, by searching for the paragraphs that are asked for (paragraphs.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from debian import deb822
from debian.debian_support import Version

from pipeline import bounded
from pipeline.archives import control, openpgp
from pipeline.archives.paragraphs import Paragraphs
from pipeline.errors import FetchError


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A package, source or binary, as an index lists it."""

    name: str
    version: str
    architecture: str
    """``source`` for a source package."""
    suite: str
    """``bookworm-security``: the suite of the index, as asked for."""
    folder: str
    """Where its files lie, relative to the archive."""
    files: tuple[control.Listed, ...]
    """Of a source package, the .dsc first."""
    index: Index = field(repr=False, compare=False)


def newest_first(found: Iterable[Listed]) -> tuple[Listed, ...]:
    """Sort by version, in dpkg's order."""
    return tuple(sorted(found, key=lambda each: Version(each.version), reverse=True))


class Index:
    """One Packages or Sources file, and the InRelease that vouches for it."""

    def __init__(
        self,
        path: Path,
        *,
        meta: str,
        suite: str,
        site: str,
        keyring: Path,
        also: Sequence[Path] = (),
        frozen: bool = False,
    ) -> None:
        """Open the list file ``path`` that apt fetched as ``meta`` of ``suite`` from ``site``.

        ``keyring`` and ``also`` hold the keys that may have signed it. Of an archive that is
        ``frozen``, keys that have expired since are taken, and ``trust`` says so. The bytes stay
        those of this moment, whatever another run's update does to the file.
        """
        self.path, self.meta, self.suite, self.site = path, meta, suite, site
        self._keyring, self._also, self._frozen = keyring, tuple(also), frozen
        self._release, self._detached = _release(path, meta)
        self._trust = ""
        self._text = Paragraphs(path, f"{self!r}")

    def __repr__(self) -> str:
        return f"{self.meta} of {self.suite} at {self.site}"

    def trust(self) -> str:
        """Say why this index is trusted: its InRelease, the date, the keys that signed it.

        gpgv checks the signature again, and the index's own SHA-256 must be the one that the
        signed text lists. Raises FetchError if not.
        """
        if self._trust:
            return self._trust
        signed = openpgp.check(
            self._release,
            *(self._keyring, *self._also),
            detached=self._detached,
            frozen=self._frozen,
        )
        if not signed.signers:
            raise FetchError(
                f"the index of {self.suite} at {self.site} is not signed by a key of"
                f" {self._keyring}",
                hint="use another mirror (--mirror), or name the keyring of this one (--keyring)",
            )
        text = signed.content.decode("utf-8", "replace")
        self._check_hash(text)
        date = re.search(r"^Date: (.*)$", text, re.MULTILINE)
        when = _utc(date.group(1)) if date else "an unknown date"
        self._trust = (
            f"{self.meta} of {self.suite} at {self.site}, listed in its InRelease of {when},"
            f" signed by {', '.join(signed.signers)}{self._waived(signed, text)}"
        )
        return self._trust

    def _waived(self, signed: openpgp.Signed, release: str) -> str:
        """Say what was not held against the index of a frozen archive."""
        waived = [f"that the key {key} has expired since" for key in signed.expired]
        until = re.search(r"^Valid-Until: (.*)$", release, re.MULTILINE)
        if self._frozen and until and _passed(until.group(1)):
            waived.append(f"that it was valid until {_utc(until.group(1))}")
        if not waived:
            return ""
        return f"; the archive is frozen, so it was not held against it {' and '.join(waived)}"

    def _check_hash(self, release: str) -> None:
        """Compare this list with the signed Release, where that lists it uncompressed."""
        sums = release.partition("\nSHA256:")[2]
        line = re.search(rf"^ ([0-9a-f]{{64}}) +\d+ {re.escape(self.meta)}$", sums, re.MULTILINE)
        if line and line.group(1) != self._text.sha256():
            raise FetchError(
                f"the cached {self!r} is not the file that its signed InRelease lists",
                hint="delete the folder apt of the cache, or run again if another run updates it",
            )

    def sources(self, name: str) -> Iterator[Listed]:
        """Yield the versions of a source package."""
        for text in self._text.named((name,)):
            fields = deb822.Sources(text)
            version, folder = str(fields.get("Version", "")), str(fields.get("Directory", ""))
            if not control.version_text(version) or ".." in folder.split("/"):
                raise FetchError(f"{self!r}: the entry of {name} is malformed")
            files = control.listed(fields.get("Checksums-Sha256"), f"{self!r}")
            ordered = sorted(files, key=lambda f: not f.name.endswith(".dsc"))
            yield Listed(
                name=name,
                version=version,
                architecture="source",
                suite=self.suite,
                folder=folder,
                files=tuple(ordered),
                index=self,
            )

    def packages(self, names: Iterable[str]) -> Iterator[Listed]:
        """Yield the binary packages of these names."""
        for fields in map(deb822.Deb822, self._text.named(names)):
            folder, _, name = str(fields.get("Filename", "")).rpartition("/")
            if not control.version_text(str(fields.get("Version", ""))) or ".." in folder.split(
                "/"
            ):
                raise FetchError(f"{self!r}: the entry of {fields.get('Package')} is malformed")
            entry = {"name": name, "size": fields.get("Size"), "sha256": fields.get("SHA256")}
            yield Listed(
                name=str(fields["Package"]),
                version=str(fields["Version"]),
                architecture=str(fields.get("Architecture", "")),
                suite=self.suite,
                folder=folder.removeprefix("./"),
                files=control.listed([entry], f"{self!r}"),
                index=self,
            )

    def matching(self, pattern: str) -> set[str]:
        """Return the names of all packages that a regular expression matches as a whole."""
        return self._text.matching(pattern)

    def essential(self, priorities: Iterable[str]) -> set[str]:
        """Return the names of the packages that are Essential or have one of the priorities."""
        lines = [b"Essential: yes", *(b"Priority: " + p.encode() for p in priorities)]
        places = (at for line in lines for at in self._text.lines(line))
        names = {str(deb822.Deb822(self._text.at(at)).get("Package")) for at in places}
        for name in names:
            if not control.package_name(name):
                raise FetchError(f"{self!r} names a package {name!r}", hint="use another mirror")
        return names


def _release(path: Path, meta: str) -> tuple[bytes, bytes | None]:
    """Return the signed Release beside a list, and its signature if that is a file apart."""
    base = str(path).removesuffix(meta.replace("/", "_"))
    try:
        if Path(f"{base}InRelease").exists():
            return bounded.read(Path(f"{base}InRelease"), bounded.LARGE), None
        signature = bounded.read(Path(f"{base}Release.gpg"), bounded.SMALL)
        return bounded.read(Path(f"{base}Release"), bounded.LARGE), signature
    except OSError as e:
        raise FetchError(
            f"{meta} has no signed Release file beside it in apt's lists",
            details=str(e),
            hint="delete the folder apt of the cache and try again",
        ) from e


def _passed(date: str) -> bool:
    try:
        return parsedate_to_datetime(date.strip()).astimezone(UTC) < datetime.now(UTC)
    except ValueError:
        return True


def _utc(date: str) -> str:
    try:
        return parsedate_to_datetime(date.strip()).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return f"the date {date.strip()!r}"
