# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The inputs of a run: its archive, its source, the distro's package, and its lock.

The source's directory, log and clock are those of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pipeline.archives import host_apt
from pipeline.archives.apt import AptArchive
from pipeline.errors import FetchError
from pipeline.fixes.fixes import Fix
from pipeline.fixes.own_patch import OwnPatch
from pipeline.isolation import sandbox
from pipeline.isolation.sandbox import Wall
from pipeline.model import AptSource, GuestPackages, Package, Source, VerifiedFile
from pipeline.releases import releases
from pipeline.releases.releases import USUAL
from pipeline.runs import kept_source, lockfile
from pipeline.runs.context import RunContext
from pipeline.runs.lockfile import Lock, LockedFix, LockedPatch
from pipeline.runs.report import Report
from pipeline.runs.request import PACKAGE, Request
from pipeline.source import fetch, local_tree, superseded


@dataclass(frozen=True, kw_only=True)
class Used:
    """What a run used besides its source, for its lock."""

    root: tuple[Package, ...] = ()
    """The packages in the build's root."""
    guest: GuestPackages | None = None
    """The packages that the smoke test's guest was made of."""
    control: tuple[VerifiedFile, ...] = ()
    """The distro's package, if the smoke test compared ours with it."""


def archive_of(request: Request, log: Path | None = None) -> AptArchive:
    """Return the archive with the pockets that a request names; ``log`` takes apt's output."""
    sources = _sources(request, request.architecture)
    return AptArchive(
        request.release,
        sources,
        request.cache,
        required=_named(request, sources),
        log=log,
        architecture=request.architecture,
        offline=request.offline,
    )


def build_archive_of(request: Request, log: Path | None = None) -> AptArchive:
    """Return the archive that a cross build takes packages from, of both architectures."""
    native = host_apt.architecture()
    here, there = (_sources(request, architecture) for architecture in (native, request.target))
    both = of_both(here, there, native, request.target)
    return AptArchive(
        request.release,
        both,
        request.cache,
        required=_named(request, both),
        log=log,
        foreign=request.target,
        offline=request.offline,
    )


def _sources(request: Request, architecture: str) -> tuple[AptSource, ...]:
    """Return the release's pockets as they are now, or as they were at the requested time."""
    pockets = request.pockets or USUAL
    if request.at:
        return superseded.sources_at(
            request.at,
            request.release,
            request.config,
            pockets=pockets,
            keyring=request.keyring,
        )
    return releases.sources(
        request.release,
        mirror=request.mirror,
        keyring=request.keyring,
        pockets=pockets,
        config=request.config,
        architecture=architecture,
    )


def _named(request: Request, sources: Sequence[AptSource]) -> set[str]:
    """Return the suites of the pockets that the user names: none of them may be missing."""
    there = {suite for source in sources for suite in source.suites}
    return there & {releases.suite(request.release, p) for p in request.pockets}


def of_both(
    here: Sequence[AptSource], there: Sequence[AptSource], native: str, foreign: str
) -> tuple[AptSource, ...]:
    """Return the sources ``here``, of ``native`` packages, with those ``there``, of foreign ones.

    Where a distro has the two in different archives, as Ubuntu has, each is asked for its own.
    """
    own = (s if s in there else replace(s, architectures=(native,)) for s in here)
    other = (replace(s, architectures=(foreign,)) for s in there if s not in here)
    return (*own, *other)


def libraries(archive: AptArchive, fixes: Sequence[Fix]) -> dict[str, str]:
    """Return an archive's versions of the libraries that these fixes may require."""
    names = {fix.requires.build_depends for fix in fixes if fix.requires}
    found = {name: archive.candidate(name) for name in names}
    return {name: package.version for name, package in found.items() if package}


