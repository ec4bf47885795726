# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""From all that the player said to the smoke matrix. Pure but for reading the objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.errors import TestbedLost, UsageError
from pipeline.model import CaseResult, Cell
from pipeline.smoke import bpf_object
from pipeline.smoke.cases import loader_of
from pipeline.smoke.matrix import Row
from pipeline.smoke.player_script import step_id
from pipeline.smoke.verdict import Said, Tc, engine, judge, said_of
from pipeline.vm.results import Transcript

TITLES = 400
"""Lines of an object's description that a report keeps: 65 maps make 150."""


def tc_of(
    transcript: Transcript,
    phase: str,
    version: str,
    *,
    ours: bool,
    lacks: frozenset[str] | None = None,
) -> Tc:
    """Return a package's tc, as ``cases.loader_of`` finds its loader.

    Raises TestbedLost if the player did not come as far as to ask it.
    """
    said = transcript.ran.get(f"{phase}:version")
    if said is None:
        raise TestbedLost(f"nothing is known of the tc {phase}", hint="Nothing is proven.")
    loader = loader_of(engine(said.output), version, ours=ours, lacks=lacks)
    return Tc(text=said.output.strip(), version=version, loader=loader)


def case_results(
    rows: Sequence[Row],
    tcs: Mapping[str, Tc],
    transcript: Transcript,
    *,
    turned: Mapping[str, Sequence[str]],
    lost: Mapping[str, str],
) -> tuple[CaseResult, ...]:
    """Return the rows of the matrix, judged.

    ``tcs`` has one package or two, the one before first. ``turned`` are the cases that the
    needed fixes turn, with patterns of what a refusal before them says; ``lost`` the rows in
    which the guest crashed, with the end of its console. Raises TestbedLost if a row was
    neither played nor lost.
    """
    phases = list(tcs)

    def cell(i: int, row: Row, phase: str) -> Cell:
        step = step_id(phase, i)
        said = said_of(row, step, transcript)
        if said is None and step in lost:
            said = Said(lost=lost[step])
        elif said is None and not row.missing:
            raise TestbedLost(
                f"the player ended without a word of {row.case} ({row.way.name})",
                hint="Nothing is proven.",
            )
        return judge(
            row,
            tcs[phase],
            said or Said(),
            # A package that is tested alone is held to what its own loader can do.
            after=phase == phases[-1],
            symptoms=turned.get(row.case) if row.expect is not None else None,
        )

    found = []
    for i, row in enumerate(rows):
        cells = [cell(i, row, phase) for phase in phases]
        found.append(
            CaseResult(
                case=row.case,
                title=row.title,
                way=row.way.name,
                before=cells[0],
                after=cells[1] if len(cells) > 1 else None,
                object=_described(row),
                yours=row.expect is None,
                limits=_limits(row),
            )
        )
    return tuple(found)


def _described(row: Row) -> str:
    if row.corpus:
        return f"{row.corpus} broken objects"
    try:
        lines = bpf_object.text(bpf_object.read(row.object)).splitlines()
    except UsageError as e:
        return e.brief
    return "\n".join(lines[:TITLES])


def _limits(row: Row) -> tuple[str, ...]:
    """For the user's own object: which limits it runs into, and what can be done."""
    if row.expect is not None:
        return ()
    found = bpf_object.limits(bpf_object.read(Path(row.object)), size=row.size)
    return tuple(f"{limit.what}. {limit.mend[0].upper()}{limit.mend[1:]}." for limit in found)
