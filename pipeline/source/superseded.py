# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Which archive keeps what a release once had: superseded sources and packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from pipeline.archives.apt import AptArchive
from pipeline.archives.history import History, Service
from pipeline.archives.launchpad import Launchpad
from pipeline.archives.snapshot import Snapshot
from pipeline.archives.web import Client
from pipeline.config import distros
from pipeline.config.config import Config
from pipeline.errors import UsageError
from pipeline.host.cache import Cache
from pipeline.model import AptSource, Release
from pipeline.releases import releases
from pipeline.releases.releases import Pocket
from pipeline.source import fetch

NOBODY: Mapping[str, str] = MappingProxyType({})


def history(
    release: Release,
    cache: Cache,
    config: Config,
    accepted: Mapping[str, str] = NOBODY,
    keyring: Path | None = None,
) -> History | None:
    """Return the archive that keeps a release's superseded versions, or None.

    None for a derivative, and if respin.toml disables it. A release whose mirror respin.toml names
    is not a derivative. ``accepted`` maps the SHA-256 of .dsc files to a text that says who vouches
    for each; ``keyring`` replaces the distro's. Raises UsageError if the distro's keys are not on
    this machine.
    """
    distro = distros.of(release)
    url = distro.history(config.archives)
    if not url or _derived(release, config):
        return None
    keys = _keys(release, config, keyring) if distro.signed_history else ()
    service = Service(
        url=url,
        client=Client(url),
        cache=cache,
        keyrings=keys,
        uploaders=fetch.UPLOADERS,
        accepted=accepted,
    )
    return Snapshot(release, service) if distro.signed_history else Launchpad(release, service)


def then(
    time: str,
    beside: AptArchive,
    cache: Cache,
    config: Config,
    *,
    pockets: Sequence[Pocket],
    keyring: Path | None = None,
    log: Path | None = None,
) -> AptArchive | None:
    """Return an archive of what a Debian release has now, ``beside``, and what it had at ``time``.

    The past state is what snapshot.debian.org keeps (``/archive/ARCHIVE/YYYYMMDDTHHMMSSZ/``); it
    never changes, so its Valid-Until does not count. None for other distros, for a derivative, and
    if respin.toml disables the snapshot.
    """
    kept = _snapshot(time, beside.release, config, pockets, keyring)
    if not kept:
        return None
    return AptArchive(
        beside.release,
        (*beside.sources, *kept),
        cache,
        log=log,
        architecture=beside.architecture,
        foreign=beside.foreign,
        offline=beside.offline,
    )


def sources_at(
    time: str,
    release: Release,
    config: Config,
    *,
    pockets: Sequence[Pocket],
    keyring: Path | None = None,
) -> tuple[AptSource, ...]:
    """Return what a Debian release had at ``time``, and nothing later, as ``then`` describes it.

    Raises UsageError if no archive of that time is known.
    """
    kept = _snapshot(time, release, config, pockets, keyring)
    if not kept:
        raise UsageError(
            f"no archive is known that has {release.codename} as it was at {time}",
            hint="--at works for Debian's own releases, if snapshot under [archives] in "
            "respin.toml is not switched off",
        )
    return kept


def _snapshot(
    time: str,
    release: Release,
    config: Config,
    pockets: Sequence[Pocket],
    keyring: Path | None,
) -> tuple[AptSource, ...]:
    """Return snapshot's archives of a release at a time; none if there are none."""
    url = config.archives.snapshot
    if not distros.of(release).signed_history or not url or _derived(release, config):
        return ()
    own, *retired = _keys(release, config, keyring)
    apart = releases.suite(release, Pocket.SECURITY)
    suites = releases.suites_of(release, pockets)
    places = {
        "debian": tuple(s for s in suites if s != apart),
        "debian-security": tuple(s for s in suites if s == apart),
    }
    return tuple(
        AptSource(
            uri=url / f"archive/{archive}/{time}",
            suites=names,
            components=("main",),
            keyring=own,
            also=tuple(retired),
            frozen=True,
        )
        for archive, names in places.items()
        if names
    )


def _derived(release: Release, config: Config) -> bool:
    described = config.releases.get(release.codename)
    return bool(described and described.base and described.uris)


def _keys(release: Release, config: Config, keyring: Path | None) -> tuple[Path, ...]:
    """Return the keyrings of the distro's archive, including those with retired keys."""
    described = config.releases.get(release.codename)
    own = keyring or (described and described.keyring) or releases.keyring_for(release)
    return own, *releases.retired_keys(release)
