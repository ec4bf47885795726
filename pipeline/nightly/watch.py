# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stage watch: what the distros have tonight, all releases at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from pipeline.archives import belief
from pipeline.archives.belief import Dated
from pipeline.archives.conditional import AT_ONCE, Mirror
from pipeline.archives.memory import Memory
from pipeline.archives.signedindex import Reader, Sighting, SuiteIndex
from pipeline.errors import FetchError, RespinError
from pipeline.model import AptSource
from pipeline.nightly.targets import Target

Key = tuple[str, str]
"""An archive's address, and a suite."""


@dataclass(frozen=True, kw_only=True)
class TargetView:
    """The versions of the package for one target; after an error, only the error."""

    target: Target
    indexes: tuple[SuiteIndex, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    error: RespinError | None = None


def watch(
    targets: Sequence[Target],
    sources: Callable[[Target], Sequence[AptSource]],
    known: Mapping[Key, SuiteIndex],
    *,
    package: str,
    now: datetime,
    memory: Memory | None = None,
) -> tuple[TargetView, ...]:
    """Read the signed indexes of all targets' archives, conditionally; return a view of each.

    ``sources`` gives a target's archives, ``memory`` is the cache's. An error of one archive is in
    its target's view and affects no other.
    """
    places: dict[Target, list[tuple[AptSource, str]]] = {}
    views: dict[Target, TargetView] = {}
    for target in targets:
        try:
            places[target] = [(s, suite) for s in sources(target) for suite in s.suites]
        except RespinError as e:
            views[target] = TargetView(target=target, error=e)
    wanted = {place for each in places.values() for place in each}
    with contextlib.ExitStack() as stack:
        # Each archive has threads of its own, so that a slow one does not hold up the others.
        asked: dict[str, tuple[Mirror, ThreadPoolExecutor]] = {}
        reads: dict[tuple[AptSource, str], Future[SuiteIndex | None]] = {}
        for source, suite in wanted:
            if source.uri not in asked:
                threads = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
                asked[source.uri] = Mirror(), threads
            mirror, threads = asked[source.uri]
            reader = Reader(mirror, source, package, now, memory)
            reads[source, suite] = threads.submit(
                reader.read, suite, known.get((source.uri, suite))
            )
        try:
            futures.wait(reads.values())
        except BaseException:  # Ctrl-C must not wait for a slow archive
            for mirror, _ in asked.values():
                mirror.stop()
            raise
    for target, each in places.items():
        try:
            read = [(place, reads[place].result()) for place in each]
            views[target] = _view(target, read)
        except RespinError as e:
            views[target] = TargetView(target=target, error=e)
    return tuple(views[target] for target in targets)


def _view(
    target: Target, read: Sequence[tuple[tuple[AptSource, str], SuiteIndex | None]]
) -> TargetView:
    (first, release), _ = read[0]
    had: set[str] = set()
    indexes, dated = [], []
    for (source, suite), index in sorted(read, key=lambda each: each[0][0].fallback):
        if index is not None and not (source.fallback and suite in had):
            had.add(suite)
            indexes.append(index)
            dated.append(Dated(source=source, suite=suite, date=index.date))
    belief.check_order(dated, release)
    if release not in had:
        raise FetchError(
            f"{first.uri} has no suite {release}", hint="check the release and its mirror"
        )
    found = dict.fromkeys(
        s for index in indexes for s in index.sightings if target.follows(s.suite)
    )
    return TargetView(target=target, indexes=tuple(indexes), sightings=tuple(found))
