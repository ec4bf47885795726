# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The stages of one run, each with its directory, its log and its clock.

pipeline/run.py calls these in order; here is only how each is called.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from pipeline.build import build, ccache
from pipeline.build.build import BuildRoot
from pipeline.containers import Container, engines
from pipeline.containers.engines import Engine, Kind
from pipeline.errors import (
    BuildError,
    DiagnosisRefused,
    FetchError,
    PatchError,
    SmokeFailed,
    SmokeImpossible,
    TestbedLost,
)
from pipeline.fixes import diagnose, patch, versions
from pipeline.fixes.fixes import Fix
from pipeline.host import command
from pipeline.host.progress import Stage
from pipeline.model import (
    Built,
    CaseResult,
    Finding,
    Patched,
    Seen,
    SmokeReport,
    Source,
    Verdict,
    VerifiedFile,
)
from pipeline.runs import lockfile
from pipeline.runs.inputs import Inputs
from pipeline.runs.request import PACKAGE, Order
from pipeline.smoke import render, smoke
from pipeline.smoke.cases import select
from pipeline.smoke.smoke import GuestImage
from pipeline.source import fetch

__all__ = ["PACKAGE", "Order", "Work"]

Room = tuple[BuildRoot, Container]
"""Where a build takes place."""


class Work(Inputs):
    """The stages of one run, each with its directory, its log and its clock."""

    @contextmanager
    def scratch(self) -> Iterator[None]:
        """Hold what is not part of the run's outcome: its directory, and the build's container."""
        with super().scratch(), ExitStack() as self._started, command.threads(1) as self._aside:
            self._stopping: Future[Path | None] | None = None
            self._untaken = "nothing is kept: no signed index vouches for the source and its root"
            yield
            if self._stopping:
                self._stopping.result()

    @cached_property
    def engine(self) -> Engine:
        """What makes the build's container."""
        order = self.order
        return engines.choose(order.container, image=order.image, force=order.force_host)

    def check_engine(self) -> None:
        """Raise UsageError now, not after minutes, if the container asked for cannot be had.

        Where nothing is asked for, it is not looked for before it is needed.
        """
        if self.order.container is not Kind.AUTO or self.order.image is not None:
            _ = self.engine

    def diagnose(self, tree: Path) -> tuple[Finding, ...]:
        """The verdict of every fix."""
        with self.progress.stage("diagnose") as stage:
            return diagnose.diagnose(
                tree, self.order.fixes, libraries=self._libraries(), stage=stage
            )

    def patch(self, source: Source, needed: Sequence[Fix]) -> Patched:
        """The new source package."""
        with self.progress.stage("patch") as stage:
            return patch.patch(
                source,
                self._scratch / "tree",
                needed,
                self.folder.path / "patched",
                number=self.order.number,
                log=self.folder.log("patch"),
                stage=stage,
            )

    def check_patched(self, patched: Patched, when: Future[Built] | None = None) -> None:
        """Hold the new source package against the diagnosis and the archive.

        Nothing may be needed any more, and its version has to keep the law among those that
        the archive really has. That waits for ``when``: the build has more use for the
        processors than the guest that comes after it.
        """
        wait([when] if when else [])
        listed = [each.version for each in self.archive.versions(PACKAGE)]
        listed += self.archive.binary_versions(PACKAGE)
        versions.check_against(patched.version, listed, base=patched.source.version)
        try:
            made = fetch.local(patched.dsc, self._scratch / "patched", patched.source.release)
            made = replace(made, indexed=patched.source.indexed)
            tree = self.unpack(made, "patched-tree", "patch")
            findings = diagnose.diagnose(tree, self.order.fixes, libraries=self._libraries())
        except (FetchError, DiagnosisRefused) as e:
            raise PatchError(
                f"the patched source is not sound: {e.brief}",
                details=e.details,
                hint="what the source says of how it is packed may be the reason: see its "
                "debian/source/options",
            ) from e
        left = [f.fix for f in findings if f.verdict not in (Verdict.FIXED, Verdict.ABSENT)]
        if left:
            raise PatchError(
                f"the patched source still needs {', '.join(left)}",
                hint="please report this source",
            )

    def prepare_root(self, source: Source) -> BuildRoot:
        """The container's root, with the build dependencies."""
        locked = self.order.locked
        exact = locked.root if locked else ()
        if locked and locked.guest and not exact:
            raise BuildError(
                f"{locked.path} does not say what the build's root held",
                details="An image, or a machine, holds packages that no index was asked about.",
                hint="run without --locked",
            )
        with self.progress.stage("build root") as stage:
            root = build.prepare(
                self._having(exact) if exact else self.archive,
                source.dsc,
                self.order.cache,
                log_dir=self.folder.logs,
                stage=stage,
                exact=exact,
                engine=self.engine,
            )
            self._tell_changed(stage)
        if locked and exact:
            lockfile.check_root(locked, root.packages)
        self._root = root.packages
        return root

    def prepare_guest(self) -> GuestImage:
        """The guest's kernel and root."""
        exact = self.order.locked.guest if self.order.locked else None
        with self.progress.stage("guest image") as stage:
            image = smoke.prepare(
                self._having((*exact.root, *exact.kernel)) if exact else self.archive,
                self.order.cache,
                log_dir=self.folder.logs,
                stage=stage,
                exact=exact,
            )
            self._tell_changed(stage)
        self._guest = image.packages
        return image

    def _tell_changed(self, stage: Stage) -> None:
        """Say what of the cache somebody, or something, has changed since it was made."""
        changed = self.order.cache.changed
        while changed:
            stage.note(f"{changed.pop()} is not what it was when it was made: it is made anew")

    def prepare_build(self, source: Source) -> Room:
        """The build's root and container, which can be ready before there is a new source."""
        root = self.prepare_root(source)
        return root, self._started.enter_context(build.container(root, self.order.cache))

    def build(self, room: Room, patched: Patched) -> Built:
        """The packages. Nobody waits for the end of the container."""
        root, container = room
        with self.progress.stage("build") as stage:
            built = build.build_in(
                container,
                root,
                patched.dsc,
                patched.version,
                patched.epoch,
                self.folder.path / "debs",
                log_dir=self.folder.logs,
                stage=stage,
            )
        wanted = bool(patched.source.indexed and root.ccache)
        self._stopping = self._aside.submit(self._stop, container, wanted)
        return built

    def _stop(self, container: Container, wanted: bool) -> Path | None:
        """Stop the build's container; return what it leaves of ccache, if that is ``wanted``."""
        with self._started:
            try:
                return ccache.take(container, self._scratch / "ccache.tar") if wanted else None
            except BuildError as e:
                self._untaken = e.brief
                return None

    def keep_ccache(self, room: Room) -> None:
        """Let later builds have what this one added to ccache: only once all is proven.

        A source that no signed index lists leaves nothing to others. What goes wrong here costs
        the next build some time, and is no reason to lose this one.
        """
        if self._stopping is None:
            return
        with self.progress.stage("ccache") as stage:
            taken = self._stopping.result()
            if taken is None:
                stage.note(self._untaken)
                return
            try:
                new = ccache.keep(self.order.cache, room[0].ccache, taken)
                stage.note(f"{new} new files are kept")
            except BuildError as e:
                stage.note(f"nothing is kept: {e.brief}")

    def build_control(self, room: Room | None, source: Source) -> tuple[VerifiedFile, ...]:
        """The source without our patch, built in the same root."""
        root = room[0] if room else self.prepare_root(source)
        dest = self.folder.path / "control"
        logs = self.folder.logs / "control"  # the other build may be going on
        epoch = patch.changelog_epoch(self._scratch / "tree")
        with self.progress.stage("build control") as stage:
            built = build.build(
                root,
                source.dsc,
                source.version,
                epoch,
                dest,
                cache=self.order.cache,
                log_dir=logs,
                stage=stage,
            )
        return tuple(
            VerifiedFile(
                path=deb.path,
                size=deb.size,
                sha256=deb.sha256,
                verified="built here from the verified source, without our patch",
            )
            for deb in built.debs
            if deb.path.name.startswith(f"{PACKAGE}_")
        )

    def smoke(
        self,
        image: GuestImage,
        before: Sequence[VerifiedFile],
        built: Future[Built] | None,
        needed: Sequence[Fix],
    ) -> SmokeReport:
        """The proof: what loads before and after, on the release's own kernel.

        The distro's package is tried while the other is still being built.
        """
        turned: dict[str, list[str]] = {}
        for fix in needed:
            for case in fix.turns:
                turned.setdefault(case, []).extend(fix.symptoms)
        with self.progress.stage("smoke") as stage:
            seen = smoke.smoke(
                image,
                before=[deb.path for deb in before],
                after=packages_of(built) if built else (),
                turned=turned,
                lacks=frozenset(fix.name for fix in needed),
                cases=select(self.order.cases),
                objects=self.order.objects,
                cache=self.order.cache,
                log_dir=self.folder.logs,
                stage=stage,
            )
        if not seen.ok:
            bad = [cell for _, _, cell in seen.cells if not cell.ok]
            lost = all(cell.seen is Seen.LOST for cell in bad)
            raise (TestbedLost if lost else SmokeFailed)(
                "the packages did not behave in the guest as they must",
                details="\n".join(complaint for row in seen.cases for complaint in complaints(row)),
                hint=f"the guest's console and each command's output are in {self.folder.logs}",
            )
        _check_possible(seen, turned)
        (self.folder.path / "smoke.html").write_text(render.html([seen]), "utf-8")
        return seen


