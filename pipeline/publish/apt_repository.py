# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stage publish: one signed apt repository for each release, changed atomically.

aptly makes a repository of the versions to offer, each time in a new directory
(publish/generations.py). The repository is signed, read back, and published by renaming one
symbolic link, where aptly itself would rename the indexes one by one. So each night repairs
whatever happened to the published files, and renews the signature.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.archives import dsc_file, openpgp, release
from pipeline.config.nightly import Publishing
from pipeline.errors import PatchError, PublishError
from pipeline.fixes import versions
from pipeline.host import command
from pipeline.host.cache import digest, file_sha256
from pipeline.host.resources import render
from pipeline.publish import generations, keyring_package, release_file
from pipeline.publish.generations import DIRECTORY, Issued, PublishedMemory
from pipeline.publish.keys import Key
from pipeline.publish.verified_run import ALL, File, Proven, architecture_of

FORMAT = "3"
"""Format of a generation; a new number counts as a change."""
TIMEOUT = 600.0
DAY = 24 * 3600


@dataclass(frozen=True, kw_only=True)
class Repository:
    """Where the repository of a release is, and how it is signed."""

    public: Path
    """The directory that the web server serves."""
    target: str
    architectures: tuple[str, ...]
    """Debian's names of those that it serves."""
    key: Key
    settings: Publishing
    packages: tuple[str, ...] = ("iproute2",)
    """The only binary packages that clients take from here."""

    @property
    def link(self) -> Path:
        """Return what clients see: a symbolic link to a generation."""
        return self.public / self.target

    @property
    def store(self) -> Path:
        """Return the directory of its generations, and of those of other releases."""
        return self.public / DIRECTORY

    def content(self, offers: Iterable[Proven]) -> str:
        """Return a digest of what clients get if exactly these versions are offered."""
        every = (file for offer in offers for file in (*offer.files, *offer.beside))
        files = sorted({f"{f.name or f.path.name} {f.sha256}" for f in every})
        settings = (self.settings.origin, self.settings.url, *self.packages)
        keys = " ".join(self.key.fingerprints)
        return digest(FORMAT, keys, " ".join(self.architectures), *settings, *files)[:16]


def check_law(offers: Sequence[Proven], listed: Sequence[str]) -> None:
    """Check our versions against all that the archive lists. Raises PublishError."""
    for offer in offers:
        try:
            versions.check_against(offer.version, listed, base=offer.base)
        except PatchError as e:
            raise PublishError(
                f"respin must not publish {offer.version}: {e.brief}",
                details=e.details,
                hint=e.hint,
            ) from e


def check_names(offers: Sequence[Proven]) -> None:
    """Check that no two of the runs' files have one name. Raises PublishError.

    The runs of several architectures have the same patched source, and one has the packages of the
    architecture ``all``.
    """
    known: dict[str, File] = {}
    for file in (file for offer in offers for file in offer.files):
        other = known.setdefault(file.path.name, file)
        if other.sha256 != file.sha256:
            raise PublishError(
                f"two runs made a different {file.path.name}",
                details=f"{other.path}: SHA-256 {other.sha256}\n{file.path}: SHA-256 {file.sha256}",
                hint="withdraw its version with respin withdraw, and build it again with respin "
                "retry: it then has another number",
            )


