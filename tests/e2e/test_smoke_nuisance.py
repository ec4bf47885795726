# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A tc that crashes, hangs, prints without end, eats memory or takes the guest with it.

Each costs its own row and no other.
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from support import breakages, cli, packages, real

from pipeline.cli import smoke as clismoke
from pipeline.errors import SmokeFailed, SmokeImpossible, TestbedLost
from pipeline.host import command
from pipeline.model import CaseResult, Seen, SmokeReport
from pipeline.smoke import matrix, own_kernel, smoke
from pipeline.smoke.cases import select
from pipeline.smoke.standalone import Measured
from pipeline.vm import qemu
from pipeline.vm.image import GuestImage

SCRIPT = Path(__file__).parents[1] / "support" / "nuisance-tc.sh"
TIRED = 15
"""Seconds that a command may take here. On a busy machine, 6 are too few to use up all memory."""

CALL, INVALID = b"\xe8????", b"\x0f\x0b"
"""Of x86: the call that each function begins with, and ud2."""

SMALL = 352
"""MiB of the guest's memory: soon used up."""


@pytest.fixture(scope="module")
def distro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return Debian's own .deb."""
    return real.archive().fetch_binary("iproute2", None, tmp_path_factory.mktemp("deb")).path


@pytest.fixture(scope="module")
def report(distro: Path, tmp_path_factory: pytest.TempPathFactory) -> SmokeReport:
    """Measure the nuisance."""
    directory = tmp_path_factory.mktemp("nuisance")
    tree = directory / "tree"
    command.run(["dpkg-deb", "--raw-extract", distro, tree])
    (tree / "sbin/tc").rename(tree / "sbin/tc.sound")
    (tree / "sbin/tc").write_bytes(SCRIPT.read_bytes())
    (tree / "sbin/tc").chmod(0o755)
    image = smoke.prepare(real.archive(), real.cache(), log_dir=directory)
    (tree / "sbin/oops.ko").write_bytes(_oops(image, directory))
    deb = breakages.repack(tree, f"{real.VERSION}+nuisance1", directory / "nuisance.deb")
    names = ["btf-maps", "array", "no-map", "mark", "drop", "redirect", "global-data"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrix, "LOAD_SECONDS", TIRED)
        patch.setattr(qemu, "MEMORY", SMALL)
        return smoke.smoke(
            image,
            before=[deb],
            after=(),
            turned={},
            lacks=None,
            cases=select(names, ["tc"]),
            cache=real.cache(),
            log_dir=directory,
        )


def _oops(image: GuestImage, directory: Path) -> bytes:
    """Return a module of the guest's own kernel whose first instruction is an invalid one.

    Debian's kernels have nothing else that makes them oops on demand (no lkdtm).
    """
    (deb,) = real.archive().download([image.package], directory / "kernel")
    command.run(["dpkg-deb", "--extract", deb.path, directory / "kernel/tree"])
    (path,) = (directory / "kernel/tree").glob("**/net/sched/act_simple.ko")
    data = bytearray(path.read_bytes())
    elf = ELFFile(io.BytesIO(data))
    moves, code = (elf.get_section_by_name(f"{name}.init.text") for name in (".rela", ""))
    assert isinstance(moves, RelocationSection) and code
    moved = {r["r_offset"] for r in moves.iter_relocations()}
    at = len(CALL)  # of ftrace, which the kernel overwrites itself
    assert not moved & set(range(at - 2, at + len(INVALID)))
    begin = code["sh_offset"] + at
    data[begin : begin + len(INVALID)] = INVALID
    # With this at its end it would count as signed, and wrongly.
    mark = b"~Module signature appended~\n"
    return bytes(data).removesuffix(mark)


def row(report: SmokeReport, name: str) -> CaseResult:
    return next(row for row in report.cases if row.case == name)


def test_a_kernel_oops_costs_one_row(report: SmokeReport) -> None:
    lost = row(report, "array").before
    assert (lost.seen, lost.ok) == (Seen.LOST, False)
    assert "invalid opcode" in lost.output
    assert "Kernel panic - not syncing: Fatal exception" in lost.output
    assert report.crashes == 1
    # Those before it and those after it were played.
    assert row(report, "btf-maps").before.ok
    assert row(report, "global-data").before.seen is Seen.LOADS


def test_a_tc_that_crashes(report: SmokeReport) -> None:
    cell = row(report, "no-map").before
    assert (cell.seen, cell.status, cell.ok) == (Seen.CRASHED, -11, False)
    assert "killed by signal 11" in cell.why


def test_a_tc_that_prints_a_hundred_megabytes(report: SmokeReport) -> None:
    cell = row(report, "mark").before
    assert 0 < len(cell.output) <= 16 * 1024
    assert cell.seen in (Seen.REFUSED, Seen.CRASHED)  # it came to its end, or to that of its time
    assert not cell.ok


