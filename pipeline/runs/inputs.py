# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run is made of: its archive, its source, the distro's own package; and its lock.

The source's directory, its log and its clock are those of the run.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from pipeline.archives.apt import AptArchive
from pipeline.errors import FetchError
from pipeline.host import temporary
from pipeline.host.progress import Progress
from pipeline.isolation import sandbox, scratch
from pipeline.model import GuestPackages, Package, Source, VerifiedFile
from pipeline.releases import releases
from pipeline.releases.releases import USUAL
from pipeline.runs import lockfile
from pipeline.runs.directory import RunFolder
from pipeline.runs.lockfile import Lock
from pipeline.runs.report import Report
from pipeline.runs.request import PACKAGE, Order
from pipeline.source import fetch, local_tree, superseded


class Inputs:
    """The inputs of one run: as the order says, or exactly those of its lock."""

    def __init__(self, order: Order, folder: RunFolder, progress: Progress) -> None:
        self.order = order
        self.folder = folder
        self.progress = progress
        self._scratch = folder.path / ".work"
        self._begun = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self._root: tuple[Package, ...] = ()
        self._guest: GuestPackages | None = None
        self._control: Package | None = None
        self.sandbox: sandbox.Wall | None = None
        """Where this machine's tools read the source, once they do."""

    @contextmanager
    def scratch(self) -> Iterator[None]:
        """Hold the directory for what is not part of the run's outcome."""
        scratch.sweep(self.order.cache)
        temporary.sweep()
        self._scratch.mkdir()
        yield
        shutil.rmtree(self._scratch)

    @cached_property
    def archive(self) -> AptArchive:
        """The release's pockets."""
        order = self.order
        sources = releases.sources(
            order.release,
            mirror=order.mirror,
            keyring=order.keyring,
            pockets=order.pockets or USUAL,
            config=order.config,
        )
        there = {suite for source in sources for suite in source.suites}
        named = there & {releases.suite(order.release, p) for p in order.pockets}
        log = self.folder.log("fetch")
        return AptArchive(order.release, sources, order.cache, required=named, log=log)

    @cached_property
    def _past(self) -> AptArchive | None:
        """The pockets, and with them what they held when the locked run read them."""
        order = self.order
        assert order.locked
        return superseded.then(
            order.release,
            order.locked.time,
            self.archive.sources,
            order.cache,
            order.config,
            pockets=order.pockets or USUAL,
            keyring=order.keyring,
            log=self.folder.log("fetch"),
        )

    def _having(self, packages: Sequence[Package]) -> AptArchive:
        """The archive that has these packages of the lock. Raises FetchError naming the gone."""
        assert self.order.locked
        return lockfile.holding(self.order.locked, packages, self.archive, lambda: self._past)

    @cached_property
    def dsc(self) -> Path | None:
        """The local .dsc that takes the archive's place, if any."""
        order = self.order
        if order.tree_dir:
            log = self.folder.log("fetch")
            return local_tree.make_source(
                order.tree_dir,
                self._scratch / "made",
                trust_container=order.trust_container,
                log=log,
            )
        if order.locked and order.locked.kind != "archive":
            return lockfile.local_dsc(order.locked)
        return order.dsc

    def fetch(self) -> Source:
        """The exact source, verified."""
        dest = self.folder.path / "source"
        order = self.order
        with self.progress.stage("fetch") as stage:
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

    def write_lock(self, done: Report, *, kind: str | None = None) -> None:
        """Leave respin.lock: what this run was made of.

        ``kind`` is where its source came from, if this run did not fetch it.
        """
        kind = kind or ("tree" if self.order.tree_dir else "dsc" if self.dsc else "archive")
        source, locked = done.source, self.order.locked
        written = Lock(
            distro=source.release.distro,
            codename=source.release.codename,
            name=source.name,
            version=source.version,
            kind=kind,
            origin=source.origin,
            files=lockfile.files(source),
            fixes=tuple(fix.name for fix in self.order.fixes),
            number=self.order.number,
            # What was locked is what there was then.
            time=locked.time if locked else self._begun,
            pockets=self.order.pockets,
            root=_known(self._root or (done.built.root if done.built else ())),
            guest=self._guest if done.smoke else None,
            control=self._control if done.smoke else None,
        )
        lockfile.write(written, self.folder.path)

    def tree(self, source: Source) -> Path:
        """The source as dpkg-source unpacks it."""
        return self.unpack(source, "tree", "fetch")

    def unpack(self, source: Source, name: str, stage: str) -> Path:
        """Unpack a source behind the wall; it is noted that it was."""
        self.sandbox = sandbox.wall()
        return fetch.unpack(
            source,
            self._scratch / name,
            trust_container=self.order.trust_container,
            log=self.folder.log(stage),
        )

    def check_sandbox(self) -> None:
        """Raise now, and not after downloads, if the source may not be read on this machine.

        UsageError if no sandbox can be had, FetchError if what is asked for wants a better one.
        """
        order = self.order
        given = order.tree_dir or order.dsc
        if given is None and order.locked and order.locked.kind != "archive":
            given = order.locked.path
        sandbox.admit(str(given), indexed=given is None, trust_container=order.trust_container)

    def _libraries(self) -> dict[str, str]:
        names = {fix.requires.build_depends for fix in self.order.fixes if fix.requires}
        found = {name: self.archive.candidate(name) for name in names}
        return {name: package.version for name, package in found.items() if package}

    def distro_package(self, source: Source) -> tuple[VerifiedFile, ...]:
        """The distro's own build of this very source, or nothing if there is none to be had."""
        locked, dest = self.order.locked, self.folder.path / "control"
        if self.dsc:
            return ()
        if locked and locked.guest:  # as it was then: the distro's, or built here
            self._control = locked.control
            if not locked.control:
                return ()
            archive = self._having((locked.control,))
            return archive.download((locked.control,), dest)
        try:
            found = self.archive.fetch_binary(PACKAGE, source.version, dest)
        except FetchError:
            return ()  # superseded, or rebuilt: the source without our patch is built in its place
        self._control = Package(
            name=PACKAGE,
            version=source.version,
            architecture=self.archive.architecture,
            sha256=found.sha256,
        )
        return (found,)

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
