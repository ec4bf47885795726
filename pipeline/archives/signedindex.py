# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A suite's signed index of source packages, as the watch keeps it from night to night.

InRelease is requested conditionally; Sources is fetched only if InRelease has changed and says
that Sources has, too. apt is not started: a night without news takes one "not modified" per
suite. What is found here only says that there is something to do: the run then fetches and
verifies with apt.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from debian import deb822
from debian.debian_support import Version

from pipeline.archives import belief, dsc_file, keyrings
from pipeline.archives.conditional import Mirror, Validators
from pipeline.archives.memory import Memory, SeenIndex
from pipeline.archives.paragraphs import Paragraphs
from pipeline.archives.release import SignedRelease
from pipeline.config import limits
from pipeline.errors import FetchError
from pipeline.files import compressed
from pipeline.host.cache import digest
from pipeline.model import AptSource
from pipeline.text.address import Address

_FORMS = (".xz", ".gz", ".bz2", "")


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A version of the source package in a suite."""

    version: str
    dsc: str
    """The SHA-256 of its .dsc: one version may have appeared twice with different contents."""
    suite: str

    @property
    def key(self) -> tuple[str, str]:
        """What distinguishes it: its version and its contents."""
        return self.version, self.dsc


@dataclass(frozen=True, kw_only=True)
class SuiteIndex:
    """What one suite at one archive listed, when it was last read."""

    site: str
    suite: str
    validators: Validators
    codename: str
    """As its Release says; empty if it says none."""
    keys: str
    """A digest of the keyrings that it was verified with."""
    date: datetime
    valid_until: datetime | None
    sources: tuple[str, ...]
    """SHA-256 of its Sources files, one for each component."""
    sightings: tuple[Sighting, ...]


FORMAT = "2"
"""The version of the checks on an index: to be raised when they change, so that indexes that an
older respin accepted are checked again."""


class Reader:
    """Reads the suites of one archive."""

    def __init__(
        self,
        mirror: Mirror,
        source: AptSource,
        package: str,
        now: datetime,
        memory: Memory | None = None,
    ) -> None:
        """Read, through a mirror's client, what it has of a source package; ``now`` is tonight.

        ``memory`` is the cache's.
        """
        self._mirror, self._source, self._package, self._now = mirror, source, package, now
        self._memory = memory

    def read(self, suite: str, known: SuiteIndex | None) -> SuiteIndex | None:
        """Return the suite's index, ``known`` itself if nothing has changed; None: no such suite.

        ``known`` also stays if the mirror's index is a little older. Raises FetchError if the index
        cannot be fetched or verified, has expired, or cannot be believed (belief.py), or if a suite
        that was there before is missing.
        """
        source = self._source
        keys = digest(FORMAT, digest(*keyrings.contents(source)))
        if known and known.keys != keys:
            known = replace(known, validators=Validators())  # verified by other keys
        seen = self._memory.of(source, suite) if self._memory else None
        before = [seen, SeenIndex(codename=known.codename, date=known.date) if known else None]
        answer = self._mirror.get(
            source.uri / f"dists/{suite}/InRelease",
            limit=limits.LIMITS.release,
            have=known.validators if known else None,
        )
        last = next(filter(None, before[::-1]), None)
        if answer.missing:
            if last:
                raise belief.gone(source, suite, last)
            return None
        if answer.same:
            assert known is not None
            self._check_valid(known)
            return known
        release = self._signed(answer.body, suite)
        newer = belief.hold(release, source, before, self._now, forget=self._forget(suite))
        if known and release.stated.date < known.date:
            self._check_valid(known)  # as apt does: of two, the newer one counts
            return known
        fresh = self._index(release, keys, answer.validators)
        self._check_valid(fresh)
        if known and fresh.sources == known.sources:
            fresh = replace(fresh, sightings=known.sightings)
        else:
            fresh = replace(fresh, sightings=tuple(self._sightings(release)))
        self._remember(release, fresh, newer)
        return fresh

    def _forget(self, suite: str) -> str:
        if self._memory is None:
            return "begin with another state directory"
        return (
            f"rm {self._memory.path(self._source, suite)}, and begin with another state directory"
        )

    def _remember(self, release: SignedRelease, fresh: SuiteIndex, newer: SeenIndex | None) -> None:
        """Check the versions against what was seen, and remember them."""
        versions = sorted((s.version for s in fresh.sightings), key=Version)
        best = versions[-1] if versions else None
        belief.hold_version((fresh.site, fresh.suite), newer, self._package, best)
        if self._memory:
            listed = {self._package: best} if best else {}
            belief.note(self._memory, self._source, release, **listed)

    def _check_valid(self, index: SuiteIndex) -> None:
        name = f"the index of {index.suite} at {index.site}"
        error = belief.expired(name, index.valid_until, self._now)
        if error and not self._source.frozen:
            raise error

    def _signed(self, body: bytes, suite: str) -> SignedRelease:
        source = self._source
        return SignedRelease(
            body,
            suite=suite,
            site=str(source.uri),
            keyrings=(source.keyring, *source.also),
            frozen=source.frozen,
        )

    def _index(self, release: SignedRelease, keys: str, validators: Validators) -> SuiteIndex:
        stated = release.stated
        sources = ((c, _listed(release, c)[0].sha256) for c in self._components(release))
        return SuiteIndex(
            site=str(self._source.uri),
            suite=release.suite,
            validators=validators,
            codename=stated.codename,
            keys=keys,
            date=stated.date,
            valid_until=stated.valid_until,
            sources=tuple(f"{component} {sha256}" for component, sha256 in sources),
            sightings=(),
        )

    def _components(self, release: SignedRelease) -> Iterator[str]:
        """Yield the components for which the index lists sources."""
        for component in self._source.components:
            if _listed(release, component):
                yield component

    def _sightings(self, release: SignedRelease) -> Iterator[Sighting]:
        suite = release.suite
        by_hash = re.search(r"^Acquire-By-Hash: yes$", release.text, re.MULTILINE) is not None
        for component in self._components(release):
            want = _listed(release, component)[0]
            directory = self._source.uri / f"dists/{suite}"
            urls = [directory / want.name]
            if by_hash:
                urls.insert(0, directory / f"{component}/source/by-hash/SHA256/{want.sha256}")
            with tempfile.TemporaryDirectory(prefix="respin-sources-") as work:
                packed, plain = Path(work) / "packed", Path(work) / "plain"
                self._fetch(urls, want, suite, packed)
                with plain.open("wb") as f:
                    form = Path(want.name).suffix
                    f.writelines(compressed.pieces(packed, form, limits.LIMITS.listing))
                where = f"Sources of {suite} at {self._source.uri}"
                for text in Paragraphs(plain, where).named((self._package,)):
                    yield self._sighting(deb822.Sources(text), suite)

    def _fetch(self, urls: list[Address], want: dsc_file.Listed, suite: str, path: Path) -> None:
        for url in urls:
            if not self._mirror.save(url, path, limit=want.size):
                continue
            found = dsc_file.described(path)
            if (found.size, found.sha256) != (want.size, want.sha256):
                raise FetchError(
                    f"{want.name} of {suite} does not match its InRelease",
                    details=f"{url}\nlisted: {want.sha256}\nfound:  {found.sha256}",
                    hint="the mirror is probably being updated; the next night tries it again",
                )
            return
        raise FetchError(
            f"{want.name} of {suite} is missing, although its InRelease lists it",
            details="\n".join(urls),
            hint="the mirror is probably being updated; the next night tries it again",
        )

    def _sighting(self, fields: deb822.Sources, suite: str) -> Sighting:
        version = str(fields.get("Version", ""))
        where = f"Sources of {suite} at {self._source.uri}"
        files = dsc_file.listed(fields.get("Checksums-Sha256"), where)
        dsc = [f.sha256 for f in files if f.name.endswith(".dsc")]
        if not dsc_file.version_text(version) or len(dsc) != 1:
            raise FetchError(f"the entry of {self._package} in {where} is malformed")
        return Sighting(version=version, dsc=dsc[0], suite=suite)


def _listed(release: SignedRelease, component: str) -> list[dsc_file.Listed]:
    """Return how a Release lists a component's Sources, best compression first."""
    found = []
    for form in _FORMS:
        name = f"{component}/source/Sources{form}"
        listed = release.listed(name)
        if listed and listed[1] <= limits.LIMITS.listing:
            found.append(dsc_file.Listed(name=name, size=listed[1], sha256=listed[0]))
    return found
