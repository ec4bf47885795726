# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The releases, and where their pockets and keyrings are.

Names come from distro-info-data, mirrors from this machine's apt configuration or else from
debootstrap, and keys from the distros' keyring packages: the distro keeps all of this data up to
date. respin.toml adds releases of the user's own.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Sequence
from datetime import date
from enum import StrEnum
from functools import cache
from pathlib import Path

from pipeline.archives import auth_file, host_apt
from pipeline.config import distros
from pipeline.config.config import Config, Derivative
from pipeline.errors import UsageError
from pipeline.files import os_release
from pipeline.model import AptSource, Release
from pipeline.releases import distroinfo, mirrors
from pipeline.releases.distroinfo import Support
from pipeline.text.address import Address

NO_CONFIG = Config()


class Pocket(StrEnum):
    """The parts of a release; the first is always read, since the others depend on it."""

    RELEASE = "release"
    UPDATES = "updates"
    SECURITY = "security"
    BACKPORTS = "backports"


USUAL = (Pocket.RELEASE, Pocket.UPDATES, Pocket.SECURITY)


@cache
def known() -> tuple[Release, ...]:
    """Return every release of Debian and Ubuntu in distro-info-data, oldest first.

    Raises UsageError if that package is missing.
    """
    return tuple(each.release for each in distroinfo.known())


