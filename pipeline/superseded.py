"""Which archive keeps the superseded versions of a release."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pipeline import fetch, releases
from pipeline.archives.history import History, Service
from pipeline.archives.launchpad import Launchpad
from pipeline.archives.snapshot import Snapshot
from pipeline.archives.web import Client
from pipeline.cache import Cache
from pipeline.config import Config
from pipeline.model import Release


def history(
    release: Release,
    cache: Cache,
    config: Config,
    accepted: Collection[str] = (),
    keyring: Path | None = None,
) -> History | None:
    """Return the archive that keeps a release's superseded versions, or None.

    None for a derivative, and where respin.toml names none. A mirror of the distro's own
    release that respin.toml names makes no derivative of it. ``accepted`` are the SHA-256 of
    .dsc files that the user vouches for, ``keyring`` replaces the distro's own. Raises
    UsageError if the distro's keys are not on this machine.
    """
    described = config.releases.get(release.codename)
    url = config.archives.launchpad if release.distro == "ubuntu" else config.archives.snapshot
    if not url or (described and described.base and described.uris):
        return None
    keys: tuple[Path, ...] = ()
    if release.distro != "ubuntu":  # Launchpad has no signed index
        own = keyring or (described and described.keyring) or releases.keyring_for(release)
        keys = (own, *releases.retired_keys(release))
    service = Service(
        url=url,
        client=Client(),
        cache=cache,
        keyrings=keys,
        uploaders=fetch.UPLOADERS,
        accepted=frozenset(accepted),
    )
    return Launchpad(release, service) if release.distro == "ubuntu" else Snapshot(release, service)
