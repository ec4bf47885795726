# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The smoke cases that a fix of the user's own brings along.

Such a case is a C program in the fix's directory objects/. It gets what the objects of
templates/objects share, and its own text is compiled as it is, in the sandbox: the fix may have
come with somebody's run. While the fix is needed, it has to turn the cases under ``turns``;
otherwise they are shown, and not judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import SmokeImpossible, UsageError
from pipeline.files import bounded
from pipeline.fixes.fixes import Fix
from pipeline.fixes.own_fix import wrong
from pipeline.host.cache import Cache
from pipeline.model import Expect
from pipeline.smoke.cases import Case, Expected, all_cases, attach_types, loaders
from pipeline.smoke.compile import compile_cases
from pipeline.vm.machine import Machine

TEMPLATE = "own.c.j2"
"""In templates/objects: what these programs share, and then the program's own text."""
SIZE = 36
"""Bytes of struct bpf_elf_map from v4.13 on, for a trial."""
_PARAMETERS = {"maps": 0, "pin": "global", "type": "HASH"}


def of(fixes: Sequence[Fix]) -> tuple[Case, ...]:
    """Return the cases that fixes bring along. Raises UsageError if one is not sound."""
    taken = {case.name for case in all_cases()}
    found: list[Case] = []
    for fix in fixes:
        own = [case for each in fix.cases for case in _cases(fix, each, taken)]
        taken |= {case.name for case in own}
        for name in fix.turns:
            if name not in taken:
                raise wrong(fix.name, f"[smoke] turns: there is no smoke case {name}")
        found += own
    return tuple(found)


def _cases(fix: Fix, values: Mapping[str, Any], taken: set[str]) -> list[Case]:
    """Return a case with each of its attach types."""
    fields = dict(values)
    name = fields["name"]
    if name in taken:
        raise wrong(fix.name, f"there is already a smoke case {name}")
    text = bounded.text(fix.directory / "objects" / fields.pop("object"), bounded.SMALL)
    expected = Expected(what=Expect.ANY, reason=f"it is judged only while {fix.name} is needed")
    ways, verdict = fields.pop("ways"), fields.pop("verdict", "")
    unknown = [way for way in ways if way not in attach_types()]
    if unknown:
        raise wrong(
            fix.name,
            f"the smoke case {name}: there is no attach type {unknown[0]}",
            f"The attach types are {', '.join(attach_types())}.",
        )
    needs = tuple(fields.pop("needs", ()))
    return [
        Case(
            way=attach_types()[way],
            template=TEMPLATE,
            default=True,
            own=True,
            expect={loader.name: expected for loader in loaders()},
            parameters={**_PARAMETERS, "program": text},
            verdict=verdict or attach_types()[way].verdict,
            needs=(*needs, *attach_types()[way].needs),
            **fields,
        )
        for way in ways
    ]


def check(fixes: Sequence[Fix], machine: Machine, cache: Cache, log: Path) -> None:
    """Compile the objects of the fixes' own cases now, not after the build. Raises UsageError."""
    try:
        compile_cases(of(fixes), size=SIZE, machine=machine, cache=cache, log=log)
    except SmokeImpossible as e:
        raise UsageError(
            e.brief, details=e.details, hint="docs/fixes.md says what such an object may use"
        ) from e
