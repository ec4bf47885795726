# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Decides whether to believe a signed index: is it the requested one, and not an old one?

A signature says that somebody once made the index, not for which suite it is served, nor when.
Both callers ask here: the nightly watch (signedindex.py) and apt's downloads (privateroot.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from pipeline.archives.memory import Memory, SeenIndex, lower
from pipeline.archives.release import SignedRelease, Stated
from pipeline.errors import FetchError
from pipeline.model import AptSource

BEHIND = timedelta(days=2)
"""How much older an index may be than one seen before: the mirrors behind one name are not all
of the same hour. (apt keeps the newer of the two, however old the other is.)"""

GRACE = timedelta(days=7)
"""How much older a pocket may be than the release: they are not signed in the same hour."""

AHEAD = timedelta(hours=1)
"""How far in the future a date may be: clocks differ."""

CLOCK = "check this machine's clock; if it is right, use another mirror (--mirror)"

MIRROR = "use another mirror (--mirror): this one is behind, or somebody replays an old index"


def check_name(release: SignedRelease) -> None:
    """Raise FetchError if an index is not that of the requested suite."""
    if not _is(release.stated, release.suite):
        said = release.stated
        raise FetchError(
            f"{release} belongs to another release",
            details=f"its Suite is {said.suite or 'not given'} and its Codename "
            f"{said.codename or 'not given'}; respin asked for {release.suite}",
            hint="use another mirror (--mirror): this one has no such suite, or somebody replays "
            "another index",
        )


def check_date(release: SignedRelease, now: datetime) -> None:
    """Raise FetchError if an index is dated in the future."""
    made = release.stated.date
    if made > now + AHEAD:
        raise FetchError(
            f"{release} is dated in the future by this machine's clock",
            details=f"its date is {made:%F %T} UTC, and the clock says {now:%F %T} UTC",
            hint=f"{CLOCK}: nobody can have signed this one yet",
        )


def expired(index: str, until: datetime | None, now: datetime) -> FetchError | None:
    """Return the error if an index that is not frozen was only valid ``until`` then."""
    if until is None or until >= now:
        return None
    return FetchError(
        f"{index} has expired by this machine's clock",
        details=f"it was valid until {until:%F %T} UTC, and the clock says {now:%F %T} UTC",
        hint=f"{CLOCK}: this one is stale",
    )


def _is(said: Stated, asked: str) -> bool:
    """Tell whether an index says that it is the requested one.

    Its Codename (``bookworm-updates``) or its Suite (``stable-updates``) has to match, as in apt.
    Ubuntu's pockets have the release's Codename, so there the Suite decides. Up to Debian 10, the
    security archive is requested as ``buster/updates`` and says ``buster``, as the release itself
    does; its Label tells them apart.
    """
    if said.codename and said.suite.startswith(f"{said.codename}-"):
        return asked == said.suite
    names = {said.codename, said.suite} - {""}
    release, slash, _ = asked.rpartition("/")
    if not slash or asked in names:
        return asked in names
    return release in names and (said.origin != "Debian" or said.label == "Debian-Security")


def hold(
    release: SignedRelease,
    source: AptSource,
    before: Sequence[SeenIndex | None],
    now: datetime,
    *,
    forget: str = "",
) -> SeenIndex | None:
    """Check an index against what was requested, and against what was seen of it ``before``.

    Returns the newest index that was seen if that is newer: the mirror is merely behind. ``forget``
    says how to forget what was seen. Raises FetchError if the index is another's, is from the
    future, is older than its release, or is older by more than BEHIND than what was seen.
    """
    check_name(release)
    check_date(release, now)
    made = release.stated.date
    if source.since and not source.frozen and made < _day(source.since) - GRACE:
        raise FetchError(
            f"{release} is older than the release itself",
            details=f"its date is {made:%F %T} UTC; the release appeared on {source.since}",
            hint=MIRROR,
        )
    seen = max((s for s in before if s), key=lambda s: s.date, default=None)
    if seen is None:
        return None
    if seen.codename != release.stated.codename:
        raise FetchError(
            f"{release} belongs to another release",
            details=f"its Codename is {release.stated.codename!r}, but was {seen.codename!r} "
            "before",
            hint="somebody may be replaying another index; if the archive was rebuilt from "
            f"scratch, {forget}",
        )
    if made < seen.date - BEHIND:
        raise FetchError(
            f"{release} went back in time",
            details=f"its date is {made:%F %T} UTC, but was {seen.date:%F %T} UTC before",
            hint=f"{MIRROR}; or, if the archive was rebuilt from scratch, {forget}",
        )
    return seen if made < seen.date else None


def hold_version(
    place: tuple[str, str], newer: SeenIndex | None, package: str, version: str | None
) -> None:
    """Raise FetchError if an index that is behind lists a lower version than was seen.

    ``place`` is its site and suite, ``newer`` what ``hold`` returned. An index that is newer than
    all that were seen may list a lower one: then the distro has withdrawn a version.
    """
    seen = newer.versions.get(package) if newer else None
    if newer and seen and lower(version, seen):
        site, suite = place
        raise FetchError(
            f"the index of {suite} at {site} is out of date: it has {package} "
            f"{version or '(not at all)'}, but it had {seen} before",
            details=f"respin has seen an index of {newer.date:%F %T} UTC, and this one is older",
            hint="try again later, or use another mirror (--mirror)",
        )


@dataclass(frozen=True, kw_only=True)
class Dated:
    """One of the indexes of a release."""

    source: AptSource
    suite: str
    date: datetime


def check_order(indexes: Sequence[Dated], release: str) -> None:
    """Raise FetchError if a pocket's index is older than that of the ``release``, a suite.

    This holds only where the distro signs pockets again at least whenever it signs the release.
    """
    ours = [i for i in indexes if i.source.ordered and not i.source.frozen]
    first = max((i.date for i in ours if i.suite == release), default=None)
    for each in ours if first else ():
        assert first
        if each.suite != release and each.date < first - GRACE:
            raise FetchError(
                f"the index of {each.suite} at {each.source.uri} is older than that of {release}",
                details=f"its date is {each.date:%F %T} UTC, and that of the release is "
                f"{first:%F %T} UTC",
                hint=MIRROR,
            )


def note(memory: Memory, source: AptSource, release: SignedRelease, **versions: str) -> None:
    """Remember an index that was believed."""
    stated = release.stated
    new = SeenIndex(codename=stated.codename, date=stated.date, versions=versions)
    memory.note(source, release.suite, new)


def gone(source: AptSource, suite: str, seen: SeenIndex) -> FetchError:
    """Return the error for a suite that was there before and is missing now."""
    return FetchError(
        f"{suite} no longer exists at {source.uri}",
        details=f"respin has seen its index of {seen.date:%F %T} UTC there",
        hint="use another mirror (--mirror); or, if the distro has removed it, choose the "
        "remaining pockets (--pocket, or pockets in respin.toml)",
    )


def _day(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
