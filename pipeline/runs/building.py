# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The build of one run: its container, the packages, and what it adds to ccache."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.archives import host_apt
from pipeline.build import build, ccache
from pipeline.build.build import BuildRoot
from pipeline.build.comparison import Side
from pipeline.containers import Container, engines
from pipeline.containers.engines import Engine
from pipeline.errors import BuildError
from pipeline.fixes import patch
from pipeline.host.cache import digest
from pipeline.model import Built, Package, Patched, Source, VerifiedFile
from pipeline.runs import lockfile
from pipeline.runs.context import RunContext
from pipeline.runs.inputs import Inputs
from pipeline.runs.request import PACKAGE

CONTROLS = "controls"
"""The cache's name for builds without the patch."""
FORMAT = "1"
"""Part of their keys; increase it when what a build leaves, or its environment, changes."""
WAIT = 0.1
"""Seconds between two looks at a package that is being written."""


@dataclass(frozen=True, kw_only=True)
class BuildEnvironment:
    """Where a build takes place."""

    root: BuildRoot
    container: Container


class Building:
    """The packages of one run."""

    def __init__(self, context: RunContext, inputs: Inputs, containers: ExitStack) -> None:
        """``containers`` stops the prepared container when it closes, if nothing did before."""
        self._context, self._inputs, self._containers = context, inputs, containers

    @cached_property
    def engine(self) -> Engine:
        """The engine that makes the build's container."""
        request = self._context.request
        return engines.choose(request.container, image=request.image, force=request.force_host)

    def check_engine(self) -> None:
        """Raise now, not after minutes, if there is no container to build in.

        Raises UsageError if it is the requested one, BuildError if no kind of them is available,
        or if the release has no compilers for a cross build.
        """
        _ = self.engine
        if self._context.request.cross:
            build.check_toolchain(self._inputs.build_archive)

    def prepare_root(self, source: Source) -> BuildRoot:
        """Return the container's root with the build dependencies."""
        locked = self._context.request.locked
        exact: Sequence[Package] = locked.root if locked else ()
        if locked and locked.guest and not exact:
            raise BuildError(
                f"{locked.path} does not list the packages of the build's root",
                details="It was an image or a machine, whose packages come from no index.",
                hint="run without --locked",
            )
        runs_here = {p.architecture for p in exact if p.name == "dpkg"}
        if locked and runs_here - {host_apt.architecture()}:
            raise BuildError(
                f"the build's root in {locked.path} has the programs of "
                f"{', '.join(sorted(runs_here))}, which this machine does not run",
                hint="repeat the run on a machine of that architecture, or run without --locked",
            )
        with self._context.progress.stage("build root") as stage:
            root = build.prepare(
                self._inputs.having_to_build(exact) if exact else self._inputs.build_archive,
                source.dsc,
                self._context.request.cache,
                log_dir=self._context.directory.logs,
                stage=stage,
                exact=exact,
                engine=self.engine,
            )
            self._context.note_changed(stage)
        if locked and exact:
            lockfile.check_root(locked, root.packages)
        return root

    def prepare(self, source: Source) -> BuildEnvironment:
        """Return the build's root and container, which need no patched source yet."""
        root = self.prepare_root(source)
        container = self._containers.enter_context(
            build.container(root, self._context.request.cache, fresh=self._context.request.fresh)
        )
        return BuildEnvironment(root=root, container=container)

    def build(self, environment: BuildEnvironment, patched: Patched) -> Built:
        """Build the packages."""
        request, root = self._context.request, environment.root
        compared = request.compare or self.has_control(root, patched.source)
        with self._context.progress.stage("build") as stage:
            return build.build_in(
                environment.container,
                root,
                patched.dsc,
                patched.version,
                patched.epoch,
                self._context.directory.path / "debs",
                log_dir=self._context.directory.logs,
                stage=stage,
                objects=self.objects if compared else None,
            )

    def written(
        self, environment: BuildEnvironment, patched: Patched, built: Future[Built]
    ) -> Sequence[Path]:
        """Return the package with tc and ip, or a copy of it as soon as it is written.

        Until the build ends, nothing says that the copy is what it makes: hold it against that.
        """
        plain = re.sub(r"^\d+:", "", patched.version)
        name = f"{PACKAGE}_{plain}_{environment.root.architecture}.deb"
        copy = self._context.scratch / name
        while not wait([built], timeout=WAIT).done:
            # The container may be stopped at any moment now, which is a BuildError.
            with contextlib.suppress(OSError, BuildError):
                file = environment.container.outside(name)
                if file and build.written(file, copy):
                    return [copy]
        return built.result().files(PACKAGE)

    def stop(
        self, environment: BuildEnvironment, source: Source, built: Future[Built]
    ) -> Path | str:
        """Stop the container once it has ``built``; return a tarball of what it added to ccache.

        If nothing is kept, return the reason: a source that no signed index lists leaves nothing
        to other builds.
        """
        built.result()
        with self._containers:
            if not (source.indexed and environment.root.ccache):
                return "ccache keeps nothing: no signed index vouches for the source and its root"
            try:
                return ccache.take(environment.container, self._context.scratch / "ccache.tar")
            except BuildError as e:
                return e.brief

    def keep_ccache(self, environment: BuildEnvironment, added: Path | str) -> None:
        """Give later builds what this one added to ccache, once everything is proven.

        An error here costs the next build some time, and is no reason to lose this one.
        """
        with self._context.progress.stage("ccache") as stage:
            if isinstance(added, str):
                stage.note(added)
                return
            try:
                new = ccache.keep(self._context.request.cache, environment.root.ccache, added)
                first = "ccache was not used; the next build with this compiler begins to fill it"
                stage.note(first if new is None else f"ccache keeps {new} new files")
            except BuildError as e:
                stage.note(f"ccache keeps nothing: {e.brief}")

    def has_control(self, root: BuildRoot, source: Source) -> bool:
        """Return whether the cache has a build of ``source`` without our patch."""
        key = _key(root, source)
        return key != "" and self._context.request.cache.get(CONTROLS, key) is not None

    @property
    def objects(self) -> Path:
        """The directory with the object files of the packages, if they are to be compared."""
        return self._context.scratch / "objects"

    def control(self, root: BuildRoot, source: Source, tree: Path) -> Side:
        """Return a build without our patch of ``source``, which unpacks to ``tree``.

        It is kept in the cache if a signed index lists the source and everything in the root.
        """
        cache, key = self._context.request.cache, _key(root, source)
        with self._context.progress.stage("build control") as stage:

            def make(into: Path) -> None:
                into.mkdir()
                build.build(
                    root,
                    source.dsc,
                    source.version,
                    patch.changelog_epoch(tree),
                    into / "debs",
                    cache=cache,
                    # The other build may not have ended yet.
                    log_dir=self._context.directory.logs / "control",
                    stage=stage,
                    objects=into / "objects",
                )

            if key:
                there = cache.entry(CONTROLS, key, make)
            else:
                there = self._context.scratch / "control"
                if not there.exists():
                    make(there)
        return Side(
            debs=tuple(build.artifact(deb) for deb in sorted((there / "debs").glob("*.*deb"))),
            objects=there / "objects",
        )

    def build_control(
        self, root: BuildRoot, source: Source, tree: Path
    ) -> tuple[VerifiedFile, ...]:
        """Copy the package with tc of the build without our patch into the run's directory."""
        dest = self._context.directory.path / "control"
        dest.mkdir()
        found = []
        for deb in self.control(root, source, tree).debs:
            if deb.path.name.startswith(f"{PACKAGE}_"):
                shutil.copyfile(deb.path, dest / deb.path.name)
                found.append(
                    VerifiedFile(
                        path=dest / deb.path.name,
                        size=deb.size,
                        sha256=deb.sha256,
                        verified="built here from the verified source, without the patch",
                    )
                )
        return tuple(found)


def _key(root: BuildRoot, source: Source) -> str:
    """Return what determines a build without the patch; empty if nothing vouches for all of it."""
    if not (source.indexed and root.ccache and all(each.sha256 for each in root.packages)):
        return ""
    packages = (f"{p.name} {p.version} {p.architecture} {p.sha256}" for p in root.packages)
    trust = root.root.trust
    return digest(FORMAT, source.files[0].sha256, root.architecture, trust, *sorted(packages))
