# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compile the BPF objects that the smoke cases load, and cache them.

Each is cached under a digest of what it was compiled from. Missing ones are compiled in parallel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.errors import SmokeImpossible
from pipeline.files import bounded
from pipeline.host import command, compilers
from pipeline.host.cache import Cache, digest
from pipeline.host.resources import render
from pipeline.isolation import lent, sandbox
from pipeline.smoke import mutate
from pipeline.smoke.cases import Case, all_cases
from pipeline.vm.machine import Machine

HINT = "install what it needs: apt install clang libbpf-dev linux-libc-dev"

OBJECT_BYTES = 1 << 20
"""Bytes of an object of a user's fix; those of the cases have at most 20 kB."""
SECONDS = 60.0
WORKERS = 2
"""Compilers at a time; a build beside them takes the other CPUs."""


_TYPES = r"(?m)^\s*\.(?:type|size)\s.*\n"
"""What LLVM up to 7 did not say in assembly, neither of maps nor of functions."""


def compile_cases(
    cases: Sequence[Case], *, size: int, machine: Machine, cache: Cache, log: Path
) -> Mapping[str, Path]:
    """Return the object of each case, by the id of the case.

    ``size`` is that of struct bpf_elf_map, in bytes. A case with a corpus has a directory of
    objects, ``0.o`` and so on. Raises SmokeImpossible with clang's output if one cannot be
    compiled.
    """
    with command.threads(WORKERS) as pool:
        wanted = {
            case.id: pool.submit(_object, case, size=size, machine=machine, cache=cache, log=log)
            for case in cases
        }
        return {name: future.result() for name, future in wanted.items()}


def check(machine: Machine) -> str:
    """Return clang's target. Raises SmokeImpossible if it cannot compile for it, or is missing."""
    known = command.run(
        ["clang", "--print-targets"],
        timeout=60,
        error=SmokeImpossible,
        brief="clang does not say for what it can compile",
        hint=HINT,
    ).text
    if machine.bpf_target not in known.split():
        version = command.run(["clang", "--version"], timeout=60, error=SmokeImpossible).text
        raise SmokeImpossible(
            f"the clang of this machine cannot compile for BPF (target {machine.bpf_target}), and "
            "the smoke test compiles its objects with it",
            details=version.strip(),
            hint=f"{HINT}; versions 14 and 19 (Debian 12's and 13's) are known to work",
        )
    return machine.bpf_target


def _object(case: Case, *, size: int, machine: Machine, cache: Cache, log: Path) -> Path:
    if not case.corpus:
        return compile_case(case, size=size, machine=machine, cache=cache, log=log)
    sound = [
        compile_case(each, size=size, machine=machine, cache=cache, log=log).read_bytes()
        for each in all_cases()
        if each.way is case.way and not each.corpus and each.size is None
    ]

    def make(part: Path) -> None:
        part.mkdir()
        for i, data in enumerate(mutate.broken(sound, case.corpus, seed=case.name)):
            (part / f"{i}.o").write_bytes(data)

    key = digest(case.name, str(case.corpus), mutate.FORMAT, *sound)
    return cache.entry("corpora", key, make)


def compile_case(case: Case, *, size: int, machine: Machine, cache: Cache, log: Path) -> Path:
    """Return the object of one case, as ``compile_cases`` does for many."""
    source = render(
        f"objects/{case.template}",
        kind=case.way.kind,
        section=section_of(case),
        size=case.size or size,
        verdict=case.verdict,
        **case.parameters,
    )
    clang = ("clang", "-target", machine.bpf_target, "-Wall", "-Werror")
    argv = [*clang, "-x", "c", "-O2", "-I", machine.headers]
    # A legacy object's BTF makes tc print messages, and fail before v5.14; BTF maps need it.
    argv += ["-g"] if case.debug else []

    brief = f"clang could not compile the object of the smoke case {case.name}"

    def make(part: Path) -> None:
        def run(*more: str | Path, stdin: bytes) -> bytes:
            return command.run(
                [*more, "-"],
                stdin=stdin,
                log=None if "-S" in more else log,
                error=SmokeImpossible,
                brief=brief,
                hint=HINT,
            ).stdout

        if case.own:
            part.write_bytes(_walled(argv, source, log, brief))
        elif case.notype:
            assembly = run(*argv, "-S", "-o", "-", stdin=source.encode()).decode()
            plain = re.sub(_TYPES, "", assembly)
            # clang 19 refuses what it does not use: for assembly, an option of the optimizer.
            run(*clang, "-x", "assembler", "-c", "-o", part, stdin=plain.encode())
        else:
            run(*argv, "-c", "-o", part, stdin=source.encode())

    key = digest(source, *argv, _TYPES if case.notype else "", compilers.identity("clang"))
    return cache.entry("objects", key, make)


def _walled(argv: Sequence[str], source: str, log: Path, brief: str) -> bytes:
    """Return what clang makes of a text that may be anybody's; raise SmokeImpossible.

    A program can have clang read any file that it sees (.incbin, #include), and write an object of
    any size (.space).
    """
    with lent.lent(None, "respin-object-") as directory:
        (directory / "object.c").write_text(source)
        limited = ["prlimit", f"--fsize={OBJECT_BYTES}", "--"]
        sandbox.run(
            [*limited, *argv, "-c", "-o", "object.o", "object.c"],
            directory=directory,
            timeout=SECONDS,
            log=log,
            error=SmokeImpossible,
            brief=brief,
            hint=HINT,
        )
        try:
            return bounded.read(directory / "object.o", OBJECT_BYTES, follow=False)
        except OSError as e:
            raise SmokeImpossible(brief, details=f"object.o: {e.strerror}", hint=HINT) from e


def section_of(case: Case) -> str:
    """Return the section of a case's program."""
    return case.section or case.way.section
