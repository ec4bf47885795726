"""Stage publish: one signed apt repository per release, changed in one step.

aptly makes a repository from the versions that are to be offered, each time anew in a folder
of its own (a generation); it is signed, read back, and put in its place by renaming one
symbolic link. So a client sees the old state or the new, whatever moment we are killed at.
Its own way would rename the indexes one by one. What the generation before had by hash stays
for a client that is in between.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline import command, versions
from pipeline.archives import openpgp
from pipeline.cache import digest, file_sha256
from pipeline.data import render
from pipeline.errors import PatchError, PublishError
from pipeline.keys import Key
from pipeline.nightconfig import Publishing
from pipeline.proven import Proven

GENERATIONS = ".generations"
MANIFEST = ".manifest.json"
FORMAT = "1"
"""Of a generation; another one makes every repository anew."""
TIMEOUT = 600.0


@dataclass(frozen=True, kw_only=True)
class Repository:
    """Where one release's repository is, and how it is signed."""

    public: Path
    """The folder that a web server serves."""
    target: str
    architecture: str
    key: Key
    settings: Publishing
    packages: tuple[str, ...] = ("iproute2",)
    """The binary packages that clients take from here, and no others."""

    @property
    def link(self) -> Path:
        """What clients see: a symbolic link to a generation."""
        return self.public / self.target

    def current(self) -> str:
        """Return the name of the generation that clients see; empty if there is none."""
        try:
            return self.link.readlink().name
        except FileNotFoundError:
            return ""
        except OSError as e:
            raise PublishError(
                f"{self.link} is not a repository of ours", hint="move it out of the way"
            ) from e

    def content(self, offers: Iterable[Proven]) -> str:
        """Return a digest of what clients get where these are offered and nothing else."""
        files = sorted(f"{f.path.name} {f.sha256}" for o in offers for f in o.files)
        settings = (self.settings.origin, self.settings.url, *self.packages)
        return digest(FORMAT, self.key.fingerprint, self.architecture, *settings, *files)[:16]


def visible(repository: Repository) -> tuple[str, ...]:
    """Return our versions that clients see now."""
    name = f"dists/{repository.target}/main/binary-{repository.architecture}/Packages"
    try:
        text = (repository.link / name).read_text("utf-8", "replace")
    except OSError:
        return ()
    return tuple(dict.fromkeys(re.findall(r"^Version: (\S+)$", text, re.MULTILINE)))


def check_law(offers: Sequence[Proven], listed: Sequence[str]) -> None:
    """Hold our versions against all that the archive lists. Raises PublishError."""
    for offer in offers:
        try:
            versions.check_against(offer.version, listed, base=offer.base)
        except PatchError as e:
            raise PublishError(
                f"{offer.version} must not be published: {e.brief}", details=e.details, hint=e.hint
            ) from e


def publish(
    repository: Repository, offers: Sequence[Proven], listed: Sequence[str], log: Path | None = None
) -> bool:
    """Let a repository offer these versions and nothing else; return whether it changed.

    ``listed`` are the versions that the distro's archive has now. Raises PublishError; what
    clients see then is what they saw before.
    """
    check_law(offers, listed)
    content, before = repository.content(offers), repository.current()
    store = repository.public / GENERATIONS
    _, _, serial = before.rpartition("-")
    if before == f"{repository.target}-{content}-{serial}":
        _clear(repository, store, {before, _before(store / before)})
        return False
    # Also a state that was before is a new one: clients refuse an index with an older date.
    name = f"{repository.target}-{content}-{int(serial or 0) + 1}"
    store.mkdir(parents=True, exist_ok=True)
    _clear(repository, store, {before, name})
    if not (store / name / MANIFEST).exists():
        part = Path(tempfile.mkdtemp(dir=store, prefix=f".part-{repository.target}-"))
        try:
            _make(repository, offers, part, log)
            _keep(store / before if before else None, part, before)
            _check(repository, offers, part)
            part.chmod(0o755)
            _to_disk(part)
            part.rename(store / name)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    _point(repository.link, Path(GENERATIONS) / name)
    return True


def _point(link: Path, to: Path) -> None:
    """Put a symbolic link in place of another, in one step."""
    part = link.with_name(f".{link.name}.link")
    part.unlink(missing_ok=True)
    part.symlink_to(to)
    part.replace(link)
    _sync(link.parent)


