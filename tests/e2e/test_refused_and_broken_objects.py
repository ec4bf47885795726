# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is left of refused and of broken objects, in namespaces of this machine.

A refused object leaves no pin, and what was there before stays; a broken one does not end tc, and
a very large one does not keep it busy for longer than the distro's.
"""

from __future__ import annotations

import io
import os
import resource
import shutil
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from support import breakages, hugeobjects, real, userobjects

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root loads BPF programs"),
]
SCRIPT = """
mount -t bpf bpf /sys/fs/bpf
tc=$0
"$tc" qdisc add dev lo clsact
for object in "$@"; do
    "$tc" filter add dev lo ingress bpf da obj "$object" sec classifier >&2
    echo "$?"
done
find /sys/fs/bpf -mindepth 1 ! -name "*.debug"
"""


@pytest.fixture(scope="module")
def tc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tc") / "tc"
    shutil.copy(breakages.binaries() / f"{breakages.SOUND}.tc", path)
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def distro_tc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("distro")
    deb = real.archive().fetch_binary("iproute2", real.VERSION, directory / "deb").path
    subprocess.run(["dpkg-deb", "--extract", deb, directory], check=True)
    return directory / "sbin/tc"


def played(tc: Path, *objects: Path) -> subprocess.CompletedProcess[str]:
    argv: list[str | Path] = ["unshare", "--mount", "--net", "sh", "-c", SCRIPT, tc, *objects]
    return subprocess.run(argv, capture_output=True, text=True)


def loaded(tc: Path, directory: Path, *names: str) -> set[str]:
    """Load objects one after the other, and return what is in bpffs then.

    Those that the verifier is to refuse are refused by it, and all others load.
    """
    done = played(tc, *(userobjects.make(name, directory) for name in names))
    lines = done.stdout.split()
    bad = [name.startswith("value-unchecked") for name in names]
    assert [status != "0" for status in lines[: len(names)]] == bad, done.stderr
    assert ("invalid mem access" in done.stderr) is any(bad), done.stderr
    return set(lines[len(names) :])


def test_a_refused_object_leaves_no_pin_and_no_directory(tc: Path, tmp_path: Path) -> None:
    nothing = loaded(tc, tmp_path, "no-pin")
    for pin in ("object-pin", "global-pin"):
        assert loaded(tc, tmp_path, f"value-unchecked-{pin}") == nothing, pin
        # The control: the same object, not refused, leaves its pin.
        more = loaded(tc, tmp_path, pin) - nothing
        assert "packets" in {Path(path).name for path in more}, pin


def test_what_was_pinned_before_stays(tc: Path, tmp_path: Path) -> None:
    before = loaded(tc, tmp_path, "global-pin")
    assert loaded(tc, tmp_path, "global-pin", "value-unchecked-global-pin") == before


@pytest.mark.parametrize("kind", ["SHT_SYMTAB", "SHT_REL"])
def test_entries_without_a_size_do_not_end_tc(
    tc: Path, distro_tc: Path, tmp_path: Path, kind: str
) -> None:
    """A header may say that an entry has no bytes; the distro's tc divides by them."""
    path = userobjects.make("plain", tmp_path)
    data = bytearray(path.read_bytes())
    elf = ELFFile(io.BytesIO(data))
    for n, section in enumerate(elf.iter_sections()):
        if section["sh_type"] == kind:
            at = elf["e_shoff"] + n * elf["e_shentsize"] + 56  # sh_entsize of Elf64_Shdr
            data[at : at + 8] = bytes(8)
    path.write_bytes(data)
    assert int(played(tc, path).stdout.split()[0]) < 128
    if kind == "SHT_SYMTAB":
        assert played(distro_tc, path).stdout.split()[0] == "136"  # SIGFPE


def busy(tc: Path, path: Path) -> float:
    """Return the seconds of a processor that a tc takes to load an object, without the kernel's."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        assert played(tc, path).stdout.split()[0] == "0"
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before

    return min(once() for _ in range(3))


def test_many_sections_and_symbols_take_no_longer_than_in_libbpf(
    tc: Path, distro_tc: Path, tmp_path: Path
) -> None:
    """libbpf looks at every symbol for every section; the fix looks at each of them once.

    With a walk through the symbols for each section it took 9 times as long as the distro's tc,
    which refuses legacy maps, and therefore loads the object without one.
    """
    path = tmp_path / "huge.o"
    path.write_bytes(hugeobjects.make(sections=2000, symbols=50_000))
    limit = 3 * busy(distro_tc, path)
    assert busy(tc, path) < limit
    for hops in (False, True):
        path.write_bytes(hugeobjects.make(sections=2000, symbols=50_000, maps=True, hops=hops))
        assert busy(tc, path) < limit, hops
