# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Turn the player's reports into the smoke matrix. The only side effect is to read the objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.errors import TestbedLost, UsageError
from pipeline.model import CaseResult, Cell, Seen
from pipeline.smoke import bpf_object, limits
from pipeline.smoke.cases import loader_of
from pipeline.smoke.loader_limit import Target
from pipeline.smoke.matrix import Row
from pipeline.smoke.player_script import step_id
from pipeline.smoke.verdict import Said, Tc, engine, judge, said_of
from pipeline.vm.results import Transcript

TITLES = 400
"""Lines of an object's description that a report keeps; 65 maps give 150."""


def tc_of(
    transcript: Transcript,
    phase: str,
    version: str,
    *,
    ours: bool,
    lacks: frozenset[str] | None = None,
    about: frozenset[str] | None = None,
) -> Tc:
    """Return a package's tc, with the loader that ``cases.loader_of`` finds.

    Raises TestbedLost if the player did not get far enough to ask for its version.
    """
    said = transcript.ran.get(f"{phase}:version")
    if said is None:
        raise TestbedLost(
            f"the guest did not report on the tc {phase}, so nothing is proven",
            hint="read the log of the guest's console",
        )
    loader = loader_of(engine(said.output), version, ours=ours, lacks=lacks, about=about)
    return Tc(text=said.output.strip(), version=version, loader=loader)


def case_results(
    rows: Sequence[Row],
    tcs: Mapping[str, Tc],
    transcript: Transcript,
    *,
    turned: Mapping[str, Sequence[str]],
    keeps: bool = False,
    lost: Mapping[str, str],
    little: bool,
) -> tuple[CaseResult, ...]:
    """Return the rows of the matrix with their results.

    ``tcs`` has one package, or the one before and the one after. ``turned`` are the cases that the
    needed fixes turn, with patterns for a refusal without the fix; with ``keeps``, the package
    after must load what the one before loads, and is not judged otherwise; ``lost`` are the rows in
    which the guest crashed, with the end of the console's output; ``little`` says whether the
    machine's numbers are little-endian. Raises TestbedLost if a row neither ran nor was lost.
    """
    phases = list(tcs)

    def cell(i: int, row: Row, phase: str, before: Cell | None = None) -> Cell:
        step = step_id(phase, i)
        said = said_of(row, step, transcript)
        if said is None and step in lost:
            said = Said(lost=lost[step])
        elif said is None and not row.missing:
            raise TestbedLost(
                f"nothing is proven: the player did not report on {row.case} ({row.way.name})",
                hint="read the log of the guest's console",
            )
        return judge(
            row,
            tcs[phase],
            said or Said(),
            # A package that is tested alone must do what its own loader can do.
            after=phase == phases[-1],
            symptoms=turned.get(row.case) if row.expect is not None else None,
            before=before.seen if before and keeps and row.expect is not None else None,
        )

    found = []
    for i, row in enumerate(rows):
        cells = [cell(i, row, phases[0])]
        cells += [cell(i, row, phase, cells[0]) for phase in phases[1:]]
        found.append(
            CaseResult(
                case=row.case,
                title=row.title,
                way=row.way.name,
                before=cells[0],
                after=cells[1] if len(cells) > 1 else None,
                object=_described(row),
                yours=row.expect is None,
                limits=_limits(row, cells[-1], tcs[phases[-1]], little=little),
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


def _limits(row: Row, cell: Cell, tc: Tc, *, little: bool) -> tuple[str, ...]:
    """Return why the user's own object was refused, and what can be done about it."""
    if row.expect is not None or cell.seen not in (Seen.REFUSED, Seen.NOT_POSSIBLE):
        return ()
    target = Target(
        loader=tc.loader.name,
        version=tc.version,
        section=row.section,
        kind=row.way.kind,
        little=little,
    )
    found = limits.causes(bpf_object.read(row.object), target, cell.output)
    return tuple(f"{limit.what}. {limit.remedy[0].upper()}{limit.remedy[1:]}." for limit in found)
