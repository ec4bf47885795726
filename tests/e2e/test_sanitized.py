# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Broken objects make the fixed tc read and write no byte beyond its memory.

A tc with sanitizers loads them in namespaces of this machine, many in one batch.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from support import hugeobjects, real, sanitized, userobjects

from pipeline.archives import host_apt
from pipeline.smoke import cases, compile, mutate
from pipeline.vm.machine import machine_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.needs("clang"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root loads BPF programs"),
]
COUNT, CHUNK = 300, 10
SEED = "sanitized"
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
# What is loaded and pinned takes the kernel's memory until it is removed.
SCRIPT = """
mount -t bpf bpf /sys/fs/bpf
tc=$0
for batch in "$@"; do
    "$tc" qdisc add dev lo clsact
    timeout --kill-after=1 60 "$tc" -force -batch "$batch" 2>"$batch.said"
    echo "$?" >"$batch.status"
    "$tc" qdisc del dev lo clsact
    find /sys/fs/bpf -mindepth 1 -type f ! -name "*.debug" -delete
done
"""
OPTIONS = {
    # tc itself leaves memory to the end of the process, and objects ask for more than there is.
    "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:quarantine_size_mb=32",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}
MARK = "mark"
"""No command of tc: what it says to it shows that it worked on the line before."""


@dataclass(frozen=True, kw_only=True)
class Played:
    """What became of the objects."""

    loaded: int
    findings: dict[str, str]
    """What tc said last, by the name of the object at which it ended."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """Return the smoke test's objects for tc, by the name of the case."""
    machine = machine_for(host_apt.architecture())
    log = tmp_path_factory.mktemp("sound") / "log"
    return {
        case.name: compile.compile_case(
            case, size=36, machine=machine, cache=real.cache(), log=log
        ).read_bytes()
        for case in cases.all_cases()
        if case.way.kind == "tc" and not case.corpus
    }


def broken_anywhere(sound: Mapping[str, bytes]) -> Iterator[bytes]:
    """Yield objects that are broken as those of the smoke test are, made from other objects."""
    yield from mutate.broken(list(sound.values()), COUNT, seed=SEED)


def broken_types(sound: Mapping[str, bytes]) -> Iterator[bytes]:
    """Yield objects of which up to eight numbers in the header and the types of .BTF are changed.

    They are made from objects without a section .maps: libbpf 1.1 itself crashes if types of the
    maps in there refer to none (seen with the distro's tc, for 4 of 300 objects).
    """
    chance = random.Random(SEED)
    for n in range(COUNT):
        data = bytearray(sound[("typed-map", "debug")[n % 2]])
        section = ELFFile(io.BytesIO(data)).get_section_by_name(".BTF")
        assert section is not None
        begin = section["sh_offset"]
        (types,) = struct.unpack_from("=I", data, begin + 12)  # type_len of struct btf_header
        for _ in range(chance.randint(1, 8)):
            at = begin + chance.randrange(24 + types)
            if chance.randrange(2):
                data[at] = chance.randrange(256)
            else:
                struct.pack_into("=I", data, at & ~3, chance.choice(NUMBERS))
        yield bytes(data)


Kind = Callable[[Mapping[str, bytes]], Iterator[bytes]]
KINDS = pytest.mark.parametrize("kind", [broken_anywhere, broken_types])


def played(name: str, objects: Iterable[bytes], directory: Path) -> Played:
    """Load objects with one of the two tc, some in each batch."""
    paths = []
    for n, data in enumerate(objects):
        paths.append(directory / f"{n}.o")
        paths[-1].write_bytes(data)
    chunks = [paths[n : n + CHUNK] for n in range(0, len(paths), CHUNK)]
    batches = [directory / f"{n}.batch" for n in range(len(chunks))]
    for batch, chunk in zip(batches, chunks, strict=True):
        add = "filter add dev lo ingress bpf da obj"
        batch.write_text("".join(f"{add} {path} sec classifier\n{MARK}\n" for path in chunk))
    tc = directory / "tc"
    shutil.copy(sanitized.binaries() / f"{name}.tc", tc)
    tc.chmod(0o755)
    # Random addresses of some kernels are where AddressSanitizer wants its own.
    alone = ["unshare", "--mount", "--net", "setarch", "--addr-no-randomize"]
    argv: list[str | Path] = [*alone, "sh", "-c", SCRIPT, tc, *batches]
    done = subprocess.run(argv, env={**os.environ, **OPTIONS}, capture_output=True, text=True)
    assert done.stderr == ""
    loaded, findings = 0, {}
    for batch, chunk in zip(batches, chunks, strict=True):
        said = Path(f"{batch}.said").read_text(errors="replace")
        status = int(Path(f"{batch}.status").read_text())
        ended = said.count(f'"{MARK}" is unknown')
        failed = list(_failed(said, batch))
        loaded += sum(2 * n + 1 not in failed for n in range(ended))
        if ended < len(chunk) or status != 1 or "runtime error" in said:
            findings[chunk[ended].name if ended < len(chunk) else "the end"] = said[-4000:]
    return Played(loaded=loaded, findings=findings)


def _failed(said: str, batch: Path) -> Iterator[int]:
    """Yield the numbers of the lines that failed."""
    begin = f"Command failed {batch}:"
    for line in said.splitlines():
        if line.startswith(begin):
            yield int(line.removeprefix(begin))


def test_large_maps_are_not_made(tmp_path: Path) -> None:
    """Neither by tc nor by libbpf: their memory would be this machine's."""
    names = ("btf-map", "large-btf-map")
    small, large = (userobjects.make(name, tmp_path).read_bytes() for name in names)
    legacy = hugeobjects.make(sections=1, symbols=0, maps=True)
    assert played("sound", [large, legacy], tmp_path) == Played(loaded=0, findings={})
    assert played("sound", [small], tmp_path).loaded == 1


@KINDS
def test_no_finding(kind: Kind, sound: Mapping[str, bytes], tmp_path: Path) -> None:
    found = played("sound", kind(sound), tmp_path)
    assert found.findings == {}
    # Otherwise tc had refused most of them before it read what is broken, or nothing was broken.
    assert COUNT / 10 < found.loaded < COUNT * 9 / 10


@KINDS
def test_without_a_check_there_is_a_finding(
    kind: Kind, sound: Mapping[str, bytes], tmp_path: Path
) -> None:
    found = played("broken", kind(sound), tmp_path)
    function = sanitized.BROKEN[kind is broken_types].function
    said = [each for each in found.findings.values() if f"in {function} " in each]
    assert any("ERROR: AddressSanitizer: " in each for each in said), found.findings