def packages_of(built: Future[Built]) -> Future[Sequence[Path]]:
    """Return the packages that will come of a build, of those the one with tc and ip."""
    coming: Future[Sequence[Path]] = Future()

    def pass_on(done: Future[Built]) -> None:
        error = done.exception()
        if error is not None:
            coming.set_exception(error)
        else:
            debs = [deb.path for deb in done.result().debs]
            coming.set_result([path for path in debs if path.name.startswith(f"{PACKAGE}_")])

    built.add_done_callback(pass_on)
    return coming


def _check_possible(seen: SmokeReport, turned: Collection[str]) -> None:
    """Raise SmokeImpossible if a case that a fix turns could not be tried by any way."""
    for name in turned:
        rows = [row for row in seen.cases if row.case == name]
        if rows and all((row.after or row.before).seen is Seen.NOT_POSSIBLE for row in rows):
            raise SmokeImpossible(
                f"the case {name}, which proves the fix, is not possible on {seen.kernel}",
                details="\n".join(row.before.reason for row in rows),
                hint="Name another kernel for this release in respin.toml.",
            )


def complaints(row: CaseResult) -> list[str]:
    """Return, for each cell of a row that is not as it must be, a few lines that say why."""
    return [
        f"{row.case} ({row.way}), {when}: {cell.why}\n$ {cell.command}\n{cell.output.strip()}"
        for when, cell in row.cells
        if not cell.ok
    ]
