# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Images for Docker and podman: pulled and completed, or imported."""

from __future__ import annotations

import re
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.archives import keyrings
from pipeline.containers import apt_inside
from pipeline.containers.oci import Oci
from pipeline.containers.oci_engine import LABEL, SECONDS, OciEngine
from pipeline.errors import BuildError, FetchError, UsageError
from pipeline.files import os_release, own_files
from pipeline.host import command
from pipeline.host.cache import Cache, digest
from pipeline.host.resources import package_data
from pipeline.isolation import namespaces
from pipeline.model import AptSource, Package, Release

KIND = "images"
"""In the cache: the id of each image that was made here."""

FORMAT = "3"
"""Part of every name; increase it when the way of making images changes."""

PULL_SECONDS = 900.0

_IMAGE = re.compile(r"[a-zA-Z0-9][\w./:@-]{0,500}", re.ASCII)
"""A reference or an id, which cannot be an option of the engine."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """A base image."""

    id: str
    name: str
    """By digest if a registry gave one, else by id, so that it never changes."""


def official(release: Release) -> str | None:
    """Return the name of the release's official image, or None if its distro has none."""
    names = tomllib.loads(package_data(__package__, "images.toml").read_text())
    name: str | None = names.get(release.distro)
    return name.format(codename=release.codename) if name else None


def base(engine: OciEngine, release: Release, named: str | None, log: Path) -> Base | None:
    """Return the image that the user named, or the official one; None if that is not available.

    Raises FetchError if the user's is not available, UsageError if it has another release or no
    apt.
    """
    name = named or official(release)
    if name is None:
        return None
    if not _IMAGE.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a valid name of an image",
            hint="give NAME, NAME:TAG or NAME@sha256:DIGEST",
        )
    try:
        engine.call(
            *("image", "pull", "--quiet", name),
            timeout=PULL_SECONDS,
            log=log,
            error=FetchError,
            brief=f"{engine.name} could not pull the image {name}",
            hint="use --image scratch, which makes a root from the archive instead",
        )
    except FetchError:
        # An image that the user made or loaded may be in no registry.
        if named is None or _inspect(engine, name, "{{.Id}}") is None:
            if named is None:
                return None
            raise
    found = Base(id=_inspect(engine, name, "{{.Id}}") or "", name=_digest(engine, name))
    check(engine, found, name, release)
    return found


def _inspect(engine: OciEngine, name: str, form: str) -> str | None:
    done = engine.call(*("image", "inspect", "--format", form, name), check=False, timeout=SECONDS)
    return done.text.strip() if done.status == 0 else None


def _digest(engine: OciEngine, name: str) -> str:
    """Return the name of an image with its digest, or its id if no registry gave a digest."""
    form = "{{range .RepoDigests}}{{println .}}{{end}}"
    digests = (_inspect(engine, name, form) or "").split()
    wanted = name.partition("@")[2]
    found = [each for each in digests if not wanted or each.endswith(wanted)]
    return found[0] if found else _inspect(engine, name, "{{.Id}}") or name


def check(engine: OciEngine, found: Base, name: str, release: Release) -> None:
    """Raise UsageError if an image has another release, or no apt."""
    with Oci(engine, found.id) as box:
        said = box.call(["cat", "/etc/os-release"], check=False).text
        apt = box.call(["apt-get", "--version"], check=False).status
    apt_inside.check_release(os_release.parse(said), release, f"the image {name}")
    if apt != 0:
        raise UsageError(
            f"the image {name} has no apt-get", hint="use an image of the release itself"
        )


def derived(
    engine: OciEngine,
    base: Base,
    sources: Sequence[AptSource],
    key: Sequence[Package],
    cache: Cache,
    log: Path,
) -> str:
    """Return the id of an image: ``base`` with exactly the packages of ``key``.

    It is cached under everything it is made of: the base's id, the packages' hashes, and the keys
    that verified them. Raises BuildError if they cannot be installed.
    """
    packages = sorted(f"{p.name} {p.version} {p.architecture} {p.sha256}" for p in key)
    parts = ("derived", base.id, keyrings.trust(sources), *packages)

    def make(name: str) -> str:
        with Oci(engine, base.id, network=True) as box:
            apt_inside.install(box, sources, key, log)
            return box.commit(name)

    return _kept(engine, cache, parts, make)


def imported(engine: OciEngine, tree: Path, release: Release, cache: Cache) -> str:
    """Return the id of an image of a root's tree; like the tree, it is cached by its content."""

    def make(name: str) -> str:
        # Not ".": another run may touch the tree in the cache, and tar would complain.
        parts = sorted(f"./{path.name}" for path in tree.iterdir())
        with tempfile.TemporaryFile() as tar:
            command.run(
                [
                    *("tar", "--create", "--file=-"),
                    *("--numeric-owner", "--xattrs", "--xattrs-include=*", "--", *parts),
                ],
                begin=namespaces.among(tree),
                env={"PATH": namespaces.PATH},
                stdout=tar,
                error=BuildError,
                brief=f"tar could not read the root of {release.codename}",
            )
            tar.seek(0)
            return _load(engine, Path(f"/proc/self/fd/{tar.fileno()}"), name)

    return _kept(engine, cache, ("tree", tree.name), make)


def _kept(engine: OciEngine, cache: Cache, parts: Sequence[str], make: Callable[[str], str]) -> str:
    """Return the id of an image that consists of ``parts``; ``make`` makes it under a name.

    The cache records the id, which is a digest of the image. The name only keeps the engine from
    removing the image: anyone who may use the engine can give the name to another image.
    """
    key = digest(FORMAT, engine.name, *parts)
    with cache.lock(KIND, key):
        there = cache.get(KIND, key)
        known = there.read_text() if there else ""
        if known and (_inspect(engine, known, "{{.Id}}") or "").endswith(known):
            return known
        made = make(f"{LABEL}-root:{key[:32]}")
        cache.put(KIND, key, lambda part: own_files.write(part, made))
    return made


def _load(engine: OciEngine, tar: Path, name: str) -> str:
    done = engine.call(
        *("image", "import", f"--change=LABEL {LABEL}=root", "-", name),
        stdin=tar,
        brief=f"{engine.name} did not import the root",
        hint="check that its disk is not full: df /var/lib/docker",
    )
    found = re.search(r"[0-9a-f]{64}", done.text)
    if found is None:
        raise BuildError(f"{engine.name} import did not print an id", details=done.text)
    return found.group()
