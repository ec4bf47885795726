# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A loader that is broken, and still compiles, turns cells of the smoke matrix red.

All of them in one boot: each breakage's tc lies in a directory of its own in the guest, and the
plan changes PATH from one to the next. The sound loader is the control: nothing of it is red.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from support import breakages, real

from pipeline.smoke import guest_files, matrix, player_script, smoke, verdict
from pipeline.smoke.cases import loaders, select
from pipeline.smoke.matrix import KernelFacts, Row
from pipeline.smoke.verdict import Said, Tc
from pipeline.vm import qemu, results
from pipeline.vm.image import GuestImage
from pipeline.vm.initramfs import Initramfs

CASES = (
    *("pinned-hash", "several-maps", "eight-maps", "notype", "tail-calls", "btf-maps"),
    *("static-map", "unnamed-offset", "struct-between", "struct-large", "maps-64", "maps-65"),
    *("legacy-global-data", "subprogram", "both-sections", "perf-events"),
    *("static-program", "static-program-no-map", "static-programs"),
    *("local-call", "text-section", "typed-map"),
)
BREAKAGES = breakages.all_breakages()
NAMES = (breakages.SOUND, *(each.name for each in BREAKAGES))
SECONDS = 600.0
"""How long the guest may take: in emulation, beside three other tests on two processors."""
Red = Mapping[str, set[str]]


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> Red:
    """Return the cases that are red with each tc, all tried in one guest."""
    directory = tmp_path_factory.mktemp("breakages")
    image = smoke.prepare(real.archive(), real.cache(), log_dir=directory)
    rows = matrix.case_rows(
        select(CASES, ["tc", "types"]),
        kernel=KernelFacts(version=image.kernel, config=image.config),
        machine=image.machine,
        version=real.VERSION,
        home=guest_files.HOME,
        cache=real.cache(),
        log=directory / "log",
    )
    said = _played(image, rows, directory)
    loader = next(each for each in loaders() if each.name == "libbpf-1-fixed")
    tc = Tc(text="", version=real.VERSION, loader=loader)
    found: dict[str, set[str]] = {}
    for name in NAMES:
        cells = {
            row.case: verdict.judge(
                row,
                tc,
                verdict.said_of(row, player_script.step_id(name, i), said) or Said(),
                after=True,
            )
            for i, row in enumerate(rows)
        }
        found[name] = {case for case, cell in cells.items() if not cell.ok}
    return found


def _played(image: GuestImage, rows: list[Row], directory: Path) -> results.Transcript:
    """Run one guest with every tc and return what its player said."""
    binaries = breakages.binaries()
    plan = ""
    for name in NAMES:
        plan += f"path\t/respin/{name}:/usr/sbin:/usr/bin:/sbin:/bin\n"
        plan += player_script.plan(rows, name, home=guest_files.HOME)
    initramfs, said = directory / "initramfs", directory / "said"
    shutil.copyfile(image.initramfs, initramfs)
    deb = real.archive().fetch_binary("iproute2", None, directory / "deb").path
    with initramfs.open("ab") as out:
        init = guest_files.init(image, ["before"])
        guest_files.archive(out, init, rows, ["before"], [deb])
        out.write(b"\0" * (-out.tell() % 4))
        with Initramfs(out) as guest:
            guest.file("respin/plan-before", plan.encode())
            for name in NAMES:
                guest.directory(f"respin/{name}")
                guest.file(f"respin/{name}/tc", (binaries / f"{name}.tc").read_bytes(), 0o755)
    machine = qemu.Guest(
        machine=image.machine,
        kernel=image.vmlinuz,
        initramfs=initramfs,
        results=said,
        console=directory / "console",
    )
    accel = qemu.accelerator(image.machine, image.vmlinuz, real.cache())
    qemu.run(machine, accel=accel, limit=SECONDS, log=directory / "qemu.log")
    ids = player_script.ids(rows, NAMES) | {"before:install", "before:version"}
    transcript = results.parse(said.read_bytes(), ids)
    assert transcript.done, (directory / "console").read_text()[-2000:]
    return transcript


def test_there_are_a_dozen_and_more_in_each_of_the_three_functions() -> None:
    functions = [each.function for each in BREAKAGES]
    assert len(functions) >= 12
    for name in ("bpf_map_num_sym", "bpf_map_verify_all_offs", "bpf_map_fetch_name"):
        assert functions.count(name) >= 4


def test_nothing_is_red_with_the_sound_loader(red: Red) -> None:
    assert red[breakages.SOUND] == set()


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda b: b.name)
def test_a_broken_loader_turns_cells_red(red: Red, breakage: breakages.Breakage) -> None:
    assert red[breakage.name] >= set(breakage.red)