def publish(
    repository: Repository,
    offers: Sequence[Proven],
    listed: Sequence[str],
    *,
    memory: PublishedMemory,
    now: int,
    log: Path | None = None,
) -> bool:
    """Make a repository offer exactly these versions; return whether that is a change.

    It is made and signed again in any case, at ``now``, in seconds since 1970. ``listed`` are the
    versions in the distro's archive. Raises PublishError; clients then see the same as before.
    """
    check_law(offers, listed)
    check_names(offers)
    target, before = repository.target, generations.current(repository.link)
    known = memory.issued(target)
    content = repository.content(offers)
    changed = not before.startswith(f"{target}-{content}-")
    serial = max((generations.serial(before), *(i.serial for i in known))) + 1
    date, public = _date(known, now, begun=bool(before)), repository.key.public()
    new = Issued(
        # An earlier state comes back as a new one: clients refuse an index with an older date.
        generation=f"{target}-{content}-{serial}",
        serial=serial,
        date=date,
        keyring=keyring_package.version(repository.settings.origin, public, known, date),
        keys=repository.key.fingerprints,
        offered=tuple(dict.fromkeys(offer.version for offer in offers)),
    )
    last = next((i for i in known if i.generation == before), None)
    promised = () if last is None else last.own if changed else last.kept
    try:
        new = _made(repository, offers, new, last, promised, log)
        # This comes before anybody can see it: its date and its number are never used again.
        memory.issue(target, new)
        generations.point(repository.link, Path(DIRECTORY) / new.generation)
    except OSError as e:
        raise PublishError(
            f"respin could not write the repository: {e.strerror}",
            details=str(e),
            hint="check who owns the directory, and whether its disk is full",
        ) from e
    memory.issue(target, replace(new, placed=True))
    memory.forget_issued(target, (before, new.generation))
    return changed


def _made(
    repository: Repository,
    offers: Sequence[Proven],
    new: Issued,
    last: Issued | None,
    promised: Sequence[str],
    log: Path | None,
) -> Issued:
    """Make a generation and check it; return its content.

    Files ``promised`` by the ``last`` one stay for clients that are reading it.
    """
    target, store = repository.target, repository.store
    store.mkdir(parents=True, exist_ok=True)
    generations.clear(store, target, {generations.current(repository.link)})
    part = Path(tempfile.mkdtemp(dir=store, prefix=f".part-{target}-"))
    try:
        debs = _make(repository, offers, part, new, log)
        own = generations.own(part)
        kept: tuple[str, ...] = ()
        if last:
            kept = generations.keep(store / last.generation, last, promised, part)
        _check(repository, debs, part)
        part.chmod(0o755)
        generations.to_disk(part)
        files = generations.inventory(part)
        part.rename(store / new.generation)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return replace(new, files=files, own=own, kept=kept)


def _date(known: Sequence[Issued], now: int, *, begun: bool) -> int:
    """Return the date of a new index: now, or just after the date of the last one.

    If the repository is gone and the last date is in the future, the date starts again at now: no
    client can have accepted such an index (apt: "is not valid yet").
    """
    last = max((i.date for i in known), default=0)
    if not begun and last > now + DAY:
        return now
    return max(now, last + 1)


def _make(
    repository: Repository, offers: Sequence[Proven], part: Path, new: Issued, log: Path | None
) -> dict[str, str]:
    """Make the repository in ``part`` with aptly, sign it, and add what clients need.

    Returns the SHA-256 of each package in it, and its architecture.
    """
    origin, public = repository.settings.origin, repository.key.public()
    with tempfile.TemporaryDirectory(dir=part, prefix=".aptly-") as work:
        directory = Path(work)
        for offer in offers:
            for file in offer.files:
                # Versions share an upstream tarball, and architectures a source.
                if not (directory / file.path.name).exists():
                    shutil.copy(file.path, directory / file.path.name)
                    if file_sha256(directory / file.path.name) != file.sha256:
                        raise PublishError(f"{file.path} has changed since its run")
        keyring_package.make(directory, origin, public, new.keyring)
        given = sorted(p for p in directory.iterdir() if p.suffix in (".deb", ".dsc"))
        debs = {file_sha256(p): architecture_of(p) for p in given if p.suffix == ".deb"}
        config = directory / "aptly.json"
        endpoint = {"rootDir": str(part), "linkMethod": "hardlink", "verifyMethod": "md5"}
        config.write_text(
            json.dumps(
                {
                    "rootDir": str(directory / "root"),
                    "gpgDisableSign": True,
                    "FileSystemPublishEndpoints": {"here": endpoint},
                }
            )
        )
        target = repository.target
        _aptly(config, log, "repo", "create", target)
        _aptly(config, log, "repo", "add", target, *given)
        _aptly(
            *(config, log, "publish", "repo", "-skip-signing", "-acquire-by-hash"),
            *("-skip-contents", "-skip-bz2", f"-distribution={target}", "-component=main"),
            f"-architectures={','.join((*repository.architectures, 'source'))}",
            *(f"-origin={origin}", f"-label={origin}"),
            *(target, "filesystem:here:"),
        )
    _beside(offers, part)
    for path in list(part.rglob("by-hash/*/*")):
        # Symbolic links are only aptly's record of its last state.
        if path.is_symlink() or path.parent.name in release_file.WEAK:
            path.unlink()
    dists = part / "dists" / repository.target
    release = release_file.issued(
        (dists / "Release").read_bytes(), new.date, repository.settings.valid_for
    )
    (dists / "Release").write_bytes(release)
    (dists / "InRelease").write_bytes(repository.key.clearsign(release))
    (dists / "Release.gpg").write_bytes(repository.key.detach(release))
    (part / f"{origin}.asc").write_bytes(public)
    _client_files(repository, part)
    return debs


