"""A suite's signed index of source packages, as the watch keeps it from night to night.

InRelease is asked for conditionally; only when it has changed, and says that Sources has,
Sources is fetched. apt is not started: a night in which nothing is new takes one "not
modified" per suite. What is found here only says that there is something to do: the run
then fetches and verifies by apt.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from debian import deb822

from pipeline import bounded, limits
from pipeline.address import Address
from pipeline.archives import compressed, control, openpgp
from pipeline.archives.conditional import Mirror, Validators
from pipeline.archives.paragraphs import Paragraphs
from pipeline.cache import digest
from pipeline.errors import FetchError, UsageError
from pipeline.model import AptSource

_FORMS = (".xz", ".gz", ".bz2", "")


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A version of the source package in a suite."""

    version: str
    dsc: str
    """The SHA-256 of its .dsc: one version may have been there twice with other contents."""
    suite: str

    @property
    def key(self) -> tuple[str, str]:
        """What makes it another one: its version, and its contents."""
        return self.version, self.dsc


@dataclass(frozen=True, kw_only=True)
class SuiteIndex:
    """What one suite at one archive listed, when it was last read."""

    site: str
    suite: str
    validators: Validators
    codename: str
    """As its Release says; empty if it does not."""
    keys: str
    """A digest of the keyrings that it was verified with."""
    date: datetime
    valid_until: datetime | None
    sources: tuple[str, ...]
    """SHA-256 of its Sources files, one for each component."""
    sightings: tuple[Sighting, ...]


def keys_digest(source: AptSource) -> str:
    """Return a digest of the keyrings of an archive. Raises UsageError if one cannot be read."""
    try:
        return digest(
            *(bounded.read(path, bounded.KEYRING) for path in (source.keyring, *source.also))
        )
    except OSError as e:
        raise UsageError(
            f"the keyring {e.filename} cannot be read: {e.strerror}", hint="name it in respin.toml"
        ) from e