class Inputs:
    """The inputs of one run: those of its request, or exactly those of its lock."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._request = context.request
        self._log = context.directory.log("fetch")

    @cached_property
    def archive(self) -> AptArchive:
        """The archive with the release's pockets."""
        return archive_of(self._request, self._log)

    def _past(self, archive: AptArchive) -> AptArchive | None:
        """Return the pockets as they are now, and as they were when the locked run read them."""
        request = self._request
        assert request.locked
        return superseded.then(
            request.locked.time,
            archive,
            request.cache,
            request.config,
            pockets=request.pockets or USUAL,
            keyring=request.keyring,
            log=self._log,
        )

    @cached_property
    def build_archive(self) -> AptArchive:
        """The archive that the build's packages come from."""
        request = self._request
        return build_archive_of(request, self._log) if request.cross else self.archive

    def having(self, packages: Sequence[Package]) -> AptArchive:
        """Return an archive with these packages of the lock. Raises FetchError naming lost ones."""
        return self._having(packages, self.archive)

    def having_to_build(self, packages: Sequence[Package]) -> AptArchive:
        """Return an archive with the packages of the lock's build root, as ``having`` does."""
        return self._having(packages, self.build_archive)

    def _having(self, packages: Sequence[Package], archive: AptArchive) -> AptArchive:
        assert self._request.locked
        return lockfile.holding(
            self._request.locked, packages, archive, lambda: self._past(archive)
        )

    @cached_property
    def dsc(self) -> Path | None:
        """The local .dsc that replaces the archive's, if any."""
        request = self._request
        if request.tree_dir:
            return local_tree.make_source(
                request.tree_dir,
                self._context.scratch / "made",
                trust_container=request.trust_container,
                log=self._log,
            )
        if request.locked and request.locked.kind != "archive":
            return lockfile.local_dsc(request.locked)
        return request.dsc

    def fetch(self) -> Source:
        """Return the exact source, verified."""
        dest = self._context.directory.path / "source"
        request = self._request
        with self._context.progress.stage("fetch") as stage:
            if self.dsc:
                source = fetch.local(self.dsc, dest, request.release)
            elif request.offline:
                assert request.locked
                listed = self.archive.versions(request.locked.name)
                source = kept_source.fetch(
                    request.locked, request.release, listed, request.cache, dest
                )
                stage.note(f"{source.name} {source.version} from the cache")
            else:
                past = superseded.history(
                    request.release,
                    request.cache,
                    request.config,
                    request.accepted,
                    request.keyring,
                )
                source = fetch.fetch(
                    self.archive, request.version, dest, elsewhere=past, stage=stage
                )
                kept_source.keep(source, request.cache)
            if request.tree_dir:
                source = replace(source, origin=str(request.tree_dir.absolute()))
            if request.locked:
                lockfile.check_source(request.locked, source)
            _check_expected(source, request.expected)
            return source

    def write_lock(
        self,
        done: Report,
        used: Used,
        *,
        kind: str | None = None,
        patches: tuple[OwnPatch, ...] | None = None,
    ) -> None:
        """Write respin.lock, which says what this run was made of.

        ``kind`` is where its source came from, if this run did not fetch it; ``patches`` are the
        user's own that are in its source, if this run did not apply them.
        """
        request, source, locked = self._request, done.source, self._request.locked
        own = request.patches if patches is None else patches
        fixes = [fix for fix in request.applied if fix.own]
        control = [
            Package(
                name=PACKAGE,
                version=source.version,
                architecture=self.archive.architecture,
                sha256=file.sha256,
            )
            for file in used.control
        ]
        written = Lock(
            distro=source.release.distro,
            codename=source.release.codename,
            name=source.name,
            version=source.version,
            kind=kind or ("tree" if request.tree_dir else "dsc" if self.dsc else "archive"),
            origin=source.origin,
            files=lockfile.files(source),
            fixes=tuple(fix.name for fix in request.applied),
            patches=tuple(
                LockedPatch(name=p.name, sha256=p.sha256, optional=p.optional) for p in own
            ),
            own_fixes=tuple(
                LockedFix(name=fix.name, sha256=lockfile.content_of(fix)) for fix in fixes
            ),
            number=request.number,
            architecture=request.target,
            # A locked run has the archive's content of that time.
            time=locked.time if locked else request.at or self._context.begun,
            pockets=request.pockets,
            root=_known(used.root or (done.built.root if done.built else ())),
            guest=used.guest,
            control=control[0] if control else None,
        )
        lockfile.write(written, self._context.directory.path, own, fixes)

    def tree(self, source: Source) -> Path:
        """Return the source as dpkg-source unpacks it."""
        return self.unpack(source, "tree", "fetch")

    def unpack(self, source: Source, name: str, stage: str) -> Path:
        """Unpack a source behind the wall into a scratch directory with this name."""
        return fetch.unpack(
            source,
            self._context.scratch / name,
            trust_container=self._request.trust_container,
            log=self._context.directory.log(stage),
        )

    def check_sandbox(self) -> Wall:
        """Return where the source is read on this machine; raise now if it must not be.

        Raises UsageError if there is no sandbox, FetchError if the request needs a better one.
        """
        request = self._request
        given = request.tree_dir or request.dsc
        if given is None and request.locked and request.locked.kind != "archive":
            given = request.locked.path
        return sandbox.admit(
            str(given), indexed=given is None, trust_container=request.trust_container
        )

    def check_architecture(self) -> None:
        """Raise UsageError now if the release does not have the architecture asked for."""
        if self._request.architecture:
            self.archive.check_architecture()

    def trust(self) -> tuple[str, ...]:
        """Say why each index that packages were chosen by is trusted. Raises FetchError."""
        built = self.build_archive.trust() if self._request.cross else ()
        return tuple(dict.fromkeys((*self.archive.trust(), *built)))

    def libraries(self) -> dict[str, str]:
        """Return the archive's versions of the libraries that a fix may require."""
        return libraries(self.archive, self._request.fixes)

    def distro_package(self, source: Source) -> tuple[VerifiedFile, ...]:
        """Return the distro's build of this very source, or nothing if it is not available."""
        locked, dest = self._request.locked, self._context.directory.path / "control"
        if self._request.tree_dir or self.dsc:
            return ()
        if locked and locked.guest:  # the same as then: the distro's, or built here
            if not locked.control:
                return ()
            return self.having((locked.control,)).download((locked.control,), dest)
        try:
            return (self.archive.fetch_binary(PACKAGE, source.version, dest),)
        except FetchError:
            return ()  # superseded, or rebuilt: the source without our patch is built in its place

    def control(self, source: Source) -> tuple[VerifiedFile, ...]:
        """Return the distro's build of this very source. Raises FetchError if there is none."""
        found = self.distro_package(source)
        if not found:
            raise FetchError(
                f"the archive no longer has the package of {source.name} {source.version}",
                hint="use respin run, which builds the package without the patch for comparison",
            )
        return found


def _check_expected(source: Source, sha256: str) -> None:
    """Raise FetchError for another source than the one that was asked for, if one was."""
    found = source.files[0]
    if sha256 and found.sha256 != sha256:
        raise FetchError(
            f"{found.path.name} is not the one that this run is for",
            details=f"expected: SHA-256 {sha256}\nfound:    SHA-256 {found.sha256}",
            hint="the archive has changed since this run was planned: make the run that respin "
            "nightly --plan names now",
        )


def _known(packages: Sequence[Package]) -> tuple[Package, ...]:
    """Return the packages, or nothing if a file is unknown, as it is for those of this machine."""
    return tuple(packages) if all(p.sha256 for p in packages) else ()
