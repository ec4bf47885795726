# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The smoke stage for real: Debian's kernel in QEMU, Debian's tc, and all that can go wrong.

That a fixed package passes is shown where one is built (the whole run's test); here is what
must not pass.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from support import real

from pipeline.errors import BuildError, SmokeFailed, SmokeImpossible, TestbedLost
from pipeline.host import command
from pipeline.model import Expect, Seen, SmokeReport
from pipeline.smoke import smoke
from pipeline.smoke.cases import select
from pipeline.smoke.compile import compile_case
from pipeline.smoke.standalone import on_each
from pipeline.smoke.user_object import UserObject
from pipeline.vm import guest_programs, qemu, results
from pipeline.vm.image import GuestImage
from pipeline.vm.initramfs import Initramfs

SYMPTOMS = [r"legacy map definitions in 'maps' section are not supported by libbpf v1\.0\+"]
SHORT = 30.0
"""Seconds that suffice for one package and the case btf-maps, even on a busy machine."""
BEFORE = ("before:version", "before:0")
TURNED = {"pinned-hash": SYMPTOMS, "several-maps": SYMPTOMS}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> GuestImage:
    """Return the image of Debian 12's guest."""
    return smoke.prepare(real.archive(), real.cache(), log_dir=tmp_path_factory.mktemp("logs"))


@pytest.fixture(scope="module")
def distro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return Debian's own .deb."""
    return real.archive().fetch_binary("iproute2", None, tmp_path_factory.mktemp("deb")).path


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> object:
    """No guest may outlive its test."""
    yield
    assert guests(tmp_path) == []


def guests(directory: Path) -> list[int]:
    """Return the processes that write into a directory's console."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if line.startswith(b"/usr/bin/qemu") and bytes(directory) in line:
            found.append(int(path.parent.name))
    return found


def run(
    image: GuestImage,
    tmp_path: Path,
    before: Sequence[Path],
    after: Sequence[Path] | Future[Sequence[Path]] = (),
    *,
    cases: Sequence[str] | None = ("no-map",),
    objects: Sequence[UserObject] = (),
    seconds: float | None = None,
) -> SmokeReport:
    return smoke.smoke(
        image,
        before=before,
        after=after,
        turned=TURNED,
        lacks=frozenset({"libbpf-legacy-maps"}),
        cases=select(cases),
        objects=objects,
        cache=real.cache(),
        log_dir=tmp_path,
        seconds=seconds,
    )


def package(directory: Path, postinst: str = "", depends: str = "") -> Path:
    """Make a .deb that does what a hostile or broken one might."""
    debian = directory / "nuisance" / "DEBIAN"
    debian.mkdir(parents=True)
    arch = command.run(["dpkg", "--print-architecture"]).text.strip()
    fields = f"Package: nuisance\nVersion: 1\nArchitecture: {arch}\nMaintainer: Nobody\n"
    fields += f"Depends: {depends}\n" if depends else ""
    (debian / "control").write_text(f"{fields}Description: a nuisance\n")
    (debian / "postinst").write_text(f"#!/bin/sh\n{postinst}\n")
    (debian / "postinst").chmod(0o755)
    target = directory / "nuisance.deb"
    command.run(["dpkg-deb", "--root-owner-group", "--build", debian.parent, target])
    return target


def with_file(image: GuestImage, directory: Path, name: str, text: str) -> GuestImage:
    """Return an image in which one file is another."""
    directory.mkdir()
    shutil.copyfile(image.vmlinuz, directory / "vmlinuz")
    shutil.copyfile(image.initramfs, directory / "initramfs")
    with (directory / "initramfs").open("ab") as out, Initramfs(out) as archive:
        archive.file(name, text.encode(), 0o755)
    # A kernel of another directory would be probed anew.
    return dataclasses.replace(image, directory=directory)


def test_the_distros_package_twice_is_not_a_fix(
    image: GuestImage, distro: Path, tmp_path: Path
) -> None:
    compiled = {
        case.name: compile_case(
            case, size=36, machine=image.machine, cache=real.cache(), log=tmp_path / "log"
        )
        for case in select(["btf-maps", "pinned-hash"])
        if case.way.name == "tc"
    }
    own = [UserObject(path=compiled[name]) for name in ("btf-maps", "pinned-hash")]
    report = run(image, tmp_path, [distro], [distro], cases=None, objects=own)
    assert not report.ok
    assert report.kernel == image.kernel
    assert report.before == report.after
    assert "libbpf 1." in report.before
    bad = [c for c in report.cases if c.after is not None and not c.after.ok]
    assert {(c.case, c.way) for c in bad[:-1]} == {
        ("pinned-hash", "tc"),
        ("pinned-hash", "xdp"),
        ("several-maps", "tc"),
        # These the fix loads, too, since it links legacy maps before libbpf gets the object.
        ("both-sections", "tc"),
        ("program-name", "tc"),
    }
    assert all(c.after is not None and c.after.seen is Seen.REFUSED for c in bad)
    # The distro's package does what is expected of it, even where it fails.
    assert all(c.before.ok for c in report.cases)
    btf = next(c for c in report.cases if c.case == "btf-maps")
    assert btf.after is not None
    assert (btf.after.seen, btf.after.counted, btf.after.sent) == (Seen.LOADS, 7, 7)
    loaded, refused = report.cases[-2:]
    assert loaded.after is not None and refused.after is not None
    assert (loaded.after.ok, refused.after.ok) == (True, False)
    assert (loaded.before.expected, loaded.before.seen) == (Expect.ANY, Seen.LOADS)
    assert (refused.before.ok, refused.before.seen) == (True, Seen.REFUSED)


def test_a_build_that_fails_ends_the_guest_that_waits_for_it(
    image: GuestImage, distro: Path, tmp_path: Path
) -> None:
    coming: Future[Sequence[Path]] = Future()
    said = tmp_path / "guest-said.jsonl"

    def fail() -> None:
        while not (said.exists() and b"ready" in said.read_bytes()):
            over.wait(0.2)
        over.wait(SHORT)  # longer than the guest may take: it is not held against it
        coming.set_exception(BuildError("it does not build"))

    over = threading.Event()
    builder = threading.Thread(target=fail)
    builder.start()
    with pytest.raises(BuildError, match="it does not build"):
        run(image, tmp_path, [distro], coming, seconds=SHORT)
    builder.join()
    transcript = results.parse(
        said.read_bytes(), {"before:install", "before:1", "before:2", *BEFORE}
    )
    assert transcript.ran["before:0"].status == 0
    assert not transcript.done


def test_a_guest_that_takes_nothing(image: GuestImage, distro: Path, tmp_path: Path) -> None:
    """It says that it is ready, and is not: its time is up, some time after it was served."""
    liar = r"""
case $1 in
hello) echo '{"kind":"hello","kernel":"x"}' >/dev/vport0p1 ;;
must) echo '{"kind":"ready"}' >/dev/vport0p1; exec sleep 999 ;;
*) exec /respin/agent2 "$@" ;;
esac
"""
    directory = tmp_path / "image"
    asleep = with_file(image, directory, "respin/agent", f"#!/bin/sh\n{liar}")
    agent = guest_programs.agent(real.cache(), None).read_bytes()
    with (directory / "initramfs").open("ab") as out, Initramfs(out) as archive:
        archive.file("respin/agent2", agent, 0o755)
    with pytest.raises(TestbedLost, match="the guest was lost"):
        run(asleep, tmp_path, [distro], [distro], seconds=8)


def test_symbols_stand_in_another_order_than_maps(image: GuestImage, tmp_path: Path) -> None:
    (case,) = select(["several-maps"])
    path = compile_case(
        case, size=36, machine=image.machine, cache=real.cache(), log=tmp_path / "log"
    )
    with path.open("rb") as f:
        elf = ELFFile(f)
        maps = elf.get_section_index("maps")
        table = elf.get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        symbols = [(s["st_value"], s.name) for s in table.iter_symbols() if s["st_shndx"] == maps]
    assert {name for _, name in symbols} == set(case.pins)
    assert symbols != sorted(symbols)


@pytest.mark.parametrize(
    ("depends", "postinst", "words"),
    [("libnonsense7 (>= 3)", "", "libnonsense7"), ("", "echo I fail; exit 3", "I fail")],
    ids=["depends", "postinst"],
)
def test_dpkg_refuses_the_package(
    image: GuestImage, distro: Path, tmp_path: Path, depends: str, postinst: str, words: str
) -> None:
    deb = package(tmp_path, postinst, depends=depends)
    with pytest.raises(SmokeFailed, match=r"did not install the package \(before\)") as e:
        run(image, tmp_path, [distro, deb])
    assert words in e.value.details


@pytest.mark.parametrize(
    "line",
    [
        r"""yes '{"kind":"ran","id":"before:0"}' | head -c 9000""",
        r"""printf '%s\n' '{"kind":"done"}'""",
        r"""printf '%s\n' '{"kind":"counted","id":"before:0","sent":7,"received":7,"maps":{}}'""",
    ],
    ids=["garbage", "done-too-early", "its-own-verdict"],
)
def test_a_package_that_speaks_for_itself(
    image: GuestImage, distro: Path, tmp_path: Path, line: str
) -> None:
    deb = package(tmp_path, f"{line} >/dev/vport0p1")
    with pytest.raises(TestbedLost, match="cannot be trusted"):
        run(image, tmp_path, [distro, deb])


def test_a_package_that_fills_the_disk_with_words(
    image: GuestImage, distro: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qemu, "RESULTS_MAX", 1 << 20)
    monkeypatch.setitem(qemu.LIMITS, "FSIZE", 1 << 20)
    deb = package(tmp_path, "yes >/dev/vport0p1")
    with pytest.raises(TestbedLost):
        run(image, tmp_path, [distro, deb], seconds=15)
    assert (tmp_path / "guest-said.jsonl").stat().st_size <= 1 << 20


def test_a_guest_that_panics(image: GuestImage, distro: Path, tmp_path: Path) -> None:
    deb = package(tmp_path, "echo c >/proc/sysrq-trigger")
    with pytest.raises(TestbedLost, match="crashed before it finished") as e:
        run(image, tmp_path, [distro, deb])
    assert "Kernel panic - not syncing: sysrq triggered crash" in e.value.details


def test_of_several_kernels_one_that_loses_the_guest_costs_itself_alone(
    image: GuestImage, distro: Path, tmp_path: Path
) -> None:
    broken = with_file(image, tmp_path / "image", "respin/agent", "#!/bin/sh\nexit 1\n")
    images = {"deadly": broken, "good": image}
    measured = on_each(list(images), lambda kernel: run(images[str(kernel)], tmp_path, [distro]))
    assert [report.kernel for report in measured.reports] == [image.kernel]
    assert [name for name, e in measured.refused if isinstance(e, TestbedLost)] == ["deadly"]


def test_a_guest_that_hangs(image: GuestImage, distro: Path, tmp_path: Path) -> None:
    asleep = with_file(image, tmp_path / "image", "respin/agent", "#!/bin/sh\nexec sleep 999\n")
    with pytest.raises(TestbedLost, match="the guest was lost") as e:
        run(asleep, tmp_path, [distro], seconds=8)
    assert "stopped after 8 s" in e.value.details


def test_a_guest_whose_first_process_fails(image: GuestImage, distro: Path, tmp_path: Path) -> None:
    broken = with_file(image, tmp_path / "image", "respin/agent", "#!/bin/sh\nexit 1\n")
    with pytest.raises(TestbedLost, match="crashed before it started") as e:
        run(broken, tmp_path, [distro])
    assert "Attempted to kill init" in e.value.details


def test_a_guest_that_never_starts(image: GuestImage, distro: Path, tmp_path: Path) -> None:
    empty = with_file(image, tmp_path / "image", "x", "")
    (empty.directory / "vmlinuz").write_bytes(bytes(1 << 20))
    with pytest.raises(TestbedLost):
        run(empty, tmp_path, [distro], seconds=5)


def test_qemu_is_killed(image: GuestImage, distro: Path, tmp_path: Path) -> None:
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.2):
            for pid in guests(tmp_path):
                os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(TestbedLost, match="the guest was lost") as e:
            run(image, tmp_path, [distro])
    finally:
        over.set()
        killer.join()
    # As a shell counts it: QEMU is a child of its wall.
    assert f"exit status {128 + signal.SIGKILL}" in e.value.details


def test_without_qemu(image: GuestImage, distro: Path, tmp_path: Path) -> None:
    machine = dataclasses.replace(image.machine, qemu="qemu-system-none", package="qemu-none")
    with pytest.raises(SmokeImpossible, match="qemu-system-none is missing") as e:
        run(dataclasses.replace(image, machine=machine), tmp_path, [distro])
    assert e.value.hint == "install it: apt install qemu-none"


def test_nothing_to_test(image: GuestImage, tmp_path: Path) -> None:
    (tmp_path / "no.deb").write_bytes(b"no package")
    with pytest.raises(SmokeFailed, match=r"no\.deb is not a Debian package"):
        run(image, tmp_path, [tmp_path / "no.deb"])
