# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The executor of ``respin nightly`` alone: it makes the runs that are due on this machine.

What it makes goes the same way as what workers deliver: a row of the state, a run's directory, and
the end of the row (runs.py). It is not checked as theirs is (collect.py): this process made it.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from concurrent import futures
from concurrent.futures import Future
from dataclasses import dataclass

from pipeline.errors import PublishError, RespinError
from pipeline.host import command
from pipeline.nightly.context import World
from pipeline.nightly.due import Due
from pipeline.nightly.runs import Runs, bug
from pipeline.nightly.state import RunRow
from pipeline.proof.envelope import Signer
from pipeline.runs.request import Request

CORES = 2
"""Processors that one run keeps busy: a compiler, and beside it the guest (docs/speed.md)."""
MEMORY = 2 << 30
"""Bytes for one run: it has taken up to 878 MiB (docs/speed.md), and the machine needs some."""


@dataclass(frozen=True, kw_only=True)
class IfPossible:
    """A signer that leaves statements unsigned if its key has expired, or is locked.

    A run takes longer than its signature: it is kept, and signed before it is published
    (nightly/offering.py), where such a key is a problem that is reported.
    """

    key: Signer

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The keys."""
        return self.key.fingerprints

    def signatures(self, texts: Sequence[bytes]) -> list[dict[str, bytes]]:
        """Return the signatures, or none."""
        try:
            return self.key.signatures(texts)
        except PublishError:
            return [{} for _ in texts]


def at_once() -> int:
    """Return how many runs this machine can make at once."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(len(os.sched_getaffinity(0)) // CORES, memory // MEMORY))


def make(
    world: World, runs: Runs, due: Sequence[Due], signer: Signer, jobs: int
) -> Iterator[RunRow]:
    """Make runs, ``jobs`` at once, and yield the row of each when it has ended.

    They begin in the order in which they are due. Only this thread writes into the state.
    """
    under_way: dict[Future[RespinError | None], RunRow] = {}
    with command.threads(jobs) as pool:
        for each in due:
            if len(under_way) >= jobs:
                yield from _ended(runs, under_way)
            run = runs.begin(each.step, each.target)
            if run is None:
                continue
            if run.ended is not None:
                yield run
                continue
            request = runs.request(run, each.target)
            request = dataclasses.replace(request, signer=IfPossible(key=signer))
            under_way[pool.submit(_run, world, request, run)] = run
        while under_way:
            yield from _ended(runs, under_way)


def _ended(runs: Runs, under_way: dict[Future[RespinError | None], RunRow]) -> Iterator[RunRow]:
    """Wait until a run has ended, and record it; yield the rows of those that have."""
    done, _ = futures.wait(under_way, return_when=futures.FIRST_COMPLETED)
    for each in done:
        yield runs.end(under_way.pop(each), each.result())


def _run(world: World, request: Request, run: RunRow) -> RespinError | None:
    """Make one run at its place; return the error that it ended with."""
    try:
        world.run(request, run.folder)
        return None
    except RespinError as e:
        return e
    except Exception as e:  # one release must not hold up the others
        return bug(e)
