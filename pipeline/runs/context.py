# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the stages of one run share: the request, the directories, and the clock."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.host import temporary
from pipeline.host.progress import Journal, Progress, Stage
from pipeline.isolation import scratch
from pipeline.runs import sealed
from pipeline.runs.directory import RunDirectory
from pipeline.runs.request import Request


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What the stages of one run share."""

    request: Request
    directory: RunDirectory
    progress: Progress
    scratch: Path
    """A directory for what does not become part of the run's directory."""
    begun: str
    """When the run began: YYYYMMDDTHHMMSSZ."""

    def note_changed(self, stage: Stage) -> None:
        """Say what in the cache has been changed since it was made."""
        changed = self.request.cache.changed
        while changed:
            stage.note(f"{changed.pop()} has changed since it was made, so it is made again")


@contextmanager
def begin(
    request: Request, directory: RunDirectory, journal: Journal | None
) -> Iterator[RunContext]:
    """Yield the context of a run; its scratch directory exists until the block ends.

    First remove what killed processes left in the cache and among the temporary files.
    """
    scratch.sweep(request.cache)
    temporary.sweep()
    place = directory.path / ".work"
    place.mkdir()
    begun = datetime.now(UTC)
    directory.seal = functools.partial(
        sealed.seal, fixes=request.applied, signer=request.signer, begun=begun
    )
    yield RunContext(
        request=request,
        directory=directory,
        progress=Progress(journal),
        scratch=place,
        begun=begun.strftime("%Y%m%dT%H%M%SZ"),
    )
    shutil.rmtree(place)