class Reader:
    """Reads the suites of one archive."""

    def __init__(self, mirror: Mirror, source: AptSource, package: str, now: datetime) -> None:
        self._mirror, self._source, self._package, self._now = mirror, source, package, now

    def read(self, suite: str, known: SuiteIndex | None) -> SuiteIndex | None:
        """Return the suite's index, ``known`` itself if nothing has changed; None: no such suite.

        Raises FetchError for what cannot be had or verified, has expired, or is older than
        what is known. A suite that was there before has to be there.
        """
        source = self._source
        keys = keys_digest(source)
        if known and known.keys != keys:
            known = replace(known, validators=Validators())  # verified by other keys
        url = source.uri / f"dists/{suite}/InRelease"
        answer = self._mirror.get(
            url, limit=limits.LIMITS.release, have=known.validators if known else None
        )
        if answer.missing:
            if known:
                raise FetchError(
                    f"{suite} is gone from {source.uri}",
                    details=url,
                    hint="has it come to its end? Then take it out of respin.toml",
                )
            return None
        if answer.same:
            assert known is not None
            self._check_valid(known)
            return known
        text = self._signed_text(answer.body, suite)
        fresh = self._index(text, suite, keys, answer.validators)
        if known and fresh.codename != known.codename:
            raise FetchError(
                f"the index of {suite} at {source.uri} is that of another release",
                details=f"its Codename is {fresh.codename!r}, and was {known.codename!r} before",
                hint="somebody replays another index, or the archive was made anew",
            )
        if known and fresh.date < known.date:
            raise FetchError(
                f"the index of {suite} at {source.uri} went back in time",
                details=f"it is of {fresh.date:%F %T}, and was of {known.date:%F %T} before",
                hint="the mirror is behind, or somebody replays an old index; use another mirror",
            )
        self._check_valid(fresh)
        if known and fresh.sources == known.sources:
            return replace(fresh, sightings=known.sightings)
        return replace(fresh, sightings=tuple(self._sightings(text, suite)))

    def _check_valid(self, index: SuiteIndex) -> None:
        if index.valid_until and index.valid_until < self._now and not self._source.frozen:
            raise FetchError(
                f"the index of {index.suite} at {index.site} has expired",
                details=f"it was valid until {index.valid_until:%F %T} UTC",
                hint="the mirror is behind; use another one, or wait for it",
            )

    def _signed_text(self, body: bytes, suite: str) -> str:
        """Return what the signature covers, and nothing around it."""
        source = self._source
        signed = openpgp.check(body, source.keyring, *source.also, frozen=source.frozen)
        if not signed.signers:
            raise FetchError(
                f"the index of {suite} at {source.uri} is not signed by a key of {source.keyring}",
                details="its signature is bad" if signed.bad else "",
                hint="if the archive has a new key, install the new keyring",
            )
        return signed.content.decode("utf-8", "replace")

    def _index(self, text: str, suite: str, keys: str, validators: Validators) -> SuiteIndex:
        codename = re.search(r"^Codename: (\S+)$", text, re.MULTILINE)
        return SuiteIndex(
            site=str(self._source.uri),
            suite=suite,
            validators=validators,
            codename=codename[1] if codename else "",
            keys=keys,
            date=_date(text, "Date", suite) or datetime.fromtimestamp(0, UTC),
            valid_until=_date(text, "Valid-Until", suite),
            sources=tuple(f"{c} {_listed(text, c)[0].sha256}" for c in self._components(text)),
            sightings=(),
        )

    def _components(self, text: str) -> Iterator[str]:
        """Yield the components of which the index lists sources."""
        for component in self._source.components:
            if _listed(text, component):
                yield component

    def _sightings(self, text: str, suite: str) -> Iterator[Sighting]:
        by_hash = re.search(r"^Acquire-By-Hash: yes$", text, re.MULTILINE) is not None
        for component in self._components(text):
            want = _listed(text, component)[0]
            folder = self._source.uri / f"dists/{suite}"
            urls = [folder / want.name]
            if by_hash:
                urls.insert(0, folder / f"{component}/source/by-hash/SHA256/{want.sha256}")
            with tempfile.TemporaryDirectory(prefix="respin-sources-") as work:
                packed, plain = Path(work) / "packed", Path(work) / "plain"
                self._fetch(urls, want, suite, packed)
                with plain.open("wb") as f:
                    form = Path(want.name).suffix
                    f.writelines(compressed.pieces(packed, form, limits.LIMITS.listing))
                where = f"Sources of {suite} at {self._source.uri}"
                for text in Paragraphs(plain, where).named((self._package,)):
                    yield self._sighting(deb822.Sources(text), suite)

    def _fetch(self, urls: list[Address], want: control.Listed, suite: str, path: Path) -> None:
        for url in urls:
            if not self._mirror.save(url, path, limit=want.size):
                continue
            found = control.described(path)
            if (found.size, found.sha256) != (want.size, want.sha256):
                raise FetchError(
                    f"{want.name} of {suite} is not the file that its InRelease lists",
                    details=f"{url}\nlisted: {want.sha256}\nfound:  {found.sha256}",
                    hint="the mirror is in the middle of an update; it is asked again next time",
                )
            return
        raise FetchError(
            f"{want.name} of {suite} is not there, though its InRelease lists it",
            details="\n".join(urls),
            hint="the mirror is in the middle of an update; it is asked again next time",
        )

    def _sighting(self, fields: deb822.Sources, suite: str) -> Sighting:
        version = str(fields.get("Version", ""))
        where = f"Sources of {suite} at {self._source.uri}"
        files = control.listed(fields.get("Checksums-Sha256"), where)
        dsc = [f.sha256 for f in files if f.name.endswith(".dsc")]
        if not control.version_text(version) or len(dsc) != 1:
            raise FetchError(f"{where}: the entry of {self._package} is malformed")
        return Sighting(version=version, dsc=dsc[0], suite=suite)


def _listed(text: str, component: str) -> list[control.Listed]:
    """Return how a Release lists a component's Sources, best compression first."""
    sums = text.partition("\nSHA256:")[2]
    found = []
    for form in _FORMS:
        name = f"{component}/source/Sources{form}"
        match = re.search(rf"^ ([0-9a-f]{{64}}) +(\d+) {re.escape(name)}$", sums, re.MULTILINE)
        if match and int(match[2]) <= limits.LIMITS.listing:
            found.append(control.Listed(name=name, size=int(match[2]), sha256=match[1]))
    return found


def _date(text: str, field: str, suite: str) -> datetime | None:
    match = re.search(rf"^{field}: (.*)$", text, re.MULTILINE)
    if not match:
        return None
    try:
        return parsedate_to_datetime(match[1].strip()).astimezone(UTC)
    except ValueError as e:
        raise FetchError(f"the index of {suite} has no sound {field}: {match[1]!r}") from e
