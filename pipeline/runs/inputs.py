# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run is made of: its archive, its source, the distro's own package; and its lock.

The source's directory, its log and its clock are those of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pipeline.archives.apt import AptArchive
from pipeline.errors import FetchError
from pipeline.isolation import sandbox
from pipeline.isolation.sandbox import Wall
from pipeline.model import GuestPackages, Package, Source, VerifiedFile
from pipeline.releases import releases
from pipeline.releases.releases import USUAL
from pipeline.runs import lockfile
from pipeline.runs.context import RunContext
from pipeline.runs.lockfile import Lock
from pipeline.runs.report import Report
from pipeline.runs.request import PACKAGE
from pipeline.source import fetch, local_tree, superseded


@dataclass(frozen=True, kw_only=True)
class Used:
    """What a run used besides its source, for its lock."""

    root: tuple[Package, ...] = ()
    """What the build's root held."""
    guest: GuestPackages | None = None
    """What the smoke test's guest was made of."""
    control: tuple[VerifiedFile, ...] = ()
    """The distro's own package, if the smoke test held ours against that."""


class Inputs:
    """The inputs of one run: as the order says, or exactly those of its lock."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._order = context.order
        self._log = context.folder.log("fetch")

    @cached_property
    def archive(self) -> AptArchive:
        """The release's pockets."""
        order = self._order
        sources = releases.sources(
            order.release,
            mirror=order.mirror,
            keyring=order.keyring,
            pockets=order.pockets or USUAL,
            config=order.config,
        )
        there = {suite for source in sources for suite in source.suites}
        named = there & {releases.suite(order.release, p) for p in order.pockets}
        return AptArchive(order.release, sources, order.cache, required=named, log=self._log)

    @cached_property
    def _past(self) -> AptArchive | None:
        """The pockets, and with them what they held when the locked run read them."""
        order = self._order
        assert order.locked
        return superseded.then(
            order.release,
            order.locked.time,
            self.archive.sources,
            order.cache,
            order.config,
            pockets=order.pockets or USUAL,
            keyring=order.keyring,
            log=self._log,
        )

    def having(self, packages: Sequence[Package]) -> AptArchive:
        """The archive that has these packages of the lock. Raises FetchError naming the gone."""
        assert self._order.locked
        return lockfile.holding(self._order.locked, packages, self.archive, lambda: self._past)

    @cached_property
    def dsc(self) -> Path | None:
        """The local .dsc that takes the archive's place, if any."""
        order = self._order
        if order.tree_dir:
            return local_tree.make_source(
                order.tree_dir,
                self._context.scratch / "made",
                trust_container=order.trust_container,
                log=self._log,
            )
        if order.locked and order.locked.kind != "archive":
            return lockfile.local_dsc(order.locked)
        return order.dsc

    def fetch(self) -> Source:
        """The exact source, verified."""
        dest = self._context.folder.path / "source"
        order = self._order
        with self._context.progress.stage("fetch") as stage:
            if self.dsc:
                source = fetch.local(self.dsc, dest, order.release)
            else:
                past = superseded.history(
                    order.release, order.cache, order.config, order.accepted, order.keyring
                )
                source = fetch.fetch(self.archive, order.version, dest, elsewhere=past, stage=stage)
            if order.tree_dir:
                source = replace(source, origin=str(order.tree_dir.absolute()))
            if order.locked:
                lockfile.check_source(order.locked, source)
            return source

    def write_lock(self, done: Report, used: Used, *, kind: str | None = None) -> None:
        """Leave respin.lock: what this run was made of.

        ``kind`` is where its source came from, if this run did not fetch it.
        """
        order, source, locked = self._order, done.source, self._order.locked
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
            kind=kind or ("tree" if order.tree_dir else "dsc" if self.dsc else "archive"),
            origin=source.origin,
            files=lockfile.files(source),
            fixes=tuple(fix.name for fix in order.fixes),
            number=order.number,
            # What was locked is what there was then.
            time=locked.time if locked else self._context.begun,
            pockets=order.pockets,
            root=_known(used.root or (done.built.root if done.built else ())),
            guest=used.guest,
            control=control[0] if control else None,
        )
        lockfile.write(written, self._context.folder.path)

    def tree(self, source: Source) -> Path:
        """The source as dpkg-source unpacks it."""
        return self.unpack(source, "tree", "fetch")

    def unpack(self, source: Source, name: str, stage: str) -> Path:
        """Unpack a source behind the wall, into a scratch directory of this name."""
        return fetch.unpack(
            source,
            self._context.scratch / name,
            trust_container=self._order.trust_container,
            log=self._context.folder.log(stage),
        )

    def check_sandbox(self) -> Wall:
        """Return where the source is read on this machine; raise now if it may not be.

        UsageError if no sandbox can be had, FetchError if what is asked for wants a better one.
        """
        order = self._order
        given = order.tree_dir or order.dsc
        if given is None and order.locked and order.locked.kind != "archive":
            given = order.locked.path
        return sandbox.admit(
            str(given), indexed=given is None, trust_container=order.trust_container
        )

    def libraries(self) -> dict[str, str]:
        """The versions that the archive has of the libraries which a fix may require."""
        names = {fix.requires.build_depends for fix in self._order.fixes if fix.requires}
        found = {name: self.archive.candidate(name) for name in names}
        return {name: package.version for name, package in found.items() if package}

    def distro_package(self, source: Source) -> tuple[VerifiedFile, ...]:
        """The distro's own build of this very source, or nothing if there is none to be had."""
        locked, dest = self._order.locked, self._context.folder.path / "control"
        if self.dsc:
            return ()
        if locked and locked.guest:  # as it was then: the distro's, or built here
            if not locked.control:
                return ()
            return self.having((locked.control,)).download((locked.control,), dest)
        try:
            return (self.archive.fetch_binary(PACKAGE, source.version, dest),)
        except FetchError:
            return ()  # superseded, or rebuilt: the source without our patch is built in its place

    def control(self, source: Source) -> tuple[VerifiedFile, ...]:
        """The distro's own build of this very source. Raises FetchError if there is none."""
        found = self.distro_package(source)
        if not found:
            raise FetchError(
                f"the archive has no package of {source.name} {source.version} any more",
                hint="respin run builds one without the patch to hold ours against",
            )
        return found


def _known(packages: Sequence[Package]) -> tuple[Package, ...]:
    """Return the packages if the file of each is known: those of this very machine are not."""
    return tuple(packages) if all(p.sha256 for p in packages) else ()