def test_a_tc_that_ignores_sigterm(report: SmokeReport) -> None:
    cell = row(report, "drop").before
    assert (cell.seen, cell.status, cell.ok) == (Seen.CRASHED, -9, False)
    assert f"did not end within {TIRED} s" in cell.why
    assert TIRED <= cell.seconds < 3 * TIRED


def test_a_tc_that_takes_all_memory(report: SmokeReport) -> None:
    cell = row(report, "redirect").before
    assert (cell.seen, cell.ok) == (Seen.CRASHED, False)
    assert cell.status == -9
    assert "Out of memory" in cell.kernel_log or "oom" in cell.kernel_log.lower()


def test_the_exit_code_says_what_kind_of_red(report: SmokeReport, tmp_path: Path) -> None:
    with pytest.raises(SmokeFailed) as failed:
        clismoke._judge(Measured(reports=(report,)), tmp_path)
    assert failed.value.exit_code == 14
    only = _with(report, row(report, "array"), row(report, "btf-maps"))
    with pytest.raises(TestbedLost) as lost:
        clismoke._judge(Measured(reports=(only,)), tmp_path)
    assert lost.value.exit_code == 16
    good = _with(report, row(report, "btf-maps"))
    clismoke._judge(Measured(reports=(good,)), tmp_path)


def _with(report: SmokeReport, *rows: CaseResult) -> SmokeReport:
    fields = {name: getattr(report, name) for name in report.__dataclass_fields__}
    return SmokeReport(**(fields | {"cases": rows}))


@pytest.mark.parametrize(
    ("architecture", "options", "words"),
    [
        ("m68k", [], "cannot emulate m68k"),
        ("m68k", ["--place", "netns"], "is for m68k, and this machine is"),
        ("s390x", ["--place", "netns"], "is for s390x, and this machine is"),
    ],
)
def test_a_package_for_another_architecture(
    architecture: str, options: list[str], words: str, tmp_path: Path
) -> None:
    other = made_for(architecture, tmp_path)
    said = cli.respin("smoke", "--deb", other, *options, cache=real.cache().root)
    assert said.status == SmokeImpossible.exit_code
    assert words in " ".join(said.err.split())


def test_a_kernel_of_another_architecture(tmp_path: Path) -> None:
    kernel = packages.make_deb(tmp_path, "linux-image-6.1.0-1-arm64", "6.1", architecture="arm64")
    given = ("--deb", made_for("s390x", tmp_path), "--release", "bookworm", "--kernel", kernel)
    said = cli.respin("smoke", *given, cache=real.cache().root)
    assert said.status == SmokeImpossible.exit_code
    words = " ".join(said.err.split())
    assert "arm64.deb is for arm64, and the package for s390x" in words


def test_packages_of_two_architectures(tmp_path: Path) -> None:
    pair = [made_for(architecture, tmp_path) for architecture in ("s390x", "arm64")]
    said = cli.respin("smoke", "--deb", pair[0], "--against", pair[1], cache=real.cache().root)
    assert said.status == SmokeImpossible.exit_code
    words = " ".join(said.err.split())
    assert "_arm64.deb is for arm64, but iproute2_6.1.0-3_s390x.deb is for s390x" in words


def made_for(architecture: str, directory: Path) -> Path:
    (directory / architecture).mkdir()
    return packages.make_deb(
        directory / architecture,
        "iproute2",
        "6.1.0-3",
        architecture=architecture,
        files={"sbin/tc": "tc\n"},
    )


def test_a_package_that_is_not_iproute2(tmp_path: Path) -> None:
    arch = command.run(["dpkg", "--print-architecture"]).text.strip()
    other = packages.make_deb(tmp_path, "nettools", architecture=arch)
    said = cli.respin("smoke", "--deb", other, cache=real.cache().root)
    assert said.status == SmokeFailed.exit_code
    assert "is not iproute2: it contains no tc" in said.err


def test_a_kernel_without_bpf(tmp_path: Path) -> None:
    archive = real.archive()
    name = "9.9.9-without"
    files = {f"boot/vmlinuz-{name}": "x", f"boot/config-{name}": "CONFIG_NET=y\n"}
    architecture = archive.architecture
    for package, words in (
        (f"linux-image-{name}", "is built without CONFIG_BPF_SYSCALL"),
        ("linux-headers", "is not a kernel package"),
    ):
        deb = packages.make_deb(tmp_path, package, architecture=architecture, files=files)
        with pytest.raises(SmokeImpossible, match=words):
            for own in own_kernel.together([deb]):
                smoke.prepare(archive, real.cache(), log_dir=tmp_path, kernel=own)


def test_a_full_disk(distro: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    script = Path(__file__).parents[1] / "support" / "smoke-on.py"
    done = real.on_small_disk(small, "4m", script, distro, small)
    assert done.status == SmokeImpossible.exit_code, done.stderr
    assert b"respin could not write the files for the guest: No space left on device" in done.stderr