def find(
    name: str | None, *, machine: Path = os_release.PATH, config: Config = NO_CONFIG
) -> Release:
    """Return the release called ``name``: ``bookworm``, ``12``, ``debian:12``, ``ubuntu 22.04``.

    It may also be one that ``config`` describes. None means this machine's release, whose
    os-release(5) is ``machine``. A number that both distros have used needs the distro's name.
    Raises UsageError for an unknown release, with similar names.
    """
    if name is None:
        return _this_machine(machine)
    if name in config.releases:
        return _described(config.releases[name])
    wanted = name.strip().lower()
    distro, _, rest = wanted.replace(":", " ", 1).partition(" ")
    if not rest.strip():
        distro, rest = "", wanted
    rest = rest.strip()
    found = [
        r for r in known() if distro in ("", r.distro) and rest and rest in (r.codename, r.version)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        names = " or ".join(f"{r.distro}:{r.version} ({r.codename})" for r in found)
        raise UsageError(f"release {name!r} is ambiguous", hint=f"use {names}")
    elsewhere = [r for r in known() if rest in (r.codename, r.version)]
    if elsewhere and distro:
        raise UsageError(
            f"{distro} has no release {rest!r}, but {elsewhere[0].distro} does",
            hint=f"use {elsewhere[0].distro}:{elsewhere[0].codename}",
        )
    shown = name if len(name) <= 60 else f"{name[:60]}…"
    raise UsageError(f"there is no release named {shown!r}", hint=_near(rest[:60], config))


def _near(name: str, config: Config) -> str:
    names = [n for r in known() for n in (r.codename, r.version) if n] + list(config.releases)
    near = list(dict.fromkeys(difflib.get_close_matches(name, names, n=3, cutoff=0.6)))
    if near:
        return f"did you mean {' or '.join(near)}?"
    latest = [r.codename for d in distros.ALL for r in known() if r.distro == d and r.version]
    return f"give a codename or a number, such as {latest[-1]}, bookworm or ubuntu:22.04"


def _this_machine(path: Path) -> Release:
    try:
        fields = os_release.read(path)
    except OSError as e:
        raise UsageError(f"{path}: {e.strerror}", hint="choose a release with --release") from e
    distro, codename = fields.get("ID", ""), fields.get("VERSION_CODENAME", "")
    for release in known():
        if (release.distro, release.codename) == (distro, codename):
            return release
    what = fields.get("PRETTY_NAME") or distro or "an unnamed system"
    raise UsageError(
        f"this machine runs {what}, which is not a release of Debian or Ubuntu",
        hint="choose a release with --release",
    )


def _described(it: Derivative) -> Release:
    """Return a release that respin.toml describes: its base with a name of its own."""
    own = [r for r in known() if r.codename == it.name]
    if it.base == "" and not own:
        raise UsageError(
            f"[release.{it.name}] has no base",
            hint='set the release that it is made from, such as base = "bookworm"',
        )
    if not it.uris and not own:
        raise UsageError(
            f"[release.{it.name}] has no uris", hint="set the archive that has this release"
        )
    base = find(it.base) if it.base else own[0]
    return dataclasses.replace(base, codename=it.name, kernel=it.kernel, suffix=it.suffix)


def keyring_for(release: Release) -> Path:
    """Return the distro's archive keyring. Raises UsageError with the package to install."""
    distro = distros.of(release)
    if not distro.keyring.exists():
        raise UsageError(
            f"this machine does not have the keys of {release.distro}'s archive: {distro.keyring}",
            hint=f"run apt-get install {distro.keyring_package}, or give a keyring with --keyring "
            "FILE",
        )
    return distro.keyring


def retired_keys(release: Release) -> tuple[Path, ...]:
    """Return the keyrings with the distro's retired keys, if this machine has them."""
    path = distros.of(release).retired_keys
    return (path,) if path.exists() else ()


def suite(release: Release, pocket: Pocket) -> str:
    """Return the suite of a pocket."""
    if pocket is Pocket.RELEASE:
        return release.codename
    if pocket is Pocket.SECURITY:
        return distros.of(release).security_suite(release)
    return f"{release.codename}-{pocket}"


def sources(
    release: Release,
    *,
    mirror: str | None = None,
    keyring: Path | None = None,
    pockets: Sequence[Pocket] = USUAL,
    config: Config = NO_CONFIG,
    on: date | None = None,
    etc: Path = host_apt.ETC,
    lists: Path = host_apt.LISTS,
    architecture: str = "",
) -> tuple[AptSource, ...]:
    """Return the archives of a release's ``pockets``, always including the release itself.

    They are those that serve ``architecture`` (default: this machine's).
    The archive is ``mirror``, or what respin.toml says, or what this machine's apt uses for that
    distro, or the distro's default. With ``mirror`` every pocket is looked for there, and Debian's
    security pocket also beside it (``…/debian`` → ``…/debian-security``); apt's update finds out
    which exist. If the distro no longer supports the release ``on`` a day (default: today), its
    archive of old releases follows, for suites that the others lack. ``keyring`` replaces the
    distro's; ``etc`` and ``lists`` are the directories of the machine's apt. The addresses have the
    credentials of the release's ``auth-file``. Raises UsageError if there is no keyring or no known
    mirror, or if that file cannot be used.
    """
    described = config.releases.get(release.codename, Derivative(name=release.codename))
    keys = keyring or described.keyring or keyring_for(release)
    components = described.components or distros.of(release).components
    today = on or date.today()
    since, ordered = (None, False) if described.base else _dates(release, today)
    if described.uris and mirror is None:
        own = (
            AptSource(
                uri=uri,
                suites=described.suites or suites_of(release, pockets),
                components=components,
                keyring=keys,
                frozen=described.frozen,
                since=since,
                ordered=ordered,
            )
            for uri in described.uris
        )
        return _with_logins(own, described)
    stanzas = [
        AptSource(
            uri=uri,
            suites=suites,
            components=components,
            keyring=keys,
            since=since,
            ordered=ordered,
        )
        for uri, suites in _places(release, mirror, keys, pockets, etc, lists, architecture)
        if suites
    ]
    if mirror is None:
        stanzas += _old(release, keys, pockets, config, today)
    return _with_logins(stanzas, described)


def _with_logins(sources: Iterable[AptSource], described: Derivative) -> tuple[AptSource, ...]:
    """Return the sources with the credentials that the release's auth-file has for them."""
    given = tuple(sources)
    if described.auth_file is None:
        return given
    found = auth_file.add(described.auth_file, [source.uri for source in given])
    if not any(address.credentials for address in found.values()):
        raise UsageError(
            f"{described.auth_file} has no login for any archive of {described.name}: "
            f"{', '.join(found)}",
            hint="name the machine as apt_auth.conf(5) says; for plain HTTP with http:// before it",
        )
    return tuple(dataclasses.replace(source, uri=found[source.uri]) for source in given)


def _dates(release: Release, on: date) -> tuple[date | None, bool]:
    """Return the day of a release, if it is past, and whether all its pockets are signed again.

    While a distro supports a release, it signs the updates and security pockets more often than the
    release itself; later it may sign the release once more, when it moves.
    """
    found = distroinfo.find(release)
    if found is None or found.released is None or found.released > on:
        return None, False
    return found.released, found.support(on) in (Support.SUPPORTED, Support.LTS)


def suites_of(release: Release, pockets: Sequence[Pocket]) -> tuple[str, ...]:
    """Return the suites of a release's pockets, including that of the release itself."""
    if release.codename == "sid":  # sid has no pockets: uploads go straight to it
        return ("sid",)
    wanted = [p for p in Pocket if p in pockets or p is Pocket.RELEASE]
    return tuple(suite(release, p) for p in wanted)


def _places(
    release: Release,
    mirror: str | None,
    keys: Path,
    pockets: Sequence[Pocket],
    etc: Path,
    lists: Path,
    architecture: str,
) -> list[tuple[Address, tuple[str, ...]]]:
    """Return the archives of the pockets, each with its suites."""
    suites, apart = suites_of(release, pockets), suite(release, Pocket.SECURITY)
    if mirror is not None:
        base, security = mirrors.siblings(mirror, release)
    else:
        base, security = mirrors.of_this_machine(release, keys, etc, lists, architecture)
        if not base or (apart in suites and not security):
            usual = mirrors.default(release, architecture=architecture)
            base, security = base or usual[0], security or usual[1]
    if security == base or apart not in suites:
        return [(base, suites)]
    here = suites if mirror is not None else tuple(s for s in suites if s != apart)
    return [(base, here), (security, (apart,))]


def _old(
    release: Release, keys: Path, pockets: Sequence[Pocket], config: Config, on: date
) -> list[AptSource]:
    """Return the distro's frozen archives of old releases, for an unsupported release."""
    living = (Support.DEVELOPMENT, Support.SUPPORTED, Support.LTS)
    if distroinfo.support(release, on) in living:
        return []
    suites, security = suites_of(release, pockets), suite(release, Pocket.SECURITY)
    main, apart = distros.of(release).old(config.archives)
    if main == apart:
        places = [(main, suites)]
    else:
        places = [(main, tuple(s for s in suites if s != security))]
        places += [(apart, (security,))] if security in suites else []
    return [
        AptSource(
            uri=uri,
            suites=names,
            components=distros.of(release).components,
            keyring=keys,
            also=retired_keys(release),
            frozen=True,
            fallback=True,
        )
        for uri, names in places
        if uri and names
    ]