def _to_disk(part: Path) -> None:
    """Wait until all of a generation is on the disk: a power cut must not leave it half there."""
    done: set[int] = set()
    for path in (*part.rglob("*"), part):
        inode = path.stat().st_ino
        if inode not in done:
            _sync(path)
        done.add(inode)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make(repository: Repository, offers: Sequence[Proven], part: Path, log: Path | None) -> None:
    """Let aptly make the repository in ``part``, sign it, and add what clients need."""
    with tempfile.TemporaryDirectory(dir=part, prefix=".aptly-") as work:
        folder = Path(work)
        for offer in offers:
            for file in offer.files:
                if not (folder / file.path.name).exists():  # an upstream tarball is shared
                    shutil.copy(file.path, folder / file.path.name)
                    if file_sha256(folder / file.path.name) != file.sha256:
                        raise PublishError(f"{file.path} has changed since it was made")
        given = sorted(p for p in folder.iterdir() if p.suffix in (".deb", ".dsc"))
        config = folder / "aptly.json"
        endpoint = {"rootDir": str(part), "linkMethod": "hardlink", "verifyMethod": "md5"}
        config.write_text(
            json.dumps(
                {
                    "rootDir": str(folder / "root"),
                    "gpgDisableSign": True,
                    "FileSystemPublishEndpoints": {"here": endpoint},
                }
            )
        )
        target = repository.target
        _aptly(config, log, "repo", "create", target)
        if given:
            _aptly(config, log, "repo", "add", target, *given)
        _aptly(
            *(config, log, "publish", "repo", "-skip-signing", "-acquire-by-hash"),
            *("-skip-contents", "-skip-bz2", f"-distribution={target}", "-component=main"),
            f"-architectures={repository.architecture},source",
            *(f"-origin={repository.settings.origin}", f"-label={repository.settings.origin}"),
            *(target, "filesystem:here:"),
        )
    for path in part.rglob("by-hash/*/*"):
        if path.is_symlink():  # aptly's own memory of its last state
            path.unlink()
    dists = part / "dists" / repository.target
    release = (dists / "Release").read_bytes()
    (dists / "InRelease").write_bytes(repository.key.clearsign(release))
    (dists / "Release.gpg").write_bytes(repository.key.detach(release))
    _client_files(repository, part)


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
    """Write what a client installs: the key, a .sources file, preferences."""
    origin = repository.settings.origin
    (part / f"{origin}.asc").write_bytes(repository.key.public())
    values = {
        "origin": origin,
        "url": f"{repository.settings.url}/{repository.target}",
        "suite": repository.target,
        "packages": repository.packages,
    }
    for kind in ("sources", "pref"):
        text = render(f"repository/client.{kind}.j2", **values)
        (part / f"{origin}.{kind}").write_text(text)


def _keep(before: Path | None, part: Path, name: str) -> None:
    """Link what the generation before had by hash and in its pool, and note what is new here.

    A client that read the index before the change finds what it lists after it.
    """
    own = _own(part)
    if before is not None:
        for path in _manifest(before)["own"]:
            if not (part / path).exists():
                (part / path).parent.mkdir(parents=True, exist_ok=True)
                os.link(before / path, part / path)
    (part / MANIFEST).write_text(json.dumps({"before": name, "own": own}))


def _own(part: Path) -> list[str]:
    found = [*part.rglob("by-hash/*/*"), *(p for p in (part / "pool").rglob("*"))]
    return sorted(str(p.relative_to(part)) for p in found if p.is_file())


def _manifest(generation: Path) -> dict[str, list[str]]:
    try:
        value: dict[str, list[str]] = json.loads((generation / MANIFEST).read_text())
    except (OSError, ValueError):
        return {"own": []}
    return value


def _before(generation: Path) -> str:
    return str(_manifest(generation).get("before", ""))


def _clear(repository: Repository, store: Path, keep: set[str]) -> None:
    """Remove generations that no client can be in any more, and what a kill left behind."""
    if not store.is_dir():
        return
    for path in store.iterdir():
        name = path.name
        part = name.startswith(f".part-{repository.target}-")
        old = re.fullmatch(rf"{re.escape(repository.target)}-[0-9a-f]{{16}}-[0-9]+", name)
        if part or (old and name not in keep):
            shutil.rmtree(path, ignore_errors=True)


def _check(repository: Repository, offers: Sequence[Proven], part: Path) -> None:
    """Read back what was made as a client does. Raises PublishError."""
    dists = part / "dists" / repository.target
    signed = openpgp.check(
        (dists / "InRelease").read_bytes(), part / f"{repository.settings.origin}.asc"
    )
    if not signed.signers:
        raise PublishError("the new repository is not signed by its own key")
    text = signed.content.decode()
    for name in (f"binary-{repository.architecture}/Packages", "source/Sources"):
        path = dists / "main" / name
        line = re.search(rf"^ ([0-9a-f]{{64}}) +\d+ main/{name}$", text, re.MULTILINE)
        if not line or line[1] != file_sha256(path):
            raise PublishError(f"the new repository's {name} is not what its index lists")
    packages = (dists / f"main/binary-{repository.architecture}/Packages").read_text()
    there = set(re.findall(r"^SHA256: ([0-9a-f]{64})$", packages, re.MULTILINE))
    wanted = {f.sha256 for o in offers for f in o.files if f.path.suffix == ".deb"}
    if there != wanted:
        raise PublishError("the new repository does not list what it is to offer")
