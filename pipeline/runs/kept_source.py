# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Sources in the cache, by the SHA-256 of each file, for runs without a network."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from pipeline.archives import dsc_file
from pipeline.archives.index import ListedPackage
from pipeline.archives.privateroot import FILL
from pipeline.archives.staging import staged
from pipeline.errors import FetchError
from pipeline.files import own_files
from pipeline.host.cache import Cache
from pipeline.model import Release, Source, VerifiedFile
from pipeline.runs.lockfile import Lock

STORE = "downloads"
"""The cache's name for files by their SHA-256."""


def keep(source: Source, cache: Cache) -> None:
    """Keep a source's files in the cache, for a run without a network."""
    store = cache.directory(STORE)
    for file in source.files:
        if not (store / file.sha256).exists():
            with own_files.replacing(store / file.sha256) as part:
                shutil.copyfile(file.path, part)


def fetch(
    lock: Lock, release: Release, listed: Sequence[ListedPackage], cache: Cache, dest: Path
) -> Source:
    """Copy the locked source from the cache into ``dest``, each file by its SHA-256.

    ``listed`` are the versions in the cached indexes; if one lists exactly these files, it vouches
    for them, and else only the lock does. Raises FetchError if a file is not there.
    """
    vouching = next((v for v in listed if v.files == lock.files), None)
    trust = vouching.index.trust() if vouching else f"{lock.path}"
    store = cache.directory(STORE)
    with staged(dest) as staging:
        for each in lock.files:
            try:
                dsc_file.take(store / each.sha256, staging.path / each.name, each, f"{lock.path}")
            except FetchError as e:
                raise FetchError(
                    f"the cache does not have {each.name} of {lock.path}",
                    details=f"{e.brief}\n{e.details}".strip(),
                    hint=FILL,
                ) from e
        staging.keep(each.name for each in lock.files)
    return Source(
        name=lock.name,
        version=lock.version,
        release=release,
        files=tuple(
            VerifiedFile(
                path=dest / f.name, size=f.size, sha256=f.sha256, verified=f"SHA-256 in {trust}"
            )
            for f in lock.files
        ),
        origin=lock.origin,
        indexed=vouching is not None,
    )
