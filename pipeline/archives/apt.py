# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The distro's archive: the exact version of a source, and binary packages, each verified.

apt does the work in a private root: it checks InRelease against the distro's keyring, the
indexes against InRelease, the files against the indexes. This module then checks what apt
fetched once more, so that the report can say which index and whose signature vouch for a file.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from debian.debian_support import Version

from pipeline.archives import apt_errors, dsc_file, host_apt, resolve
from pipeline.archives.index import Index, ListedPackage, newest_first
from pipeline.archives.privateroot import FILL, PrivateRoot
from pipeline.archives.staging import staged
from pipeline.errors import BuildError, FetchError, UsageError
from pipeline.host import leftovers
from pipeline.host.cache import Cache, digest, file_sha256
from pipeline.model import AptSource, Package, Release, Source, VerifiedFile

KINDS = ("Packages", "Sources")


class AptArchive:
    """The pockets of one release, through apt."""

    def __init__(
        self,
        release: Release,
        sources: Sequence[AptSource],
        cache: Cache,
        *,
        required: Collection[str] = (),
        log: Path | None = None,
        architecture: str = "",
        foreign: str = "",
        offline: bool = False,
    ) -> None:
        """Prepare the archive; nothing is fetched before ``update`` or the first question.

        Suites may be missing, except for the first and the ``required`` ones.
        ``log`` takes apt's output. Its packages are of ``architecture`` (default: this machine's),
        and may be of a second, ``foreign`` one. If ``offline``, everything comes from the cache,
        and what that lacks is a FetchError. Raises UsageError if a keyring cannot be read.
        """
        self.release = release
        self._required = frozenset({sources[0].suites[0], *required})
        self.architecture = architecture or host_apt.architecture()
        self.foreign = foreign
        self._architectures = (self.architecture, *([foreign] if foreign else ()))
        self.offline = offline
        self._root = PrivateRoot(cache, sources, self._architectures, log, offline=offline)
        self._cache = cache
        self._lists: tuple[Index, ...] | None = None
        self._first = threading.Lock()

    @property
    def sources(self) -> tuple[AptSource, ...]:
        """The sources as the last update read them."""
        return self._root.active or self._root.sources

    def trust(self) -> tuple[str, ...]:
        """Say why each index of binary packages is trusted, and which were left out.

        Raises FetchError if one is not trusted.
        """
        said = tuple(index.trust() for index in self._indexes("Packages"))
        return (*said, *self._root.left_out)

    @property
    def architectures(self) -> tuple[str, ...]:
        """The architectures that the release has, by what its Release says; sorted by name."""
        said = (i.release.architectures for kind in KINDS for i in self._required_indexes(kind))
        return tuple(sorted({name for names in said for name in names} - {"all"}))

    def check_architecture(self) -> None:
        """Raise UsageError if the release has no packages of the archive's architecture."""
        # Of an architecture that a Release does not list, apt fetches nothing, and says nothing.
        said = [i.release.architectures for kind in KINDS for i in self._required_indexes(kind)]
        if not said or all(each and self.architecture not in each for each in said):
            names = ", ".join(self.architectures)
            raise UsageError(
                f"{self.release.distro} {self.release.codename} has no packages for "
                f"{self.architecture}",
                hint=f"choose one of those that it has: {names}, or another mirror (--mirror)"
                if names
                else "choose another architecture, or another mirror (--mirror)",
            )

    def update(self) -> None:
        """Bring the indexes up to date. Raises FetchError."""
        with self._root.locked():
            self._lists = self._root.update(self._required)

    def _indexes(self, kind: str) -> tuple[Index, ...]:
        with self._first:  # stages that overlap ask from several threads
            if self._lists is None:
                self.update()
        return tuple(i for i in self._lists or () if i.meta.endswith(f"/{kind}"))

    def _required_indexes(self, kind: str) -> tuple[Index, ...]:
        return tuple(i for i in self._indexes(kind) if i.suite in self._required)

    # -- sources ------------------------------------------------------------------------

    def versions(self, source: str) -> tuple[ListedPackage, ...]:
        """Return the versions of a source package in the pockets, newest first."""
        found = newest_first(
            found for index in self._indexes("Sources") for found in index.sources(source)
        )
        self._root.hold_versions(source, found)
        return found

    def _choose(
        self, found: Sequence[ListedPackage], name: str, version: str | None
    ) -> ListedPackage:
        for each in found:
            if version is None or Version(each.version) == Version(version):
                return each
        where = f"{self.release.distro} {self.release.codename}"
        if not found:
            raise FetchError(
                f"{where} has no package {name}",
                details="\n".join(f"{s.uri}: {' '.join(s.suites)}" for s in self.sources),
                hint="check the release (--release) and the mirror (--mirror)",
            )
        there = [f"{each.version} ({each.suite})" for each in found]
        raise FetchError(
            f"{name} {version} is not in {where}",
            details="The archive has: " + ", ".join(dict.fromkeys(there)),
            hint="omit --version to get the newest of these",
        )

    def fetch_source(self, name: str, version: str | None, dest: Path) -> Source:
        """Fetch a source package into the directory ``dest`` by ``apt-get source``, and verify it.

        Without a version, it takes the newest. Each file's SHA-256 must be that of the signed
        index and of the .dsc. Raises FetchError, and then leaves ``dest`` unchanged.
        """
        chosen = self._choose(self.versions(name), name, version)
        trust = chosen.index.trust()
        doing = f"fetching {name} {chosen.version}"
        with staged(dest) as staging:
            try:
                with self._root.locked():
                    self._root.apt(
                        *("apt-get", "source", "--download-only", "--only-source", "-q"),
                        *("--", f"{name}={chosen.version}"),
                        into=staging.path,
                    )
            except FetchError as e:
                raise apt_errors.explain(e, doing) from None
            for each in chosen.files:
                dsc_file.check_file(staging.path / each.name, each, f"{chosen.index!r}")
            fields = dsc_file.parse(dsc_file.load(staging.path / chosen.files[0].name), doing)
            if set(fields.files) != set(chosen.files[1:]):
                raise FetchError(
                    f"{doing} failed: the .dsc and the signed index list different files",
                    hint="use another mirror (--mirror)",
                )
            if (fields.name, fields.version) != (name, chosen.version):
                raise FetchError(
                    f"{doing} failed: the .dsc belongs to {fields.name} {fields.version}",
                    hint="use another mirror (--mirror)",
                )
            staging.keep(each.name for each in chosen.files)
        return Source(
            name=name,
            version=chosen.version,
            release=self.release,
            files=tuple(_verified(dest, each, trust) for each in chosen.files),
            origin=f"{chosen.suite} at {chosen.index.site}",
            indexed=True,
        )

    # -- binary packages ----------------------------------------------------------------

    def _binaries(self, names: Iterable[str]) -> dict[str, list[ListedPackage]]:
        """Return all packages of these names that the pockets have for its architectures."""
        wanted = set(names)
        found: dict[str, list[ListedPackage]] = {name: [] for name in wanted}
        for index in self._indexes("Packages"):
            for each in index.packages(wanted):
                if each.architecture in (*self._architectures, "all"):
                    found[each.name].append(each)
        return found

    def candidate(self, package: str) -> Package | None:
        """Return the newest version of a binary package in the pockets, or None."""
        found = newest_first(self._binaries((package,))[package])
        return _package(found[0]) if found else None

    def matching(self, pattern: str) -> tuple[str, ...]:
        """Return the names of binary packages that match a regular expression in full."""
        return tuple(sorted(set().union(*(i.matching(pattern) for i in self._indexes("Packages")))))

    def binary_versions(self, package: str) -> tuple[str, ...]:
        """Return the versions of a binary package in the pockets, newest first."""
        found = newest_first(self._binaries((package,))[package])
        return tuple(dict.fromkeys(each.version for each in found))

    def fetch_binary(self, name: str, version: str | None, dest: Path) -> VerifiedFile:
        """Fetch a .deb of this architecture into the directory ``dest``, by default the newest.

        Raises FetchError.
        """
        found = newest_first(self._binaries((name,))[name])
        return self._download((self._choose(found, name, version),), dest)[0]

    def essential(self, priorities: Sequence[str] = ("required",)) -> tuple[str, ...]:
        """Return the names of the Essential packages and of those with one of the priorities."""
        indexes = self._indexes("Packages")
        return tuple(sorted(set().union(*(index.essential(priorities) for index in indexes))))

    def closure(self, packages: Sequence[str], *, dsc: Path | None = None) -> tuple[Package, ...]:
        """Return what apt would install for ``packages`` in an empty root, without Recommends.

        A package may be given as ``name`` or ``name=version``. With the path of a .dsc, its
        build dependencies (build-essential among them) are part of the same solution. The
        Essential packages are included only if they are requested or depended upon. For a
        ``foreign`` architecture, the build dependencies are those of a cross build, without those
        of architecture-independent packages, and ``packages`` are of ``architecture``. The result
        is sorted by name. Raises BuildError, with apt's words, if a dependency cannot be satisfied.
        """
        self._indexes("Packages")
        argv = ["apt-get", "-q", "--yes", "--print-uris", "--no-install-recommends"]
        what, source = "the packages of the root", ""
        if dsc is None:
            argv += ["install", "--", *packages]
        elif self.foreign:
            what = f"the build dependencies of {dsc.name} for {self.foreign}"
            source = resolve.cross_source(packages, dsc)
            argv += ["build-dep", "--arch-only", f"--host-architecture={self.foreign}"]
            argv += [f"--build-profiles={resolve.PROFILES}", "--", "./cross.dsc"]
        else:
            what = f"the build dependencies of {dsc.name}"
            argv += ["satisfy", "--", *resolve.dependencies(packages, dsc)]
        found = self._solved(argv, what, source)
        return self._named(sorted(resolve.packages(found), key=lambda p: (p.name, p.architecture)))

    def _named(self, packages: Sequence[Package]) -> tuple[Package, ...]:
        """Return the packages, each with the SHA-256 that the indexes list for it."""
        known = self._binaries(p.name for p in packages)
        found = []
        for package in packages:
            sums = {e.files[0].sha256 for e in known[package.name] if _package(e) == package}
            # Two archives may have different files of one name and version; then neither is meant.
            found.append(replace(package, sha256=sums.pop() if len(sums) == 1 else ""))
        return tuple(found)

    def _solved(self, argv: Sequence[str], what: str, source: str) -> str:
        """Return apt's answer; the same question about the same lists is solved only once.

        ``source`` is the content of cross.dsc in its directory, if the question is about that.
        """
        paths = sorted(index.path for index in self._indexes("Packages"))
        with self._root.locked():
            key = digest(
                *self._architectures,
                *argv,
                *([source] if source else ()),
                *(f"{p.name} {file_sha256(p)}" for p in paths),
            )

            def ask(part: Path) -> None:
                try:
                    with leftovers.directory(self._store, "part-") as directory:
                        (directory / "cross.dsc").write_text(source)
                        into = directory if source else None
                        part.write_text(self._root.apt(*argv, into=into, error=BuildError).text)
                except BuildError as e:
                    raise resolve.unsatisfied(e, what, str(self.release.codename)) from None

            return self._cache.entry("solutions", key, ask).read_text()

    def lacking(self, packages: Sequence[Package]) -> tuple[Package, ...]:
        """Return those of the packages that the pockets do not have at their versions.

        A package whose SHA-256 is known is also lacking if the file under its name and version
        is, or may be, a different one.
        """
        there = self._named(packages)
        known = self._binaries(p.name for p in packages)
        return tuple(
            wanted
            for wanted, found in zip(packages, there, strict=True)
            if wanted not in map(_package, known[wanted.name])
            or (wanted.sha256 and wanted.sha256 != found.sha256)
        )

    def download(self, packages: Sequence[Package], dest: Path) -> tuple[VerifiedFile, ...]:
        """Fetch these .debs into the directory ``dest``, in this order. Raises FetchError.

        The cache keeps them by their SHA-256; they are copied from there.
        """
        known = self._binaries(p.name for p in packages)
        chosen = []
        for package in packages:
            match = [e for e in known[package.name] if _package(e) == package]
            chosen.append((match or [self._choose((), package.name, package.version)])[0])
        return self._download(chosen, dest)

    @cached_property
    def _store(self) -> Path:
        return self._cache.directory("downloads")

    def _download(self, chosen: Sequence[ListedPackage], dest: Path) -> tuple[VerifiedFile, ...]:
        lacking = [e for e in chosen if not self._stored(e.files[0])]
        if lacking:
            self._acquire(lacking)
        with staged(dest) as staging:
            for each in chosen:
                # A link would let whoever changes one change the other, and a run's directory
                # with another name outside is not published (nightly/copied_run.py).
                shutil.copyfile(self._store / each.files[0].sha256, staging.path / _deb_name(each))
            staging.keep(_deb_name(each) for each in chosen)
        return tuple(
            _verified(dest, each.files[0], each.index.trust(), _deb_name(each)) for each in chosen
        )

    def _stored(self, want: dsc_file.Listed) -> bool:
        path = self._store / want.sha256
        if not path.exists():
            return False
        if file_sha256(path) == want.sha256:
            return True
        path.unlink(missing_ok=True)
        return False

    def _acquire(self, chosen: Sequence[ListedPackage]) -> None:
        """Let apt download .debs into the store, several at once, checked as they come."""
        if self.offline:
            raise FetchError(
                f"the cache lacks {len(chosen)} packages",
                details="\n".join(_deb_name(each) for each in chosen),
                hint=FILL,
            )
        with leftovers.directory(self._store, "part-") as directory:
            argv = ["/usr/lib/apt/apt-helper", "-q", "download-file"]
            for each in chosen:
                want = each.files[0]
                uri = f"{each.index.site}/{quote(f'{each.directory}/{want.name}', safe='/~')}"
                argv += [uri, str(directory / want.sha256), f"SHA256:{want.sha256}"]
            try:
                self._root.apt(*argv, into=directory)
            except FetchError as e:
                raise apt_errors.explain(e, "fetching binary packages") from None
            for each in chosen:
                want = each.files[0]
                dsc_file.check_file(directory / want.sha256, want, f"{each.index!r}")
                (directory / want.sha256).replace(self._store / want.sha256)


def _package(listed: ListedPackage) -> Package:
    return Package(
        name=listed.name,
        version=listed.version,
        architecture=listed.architecture,
        sha256=listed.files[0].sha256,
    )


def _deb_name(listed: ListedPackage) -> str:
    """Return the file name that dpkg-deb gives a package: without the epoch."""
    version = listed.version.rpartition(":")[2]
    return f"{listed.name}_{version}_{listed.architecture}.deb"


def _verified(dest: Path, want: dsc_file.Listed, trust: str, name: str = "") -> VerifiedFile:
    return VerifiedFile(
        path=dest / (name or want.name),
        size=want.size,
        sha256=want.sha256,
        verified=f"SHA-256 in {trust}",
    )
