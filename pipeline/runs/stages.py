# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The stages of one run, composed: pipeline/run.py calls them in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.host.progress import Journal
from pipeline.runs import context
from pipeline.runs.building import Building
from pipeline.runs.comparing import Comparing
from pipeline.runs.directory import RunDirectory
from pipeline.runs.inputs import Inputs
from pipeline.runs.patching import Patching
from pipeline.runs.proving import Proving
from pipeline.runs.request import Request


@dataclass(frozen=True, kw_only=True)
class Stages:
    """The stages of one run."""

    request: Request
    inputs: Inputs
    patching: Patching
    building: Building
    comparing: Comparing
    proving: Proving
    scratch: Path
    """A directory for what does not become part of the run's directory."""
    timings: Mapping[str, float]
    """Seconds that each ended stage took, in the order in which they ended."""


@contextmanager
def begin(request: Request, directory: RunDirectory, journal: Journal | None) -> Iterator[Stages]:
    """Yield the stages of a run; at the end, remove what they hold besides its outcome."""
    with context.begin(request, directory, journal) as shared, ExitStack() as containers:
        inputs = Inputs(shared)
        building = Building(shared, inputs, containers)
        yield Stages(
            request=request,
            inputs=inputs,
            patching=Patching(shared, inputs),
            building=building,
            comparing=Comparing(shared, inputs, building),
            proving=Proving(shared, inputs),
            scratch=shared.scratch,
            timings=shared.progress.timings,
        )