def _beside(offers: Sequence[Proven], part: Path) -> None:
    """Put what is ``beside`` the packages of each run there: NAME.provenance.json."""
    pool = {path.name: path for path in (part / "pool").rglob("*.deb")}
    for offer in offers:
        debs = [pool[f.path.name] for f in offer.files if f.path.name in pool]
        for file, deb in ((file, deb) for file in offer.beside for deb in debs):
            target = beside(deb, file.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.path, target)
            if file_sha256(target) != file.sha256:
                raise PublishError(f"{file.path} has changed since its run")
            target.chmod(0o644)


def beside(deb: Path, name: str) -> Path:
    """Return where the repository has a file of the run that made a package."""
    return deb.parent / f"{deb.stem}.{name}"


def _aptly(config: Path, log: Path | None, *argv: command.Arg) -> None:
    command.run(
        ["aptly", f"-config={config}", *argv],
        env=command.environment(),
        timeout=TIMEOUT,
        log=log,
        error=PublishError,
        brief="aptly could not make the repository",
    )


def _client_files(repository: Repository, part: Path) -> None:
    """Write what a client installs beside the key: a .sources file and preferences."""
    origin = repository.settings.origin
    for name in repository.packages:  # "*" would mean every package
        if not dsc_file.package_name(name):
            raise PublishError(f"{name!r} is not a valid package name")
    values = {
        "origin": origin,
        "url": f"{repository.settings.url}/{repository.target}",
        "suite": repository.target,
        "architectures": repository.architectures,
        "keyring": f"/{keyring_package.DIRECTORY}/{origin}.asc",
        "packages": (*repository.packages, keyring_package.name(origin)),
    }
    for kind in ("sources", "pref"):
        text = render(f"repository/client.{kind}.j2", **values)
        (part / f"{origin}.{kind}").write_text(text)


def _check(repository: Repository, debs: Mapping[str, str], part: Path) -> None:
    """Read the new repository back as a client does. Raises PublishError."""
    dists = part / "dists" / repository.target
    signed = openpgp.check(
        (dists / "InRelease").read_bytes(), part / f"{repository.settings.origin}.asc"
    )
    if len(signed.signers) < len(repository.key.fingerprints):
        raise PublishError("the new repository is not signed by its own key")
    text = signed.content.decode()
    lists = {a: f"binary-{a}/Packages" for a in repository.architectures}
    for name in (*lists.values(), "source/Sources"):
        path = dists / "main" / name
        listed = release.listed(text, f"main/{name}")
        if not listed or listed[0] != file_sha256(path):
            raise PublishError(f"{name} in the new repository does not match its index")
    for architecture, name in lists.items():
        packages = (dists / "main" / name).read_text()
        there = re.findall(r"^SHA256: ([0-9a-f]{64})$", packages, re.MULTILINE)
        if set(there) != {sha for sha, of in debs.items() if of in (architecture, ALL)}:
            raise PublishError(
                f"the new repository does not list what it must offer for {architecture}"
            )
