# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Judges the indexes that apt has just refused, by the bytes that the archives sent.

Which program apt asks about a signature, what that accepts and how it says so differ from one
release of apt to the next (docs/facts.md). So apt only says that something is wrong; what is wrong
says the same check on every machine: gpgv's answer (openpgp.py), then the dates and the name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.archives import belief, host_apt
from pipeline.archives.release import SignedRelease
from pipeline.errors import FetchError
from pipeline.files import bounded
from pipeline.model import AptSource

PARTIAL = "partial"
"""The directory in apt's lists in which it leaves what it refuses, if need be as NAME.FAILED."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What was found of indexes that are as they should be, except for these."""

    expired: Mapping[tuple[str, str], FetchError]
    """Site and suite of each index that has expired, and the error that says so."""
    expired_keys: bool
    """The index of a frozen archive is signed by keys that have expired since."""


def forget(lists: Path) -> None:
    """Remove what an earlier update left of indexes in apt's ``lists``: it would be judged anew."""
    # Whoever took over apt may have put links here; none is followed.
    for directory, _, files, at in os.fwalk(lists):
        if directory == str(lists / PARTIAL):
            for name in files:
                if name.removesuffix(".FAILED").endswith(("Release", "Release.gpg")):
                    os.unlink(name, dir_fd=at)


def judge(
    lists: Path, sources: Sequence[AptSource], failed: FetchError, now: datetime, *, kept: bool
) -> Judged:
    """Judge each index that came and that apt did not take from its partial ``lists``.

    Where none came, the archive may have said that the one in ``lists`` is still its own; with
    ``kept``, that one is judged. Raises FetchError, with what apt said (``failed``) among its
    details, if one is not signed as it has to be, belongs to another release, or is dated in the
    future.
    """
    expired = {}
    keys = False
    for source in sources:
        for suite in source.suites:
            site = source.uri.rstrip("/")
            sent = _sent(lists / PARTIAL, source.uri, suite)
            if sent is None and kept:
                sent = _sent(lists, source.uri, suite)
            if sent is None:
                continue  # nothing came; apt says why
            try:
                release = SignedRelease(
                    sent[0],
                    suite=suite,
                    site=site,
                    keyrings=(source.keyring,),
                    frozen=source.frozen,
                    detached=sent[1],
                )
                belief.check_name(release)
                belief.check_date(release, now)
            except FetchError as e:
                raise _with(e, failed) from None
            until = None if source.frozen else release.stated.valid_until
            stale = belief.expired(str(release), until, now)
            if stale:
                expired[site, suite] = _with(stale, failed)
            keys |= bool(release.expired)
    return Judged(expired=expired, expired_keys=keys)


def _with(error: FetchError, failed: FetchError) -> FetchError:
    """Return our error, and after its own details what apt said."""
    details = "\n".join(filter(None, (error.details, failed.details)))
    return FetchError(error.brief, details=details, hint=error.hint)


def _sent(directory: Path, uri: str, suite: str) -> tuple[bytes, bytes | None] | None:
    """Return the InRelease that came, or the Release and its signature; None if neither came."""
    inline = _read(directory, uri, suite, "InRelease")
    if inline is not None:
        return inline, None
    release = _read(directory, uri, suite, "Release")
    return None if release is None else (release, _read(directory, uri, suite, "Release.gpg"))


def _read(directory: Path, uri: str, suite: str, name: str) -> bytes | None:
    for end in ("", ".FAILED"):
        path = directory / f"{host_apt.list_name(uri, suite, name)}{end}"
        try:
            return bounded.read(path, bounded.LARGE, follow=False)
        except FileNotFoundError:
            continue
        except OSError as e:
            raise FetchError(
                f"the index of {suite} at {uri} could not be read",
                details=f"{path}: {e.strerror}",
                hint="use another mirror (--mirror)",
            ) from e
    return None
