# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A package that a repository of ours serves, with the statements and the lock beside it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from pipeline.archives import web
from pipeline.errors import FetchError, NotVerified, UsageError
from pipeline.files import bounded
from pipeline.host.cache import file_sha256
from pipeline.proof import envelope, manifest
from pipeline.proof import statements as statements_of
from pipeline.proof.check import Proof
from pipeline.runs import lockfile, lockfile_reader
from pipeline.text.address import Address

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.~_-]{0,200}\.deb")


def is_address(text: str) -> bool:
    """Tell whether a text is the address of something on a server, and no path."""
    return text.startswith(("http://", "https://"))


def name_of(url: Address) -> str:
    """Return the name of the package at an address. Raises UsageError if it is of no package."""
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    if not _NAME.fullmatch(name) or urlsplit(url).query:
        raise UsageError(
            f"{url} is not the address of a package",
            hint="give that of a .deb in the pool of a repository that respin publish made",
        )
    return name


def statements(url: Address, place: Path) -> Path:
    """Fetch the statements about the package at an address into ``place``; return their path.

    Raises NotVerified if the server has none, FetchError if it does not answer as it should.
    """
    path = place / f"{name_of(url).removesuffix('.deb')}.{envelope.NAME}"
    try:
        _fetch(url, envelope.NAME, path, envelope.LIMIT)
    except FetchError as e:
        if web.not_there(e):
            raise NotVerified(
                f"there are no signed statements about {url}",
                details=e.details,
                hint="the repository may be of an older respin, or not be one of respin",
            ) from e
        raise
    return path


def package(url: Address, place: Path) -> Path:
    """Fetch the package at an address into ``place``; return its path. Raises FetchError."""
    path = place / name_of(url)
    web.Client(url).download(str(url), path, limit=manifest.LARGEST)
    return path


def lock(url: Address, place: Path) -> Path:
    """Fetch the lock beside the package at an address; return its path. Raises FetchError."""
    path = place / f"{name_of(url).removesuffix('.deb')}.{lockfile.NAME}"
    _fetch(url, lockfile.NAME, path, lockfile_reader.LIMIT)
    return path


def own(url: Address, proof: Proof, place: Path) -> None:
    """Fetch the user's own patches and fixes of the run that made the package at an address.

    They lie beside its lock. Raises NotVerified if one is not there, or is not what was signed.
    """
    signed = proof.subjects(statements_of.RUN)
    for name in lockfile.own_names(signed):
        path = place / f"{name_of(url).removesuffix('.deb')}.{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _fetch(url, quote(name), path, bounded.SMALL)
        except FetchError as e:
            if web.not_there(e):
                raise NotVerified(
                    f"the repository does not have {name}, which the run was made with",
                    details=e.details,
                    hint="an older respin published it: get the directory of the run, and verify "
                    "that",
                ) from e
            raise
        if file_sha256(path) != signed[name]:
            raise NotVerified(f"{beside(url, name)} is not what the run had", hint=envelope.HINT)


def beside(url: Address, name: str) -> str:
    """Return the address of a file of the run that is beside a package."""
    return f"{str(url).removesuffix('.deb')}.{name}"


def _fetch(url: Address, name: str, path: Path, limit: int) -> None:
    web.Client(url).download(beside(url, name), path, limit=limit)
