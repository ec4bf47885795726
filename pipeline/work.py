"""The stages of one run, each with its folder, its log and its clock.

pipeline/run.py calls these in order; here is only how each is called.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from pipeline import (
    build,
    diagnose,
    fetch,
    lock,
    maketree,
    patch,
    releases,
    smoke,
    smokepage,
    superseded,
    versions,
)
from pipeline.archives.apt import AptArchive
from pipeline.build import BuildRoot
from pipeline.cache import Cache
from pipeline.cases import select
from pipeline.config import Config
from pipeline.containers import engines
from pipeline.containers.engines import Engine, Kind
from pipeline.errors import FetchError, PatchError, SmokeFailed, SmokeImpossible, TestbedLost
from pipeline.fixes import Fix
from pipeline.lock import Lock
from pipeline.model import (
    Built,
    CaseResult,
    Finding,
    GuestPackages,
    Package,
    Patched,
    Release,
    Seen,
    SmokeReport,
    Source,
    Verdict,
    VerifiedFile,
)
from pipeline.progress import Progress
from pipeline.releases import NO_CONFIG, USUAL, Pocket
from pipeline.report import Report
from pipeline.runfolder import RunFolder
from pipeline.smoke import GuestImage, UserObject

PACKAGE = "iproute2"
"""The source package, and the binary package that holds tc and ip."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the user asks for."""

    release: Release
    fixes: tuple[Fix, ...]
    cache: Cache
    version: str | None = None
    """None: the newest in the release's pockets."""
    dsc: Path | None = None
    """A local source package in place of the archive's."""
    tree_dir: Path | None = None
    """A source tree with debian/, in place of the archive's."""
    locked: Lock | None = None
    """The inputs of an earlier run, to be had again."""
    accepted: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of .dsc files that no signature vouches for -> in words, who does."""
    pockets: tuple[Pocket, ...] = ()
    """Empty: release, updates, security."""
    config: Config = NO_CONFIG
    mirror: str | None = None
    keyring: Path | None = None
    number: int = 1
    """Which rebuild of one distro version this is: the N of +bpfN."""
    cases: tuple[str, ...] | None = None
    objects: tuple[UserObject, ...] = ()
    container: Kind = Kind.AUTO
    """Where it is built."""
    image: str | None = None
    """The base image for docker and podman."""
    force_host: bool = False
    """Build in place even where this machine is no container."""
    prove: bool = False
    """Smoke-test the distro's own package where no fix is needed."""
    keep: bool = False
    logs: Path | None = None
    """Where the logs are written while the run goes on; None: a folder under the cache."""


class Work:
    """The stages of one run, each with its folder, its log and its clock."""

    def __init__(self, order: Order, folder: RunFolder, progress: Progress) -> None:
        self.order = order
        self.folder = folder
        self.progress = progress
        self._scratch = folder.path / ".work"
        self._begun = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self._guest: GuestPackages | None = None
        self._control: Package | None = None

    @contextmanager
    def scratch(self) -> Iterator[None]:
        """Hold the folder for what is not part of the run's outcome."""
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
        return lock.holding(self.order.locked, packages, self.archive, lambda: self._past)

    @cached_property
    def dsc(self) -> Path | None:
        """The local .dsc that takes the archive's place, if any."""
        order = self.order
        if order.tree_dir:
            log = self.folder.log("fetch")
            return maketree.make_source(order.tree_dir, self._scratch / "made", log=log)
        if order.locked and order.locked.kind != "archive":
            return lock.local_dsc(order.locked)
        return order.dsc

    @cached_property
    def engine(self) -> Engine:
        """What makes the build's container."""
        order = self.order
        return engines.choose(order.container, image=order.image, force=order.force_host)

    def check_engine(self) -> None:
        """Raise UsageError now, not after minutes, if the container asked for cannot be had."""
        if self.order.container is not Kind.AUTO:
            _ = self.engine

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
                lock.check_source(order.locked, source)
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
            files=lock.files(source),
            fixes=tuple(fix.name for fix in self.order.fixes),
            number=self.order.number,
            # What was locked is what there was then.
            time=locked.time if locked else self._begun,
            pockets=self.order.pockets,
            root=_known(done.built.root if done.built else ()),
            guest=self._guest if done.smoke else None,
            control=self._control if done.smoke else None,
        )
        lock.write(written, self.folder.path)

    def tree(self, source: Source) -> Path:
        """The source as dpkg-source unpacks it."""
        return fetch.unpack(source, self._scratch / "tree", log=self.folder.log("fetch"))

    def _libraries(self) -> dict[str, str]:
        names = {fix.requires.build_depends for fix in self.order.fixes if fix.requires}
        found = {name: self.archive.candidate(name) for name in names}
        return {name: package.version for name, package in found.items() if package}

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

    def check_patched(self, patched: Patched) -> None:
        """Hold the new source package against the diagnosis and the archive.

        Nothing may be needed any more, and its version has to keep the law among those that
        the archive really has.
        """
        if not self.order.dsc:
            listed = [each.version for each in self.archive.versions(PACKAGE)]
            listed += self.archive.binary_versions(PACKAGE)
            versions.check_against(patched.version, listed, base=patched.source.version)
        made = fetch.local(patched.dsc, self._scratch / "patched", patched.source.release)
        tree = fetch.unpack(made, self._scratch / "patched-tree", log=self.folder.log("patch"))
        findings = diagnose.diagnose(tree, self.order.fixes, libraries=self._libraries())
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
        if locked and exact:
            lock.check_root(locked, root.packages)
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
        self._guest = image.packages
        return image

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

    def build(self, root: BuildRoot, patched: Patched) -> Built:
        """The packages."""
        with self.progress.stage("build") as stage:
            return build.build(
                root,
                patched.dsc,
                patched.version,
                patched.epoch,
                self.folder.path / "debs",
                cache=self.order.cache,
                log_dir=self.folder.logs,
                stage=stage,
            )

    def build_control(self, root: BuildRoot, source: Source) -> tuple[VerifiedFile, ...]:
        """The source without our patch, built in the same root."""
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
                after=_packages(built) if built else (),
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
        (self.folder.path / "smoke.html").write_text(smokepage.html([seen]), "utf-8")
        return seen


def _known(packages: Sequence[Package]) -> tuple[Package, ...]:
    """Return the packages if the file of each is known: those of this very machine are not."""
    return tuple(packages) if all(p.sha256 for p in packages) else ()


def _packages(built: Future[Built]) -> Future[Sequence[Path]]:
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
