# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The way off legacy maps: what ``respin object --as-btf`` prints, in place of the legacy maps.

Each case with legacy maps is compiled, its maps are printed as .maps, compiled into its own source
in place of the legacy ones, and loaded by the distro's own tc, which refuses the legacy form. It
has to count the same, with the same pins, with every attach type.
"""

from __future__ import annotations

import dataclasses
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import MappingProxyType

import pytest
from support import real

from pipeline.host.resources import render
from pipeline.model import Expect, Seen, SmokeReport
from pipeline.smoke import matrix, smoke
from pipeline.smoke.as_btf import source as source_of
from pipeline.smoke.bpf_object import read
from pipeline.smoke.cases import Case, Expected, Then, loaders, select
from pipeline.smoke.compile import compile_case, section_of
from pipeline.vm.machine import Machine

WITHOUT = {
    "broken-objects": "no object that is whole",
    "batch": "a thousand times pinned-hash",
    "object-pin-without-af-alg": "the object of object-pin",
    "handover": "a tc with libbpf sends no maps",
    "static-program-no-map": "no map",
    "static-program": "libbpf takes no static program, whatever its maps",
    "static-programs": "libbpf takes no static program, whatever its maps",
    "local-call": "libbpf looks for functions that are called in .text only",
    "text-section": "libbpf takes no program in .text beside another function",
    "refusals": "a batch of refusals",
    "unnamed-offset": "a map that has no name",
    "struct-small": "its definition says no number of elements",
    "typed-map": "a legacy definition says sizes, so the new one has no types to show",
}
"""The cases without such a form, and why."""

_DEFINITION = re.compile(
    r"^(?:static )?(?:LEGACY_MAP(?:_OF)?\([^\n]*\);\n|"
    r'struct bpf_elf_map SEC\("maps"\) \w+ = \{.*?^\};\n)',
    re.MULTILINE | re.DOTALL,
)
_LICENSE = 'char _license[] SEC("license") = "GPL";'


def legacy_cases() -> Iterator[Case]:
    """Yield the cases with legacy maps, as the distro's tc has to load them in their new form."""
    loads = Expected(what=Expect.LOADS, reason="its maps are defined by BTF")
    expect = MappingProxyType({loader.name: loads for loader in loaders()})
    for case in select(None, whole=True):
        refused = case.expect["libbpf-1"].what is Expect.REFUSED
        if not refused or case.name in WITHOUT:
            continue
        # AF_ALG was for the object's namespace, which libbpf does not have.
        needs = tuple(n for n in case.needs if n != "CONFIG_CRYPTO_USER_API_HASH")
        case = dataclasses.replace(case, expect=expect, needs=needs)
        yield _grafted(case) if case.name == "tail-calls" else case


def _pinned_globally(case: Case) -> Case:
    """Return a case whose pins are where libbpf puts those of an object's own namespace."""
    if case.parameters.get("pin") != "object":
        return case
    return dataclasses.replace(case, parameters={**case.parameters, "pin": "global"})


def _grafted(case: Case) -> Case:
    """Return tail calls with the commands that the comments name."""
    kind = "type xdp " if case.way.kind == "xdp" else ""
    graft = "tc exec bpf graft m:globals/jumps key {1} object-file {{object}} {0}section 7/{1}"
    hops = tuple(Then(run=graft.format(kind, key)) for key in range(3))
    way = dataclasses.replace(case.way, then=(*hops, *case.way.then))
    # The other comment: libbpf expects an attach type of the section xdp that no hop has.
    section = "xdp_main" if case.way.kind == "xdp" else case.section
    return dataclasses.replace(case, way=way, section=section)


def as_btf(case: Case, directory: Path, machine: Machine) -> Path:
    """Return the object of a case with its legacy maps in .maps."""
    log = directory / "log"
    old = compile_case(case, size=36, machine=machine, cache=real.cache(), log=log)
    source = render(
        f"objects/{case.template}",
        kind=case.way.kind,
        section=section_of(case),
        size=case.size or 36,
        verdict=case.verdict,
        **case.parameters,
    )
    without, number = _DEFINITION.subn("", source)
    assert number and 'SEC("maps")' not in re.sub(r"(?m)^#define(.*\\\n)*.*", "", without)
    path = directory / f"{case.id}.o"
    include = f"/usr/include/{machine.multiarch}"
    argv = ["clang", "-O2", "-g", "-target", machine.bpf_target, "-Wall", "-Werror", "-I", include]
    subprocess.run(
        [*argv, "-x", "c", "-c", "-o", path, "-"],
        input=without.replace(_LICENSE, f"{_LICENSE}\n{source_of(read(old), old.name)}"),
        text=True,
        check=True,
    )
    return path


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> SmokeReport:
    """Load all of them with the distro's own package, in one boot."""
    directory = tmp_path_factory.mktemp("as-btf")
    image = smoke.prepare(real.archive(), real.cache(), log_dir=directory)
    distro = real.archive().fetch_binary("iproute2", None, directory).path
    cases = tuple(legacy_cases())
    made = {case.id: as_btf(case, directory, image.machine) for case in cases}

    def compiled(wanted: Sequence[Case], **_: object) -> dict[str, Path]:
        return {case.id: made[case.id] for case in wanted}

    with pytest.MonkeyPatch.context() as change:
        change.setattr(matrix, "compile_cases", compiled)
        return smoke.smoke(
            image,
            before=[distro],
            after=[],
            turned={},
            lacks=None,
            cases=tuple(map(_pinned_globally, cases)),
            cache=real.cache(),
            log_dir=directory,
        )


def test_every_legacy_case_makes_the_round_trip(report: SmokeReport) -> None:
    assert report.loaders == ("libbpf-1",)
    seen = {(row.case, row.way): row.before for row in report.cases}
    assert len(seen) >= 43
    bad = {name: f"{c.why}\n{c.output}" for name, c in seen.items() if c.seen is not Seen.LOADS}
    assert bad == {}
    assert ("map-in-map", "tc") in seen and ("tail-calls", "tc") in seen
