# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A private apt: a directory with its own sources, lists and cache, as chdist(1) makes.

Root is not required, and the machine's own apt stays untouched. The lists stay in the cache
between runs, so that what has not changed is not fetched again; a lock keeps runs apart.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline.archives import (
    apt_errors,
    belief,
    credentials,
    host_apt,
    keyrings,
    openpgp,
    refused_index,
)
from pipeline.archives.index import Index, ListedPackage
from pipeline.archives.memory import Memory, SeenIndex
from pipeline.archives.release import SignedRelease, beside
from pipeline.config import limits
from pipeline.errors import FetchError, RespinError
from pipeline.files import bounded, own_files, ownership
from pipeline.host import command
from pipeline.host.cache import Cache, digest
from pipeline.host.resources import package_data, render
from pipeline.isolation import namespaces
from pipeline.isolation.order import Bind
from pipeline.model import AptSource
from pipeline.text import quoting

_FORMAT = "\x1f".join(("$(FILENAME)", "$(METAKEY)", "$(RELEASE)", "$(REPO_URI)", "$(CREATED_BY)"))
"""A unit separator occurs in no address and in none of our file names."""


FILL = "fill the cache where there is a network: respin fetch --locked FILE --everything"


class PrivateRoot:
    """A private apt root for some sources."""

    def __init__(
        self,
        cache: Cache,
        sources: Sequence[AptSource],
        architectures: Sequence[str],
        log: Path | None,
        *,
        offline: bool = False,
    ) -> None:
        """Name the root after the sources and the keys in their keyrings.

        If ``offline``, nothing is fetched: the lists are those of the last update.

        The first of the ``architectures`` is that of apt itself; the packages of the others are
        foreign to it. Raises UsageError if a keyring cannot be read.
        """
        keys = [each for source in sources for each in keyrings.sums(source)]
        self.sources = tuple(sources)
        self._architectures = tuple(architectures)
        self._cache = cache
        self._offline = offline
        self._key = digest(*architectures, *map(repr, sources), *keys)
        self.active: tuple[AptSource, ...] = ()
        """The sources as the last update read them, without the suites that do not exist."""
        self.expired_keys = False
        """The index of a frozen archive is signed by keys that have expired since."""
        self.left_out: tuple[str, ...] = ()
        """In words: the suites that the last update left out."""
        self.memory = Memory(cache)
        self._newer: dict[tuple[str, str], tuple[AptSource, SeenIndex | None]] = {}
        """Site and suite of each index of the last update -> what was seen that is newer."""
        self._log = log
        self.path = cache.directory("apt") / self._key[:32]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs from changing the root; do not nest it."""
        with self._cache.lock("apt", self._key):
            yield

    def _choose(self, missing: frozenset[tuple[str, str]]) -> tuple[AptSource, ...]:
        """Return the sources without missing suites, and fallbacks for what no other source has."""
        chosen, had = [], set[str]()
        for source in sorted(self.sources, key=lambda s: s.fallback):
            suites = [s for s in source.suites if (source.uri.rstrip("/"), s) not in missing]
            if source.fallback:
                suites = [s for s in suites if s not in had]
            had |= set(suites)
            if suites:
                keyring = self._keyring(source)
                gpgv = self.gpgv() if self.expired_keys and source.frozen else None
                chosen.append(
                    replace(source, suites=tuple(suites), keyring=keyring, also=(), gpgv=gpgv)
                )
        return tuple(chosen)

    def _keyring(self, source: AptSource) -> Path:
        """Return the one file in which apt finds the keys of a source."""
        if not source.also and quoting.fits_deb822(source.keyring.absolute()):
            return source.keyring.absolute()
        data = b"".join(openpgp.keyring(p) for p in (source.keyring, *source.also))
        path = self._directory("etc") / f"{digest(data)[:16]}.gpg"
        _replace(path, data)
        return path

    def _directory(self, name: str) -> Path:
        """Return a directory in this root; root lends its subdirectories to root behind a wall."""
        path = self._cache.directory(f"apt/{self.path.name}") / name
        path.mkdir(mode=ownership.PUBLIC, parents=True, exist_ok=True)
        return path

    def _write(self, sources: Sequence[AptSource]) -> None:
        """Write the configuration for these sources."""
        for directory in ("etc", "state/lists/partial", "cache/archives/partial"):
            self._directory(directory)
        user = "root" if os.geteuid() != 0 or namespaces.possible() else "_apt"
        if user == "_apt":  # it has to reach what it fetches
            for path in (self._cache.root, self.path.parent, self.path):
                path.chmod(path.stat().st_mode | 0o011)
        conf = render(
            "apt.conf.j2",
            root=self.path,
            user=user,
            architectures=self._architectures,
            machine=host_apt.network_settings(),
            gpgv=self.gpgv() if self.expired_keys else openpgp.GPGV,
        )
        # It may hold the credentials of a proxy.
        credentials.private(self.path / "etc/apt.conf", conf)
        credentials.write(self.path / "etc", (source.uri for source in sources))
        stanzas = "\n".join(source.stanza() for source in sources)
        _replace(self.path / "etc/respin.sources", stanzas)

    def gpgv(self) -> Path:
        """Return the program that accepts keys which have expired since (templates/)."""
        path = self._directory("etc") / "gpgv-frozen"
        _replace(path, package_data(__package__, "gpgv-frozen.sh").read_bytes(), mode=0o755)
        return path

    def apt(
        self,
        *argv: str,
        into: Path | None = None,
        error: type[RespinError] = FetchError,
        brief: str = "",
        seconds: float | None = None,
        longest: int | None = None,
    ) -> command.Completed:
        """Run one of apt's programs in this root; the command can be run again as shown.

        It starts in the directory ``into``, and writes to it. It may take at most ``seconds``
        (default: the limit for files), however slowly a mirror sends, and write files of at most
        ``longest`` bytes (default: the limit for a file).
        """
        size = longest or limits.LIMITS.file
        # apt unpacks what an index lists, and checks it only afterwards. A file that gets too long
        # is an error for the program that writes it, and does not kill it.
        limited = ["prlimit", f"--fsize={size}", "--core=0"]
        env = {k: v for k, v in os.environ.items() if k not in ("LANGUAGE", "APT_CONFIG")}
        writes = [self.path / "state", self.path / "cache"]
        # They are given for good: another thread of ours may be using them at the same time.
        namespaces.given(self.path / "etc", *writes)
        begin = self._apart([*writes, *([into] if into else [])])
        if begin:
            env["TMPDIR"] = "/tmp"
            begin += ["env", f"--chdir={into or '/'}"]
        with namespaces.lent(*([into] if into else [])):
            return command.run(
                [
                    *limited,
                    *("env", "--ignore-signal=XFSZ"),
                    f"APT_CONFIG={self.path / 'etc/apt.conf'}",
                    "LC_ALL=C.UTF-8",
                    *argv,
                ],
                begin=begin,
                cwd=into,
                env=env,
                timeout=seconds or limits.LIMITS.files,
                log=self._log,
                error=error,
                brief=brief or f"{argv[0]} failed",
            )

    def _apart(self, writes: Sequence[Path]) -> list[str]:
        """Return the beginning of a command line that keeps apt, and all that it runs, apart.

        It sees its own root, the keys, and what it needs to reach the archives.
        """
        named = [source.keyring for source in self.active or self.sources]
        named += [path for line in host_apt.network_settings() for path in _paths(line)]
        copies = {str(path): path for path in named}
        binds = [Bind(host=self.path / "etc"), *(Bind(host=path, write=True) for path in writes)]
        binds += [Bind(host=path) for source in self.sources for path in _local(source)]
        own = [p for p in copies.values() if not p.is_relative_to(self.path)]
        return namespaces.apart(
            *binds,
            copies=[*((path, str(path)) for path in own), *credentials.files()],
            network=not self._offline,
        )

    def update(self, required: Collection[str]) -> tuple[Index, ...]:
        """Bring the lists up to date and return them; the caller holds the lock.

        A suite that an archive lacks is looked for in the fallbacks and otherwise left out, unless
        it is one of the ``required`` (the release itself). Every other failure raises FetchError:
        an archive that does not answer, or whose answer cannot be verified, is not passed over. A
        fallback may have the final state of an index that has expired. Expired keys are accepted
        for frozen archives alone. Raises UsageError if this machine's apt is too old.
        """
        host_apt.check()
        if self._offline:
            return self._kept(required)
        missing: frozenset[tuple[str, str]] = frozenset()
        left_out: frozenset[tuple[str, str]] = frozenset()
        end = time.monotonic() + limits.LIMITS.update
        while True:
            self.active = self._choose(missing | left_out)
            self._write(self.active)
            refused_index.forget(self._lists)
            try:
                # Without the option, apt spends a second on a cache that may not be needed.
                self.apt(
                    *("apt-get", "update", "-o", "pkgCacheFile::Generate=false"),
                    seconds=max(1.0, end - time.monotonic()),
                    longest=limits.LIMITS.listing,
                )
            except FetchError as e:
                where = ", ".join(sorted({s.uri for s in self.sources}))
                said = apt_errors.explain(e, f"updating the indexes of {where}")
                if apt_errors.stopped(e):
                    raise said from None
                judged = refused_index.judge(
                    self._lists,
                    self.active,
                    e,
                    datetime.now(UTC),
                    kept=not apt_errors.known(e),
                )
                before = missing, self.expired_keys
                self.expired_keys |= judged.expired_keys
                replaced = self._replaced(judged.expired)
                for stale in judged.expired.keys() - replaced:
                    raise judged.expired[stale] from None
                missing |= apt_errors.missing_suites(e.details) | replaced
                here = {s for source in self._choose(missing) for s in source.suites}
                if (missing, self.expired_keys) != before and here.issuperset(required):
                    continue
                raise next(iter(judged.expired.values()), said) from None
            else:
                found = self._indexes()
                partial = self._partial(found, required)
                if partial:
                    left_out |= partial
                    continue
                self._hold(found, missing)
                self.left_out = tuple(
                    f"{suite} at {uri} is left out: it does not have packages for both "
                    f"{' and '.join(self._architectures)}, which a cross build needs"
                    for uri, suite in sorted(left_out)
                )
                return found

    def _kept(self, required: Collection[str]) -> tuple[Index, ...]:
        """Return the lists that the last update left, without the suites that it did not find.

        Their signatures are checked as ever. Raises FetchError if one of the ``required`` is not
        there.
        """
        missing: frozenset[tuple[str, str]] = frozenset()
        while True:
            self.active = self._choose(missing)
            self._write(self.active)
            found = self._indexes()
            there = {(i.site, i.suite) for i in found} - self._partial(found, ())
            asked = {(s.uri.rstrip("/"), suite) for s in self.active for suite in s.suites}
            if asked <= there:
                break
            missing |= asked - there
        gone = set(required) - {suite for _, suite in there}
        if gone or not there:
            raise FetchError(
                f"the cache has no index of {', '.join(sorted(gone)) or 'this archive'}",
                details="\n".join(f"{s.uri}: {' '.join(s.suites)}" for s in self.sources),
                hint=FILL,
            )
        self._hold(found, ())
        self.left_out = (
            "offline: the indexes are those in the cache; whether they have expired since then was "
            "not checked",
        )
        return found

    def _partial(
        self, found: Sequence[Index], required: Collection[str]
    ) -> frozenset[tuple[str, str]]:
        """Return the suites, each with its site, that lack one of several architectures.

        With such a suite, a package that is to be installed for both (Multi-Arch: same) would have
        two versions, which dpkg refuses. Raises FetchError if it is one of the ``required``.
        """
        if len(self._architectures) == 1:
            return frozenset()
        served: dict[str, set[str]] = {}
        asked = {
            (s.uri.rstrip("/"), suite): s.architectures or self._architectures
            for s in self.active
            for suite in s.suites
        }
        for index in found:
            has = set(index.release.architectures or self._architectures)
            served.setdefault(index.suite, set()).update(has & set(asked[index.site, index.suite]))
        partial = {suite for suite, has in served.items() if has != set(self._architectures)}
        for suite in sorted(partial.intersection(required)):
            lacking = ", ".join(sorted(set(self._architectures) - served[suite]))
            raise FetchError(
                f"{suite} has no packages of {lacking} in "
                f"{', '.join(sorted({s.uri for s in self.active}))}",
                hint="name a mirror that has all architectures of a cross build (--mirror)",
            )
        return frozenset(place for place in asked if place[1] in partial)

    @property
    def _lists(self) -> Path:
        return self.path / "state/lists"

    def _replaced(self, expired: Collection[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Return those of the expired suites that a fallback may have."""
        spare = {suite for s in self.sources if s.fallback for suite in s.suites}
        return frozenset(place for place in expired if place[1] in spare)

    def _indexes(self) -> tuple[Index, ...]:
        """Return the lists. Raises FetchError if one is not signed by a key that counts for us."""
        kept = {(s.uri.rstrip("/"), suite): s for s in self.active for suite in s.suites}
        releases: dict[tuple[str, str], SignedRelease] = {}
        found = []
        told = self.apt("apt-get", "indextargets", "--format", _FORMAT).text
        for line in filter(None, told.split("\n")):
            path, meta, suite, site, kind = line.split("\x1f")
            place = (site.rstrip("/"), suite)
            source = kept.get(place)
            if kind in ("Packages", "Sources") and Path(path).exists() and source:
                if place not in releases:
                    data, detached = beside(Path(path), meta)
                    releases[place] = SignedRelease(
                        data,
                        suite=suite,
                        site=place[0],
                        keyrings=(source.keyring,),
                        frozen=source.frozen,
                        detached=detached,
                    )
                release = releases[place]
                found.append(Index(Path(path), meta=meta, release=release, frozen=source.frozen))
        return tuple(found)

    def _hold(self, indexes: Sequence[Index], missing: Collection[tuple[str, str]]) -> None:
        """Check what apt has fetched against what was requested, and what was seen before.

        Raises FetchError if it cannot be believed, or lacks a suite that was there before.
        """
        # By their original names: others who remember them know them by these.
        given = {(s.uri.rstrip("/"), suite): s for s in self.sources for suite in s.suites}
        there = {(i.site, i.suite): i.release for i in indexes}
        for place in sorted(set(given) & set(missing)):
            seen = self.memory.of(given[place], place[1])
            if seen and place[1] not in {suite for _, suite in there}:
                raise belief.gone(given[place], place[1], seen)
        dated, now = [], datetime.now(UTC)
        for place, release in there.items():
            source = given[place]
            seen = self.memory.of(source, release.suite)
            forget = f"rm {self.memory.path(source, release.suite)}"
            newer = belief.hold(release, source, [seen], now, forget=forget)
            stale = belief.expired(str(release), release.stated.valid_until, now)
            if stale and not (source.frozen or self._offline):
                raise stale
            self._newer[place] = (source, newer)
            dated.append(belief.Dated(source=source, suite=release.suite, date=release.stated.date))
        belief.check_order(dated, self.sources[0].suites[0])
        for place, release in there.items():
            belief.note(self.memory, given[place], release)

    def hold_versions(self, package: str, found: Sequence[ListedPackage]) -> None:
        """Check the versions of a source package, the newest first, against what was seen.

        Raises FetchError if an index that is older than one seen before has none as new.
        """
        releases = {(i.index.site, i.suite): i.index.release for i in found}
        for place, (source, newer) in self._newer.items():
            best = next((i.version for i in found if (i.index.site, i.suite) == place), None)
            belief.hold_version(place, newer, package, best)
            if best is not None:
                belief.note(self.memory, source, releases[place], **{package: best})


def _paths(setting: str) -> list[Path]:
    """Return the file that a setting of apt names (a certificate, a program), if it is one."""
    value = Path(setting.partition('"')[2].rpartition('"')[0])
    seen = value.is_relative_to("/usr") or not value.is_absolute()
    return [value] if not seen and value.is_file() else []


def _local(source: AptSource) -> list[Path]:
    """Return the directory of an archive that is on this machine."""
    kind, _, path = source.uri.partition(":")
    return [Path(path)] if kind in ("file", "copy") and Path(path).is_dir() else []


def _replace(path: Path, data: str | bytes, *, mode: int = 0o644) -> None:
    """Write a file unless it has this content already: others may be reading it."""
    wanted = data.encode() if isinstance(data, str) else data
    try:
        same = bounded.read(path, len(wanted), follow=False) == wanted
        if same and stat.S_IMODE(path.lstat().st_mode) == mode:
            return
    except OSError:
        pass
    own_files.write(path, wanted, mode=mode)
