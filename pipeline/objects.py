"""The smoke cases and the BPF objects that they load.

Cases are data (templates/objects/cases.toml). Their objects are compiled when they are
needed and kept in the cache by what they were compiled from. A user's own object is read
only as far as to find which section holds the program.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache as memoize
from pathlib import Path
from types import MappingProxyType

from debian.debian_support import Version
from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from pipeline import command
from pipeline.cache import Cache, digest
from pipeline.data import data_path, render
from pipeline.errors import SmokeImpossible, UsageError
from pipeline.model import Expect
from pipeline.vm.machine import Machine

WAYS: Mapping[str, str] = MappingProxyType({"tc": "classifier", "xdp": "xdp"})
"""Each way to load, and the section that its program stands in by default."""

LOADERS = ("own", "libbpf-0", "libbpf-1")
"""As in cases.toml: what a tc loads objects with."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way of one case of cases.toml; the fields are described there."""

    name: str
    title: str
    way: str
    template: str
    expect: Mapping[str, tuple[Expect, str]]
    pins: Mapping[str, int]
    debug: bool = False
    program: str = ""
    says: str = ""
    repeat: int = 1
    files: int = 0
    like: str = ""
    default: bool = True

    @property
    def section(self) -> str:
        """The section of the program."""
        return WAYS[self.way]


@dataclass(frozen=True, kw_only=True)
class UserObject:
    """An object of the user's, to be tried like a case."""

    path: Path
    section: str | None = None
    """None: the first that holds a program."""
    way: str = "tc"


@memoize
def all_cases() -> tuple[Case, ...]:
    """Return every case, in the order of cases.toml, one per way."""
    data = tomllib.loads(data_path("templates", "objects", "cases.toml").read_text())
    cases = []
    for entry in data["case"]:
        ways = entry.pop("ways")
        expect = {
            loader: (Expect(seen), reason) for loader, (seen, reason) in entry.pop("expect").items()
        }
        if tuple(expect) != LOADERS:
            raise ValueError(f"cases.toml: {entry['name']} does not expect of {LOADERS}")
        cases += [Case(way=way, expect=expect, **entry) for way in ways]
    return tuple(cases)


def select(names: Sequence[str] | None) -> tuple[Case, ...]:
    """Return the cases of these names, or the default ones. Raises UsageError."""
    known = {c.name for c in all_cases()}
    for name in names or ():
        if name not in known:
            raise UsageError(
                f"there is no smoke case {name}", hint="There are: " + ", ".join(sorted(known))
            )
    return tuple(c for c in all_cases() if (c.default if names is None else c.name in names))


def map_struct_size(version: str) -> int:
    """Return the bytes of struct bpf_elf_map in the iproute2 package of this version."""
    upstream = Version(Version(version).upstream_version)
    if upstream < Version("4.6~"):
        return 24
    return 28 if upstream < Version("4.13~") else 36


def compile_case(case: Case, *, size: int, machine: Machine, cache: Cache, log: Path) -> Path:
    """Return the object of a case. ``size`` is that of struct bpf_elf_map, in bytes.

    Raises SmokeImpossible, with clang's words, if it cannot be compiled.
    """
    source = render(f"objects/{case.template}", way=case.way, section=case.section, size=size)
    argv = ["clang", "-O2", "-target", machine.bpf_target, "-Wall", "-Werror"]
    argv += ["-I", f"/usr/include/{machine.multiarch}"]
    # BTF of a legacy object is noise, and before v5.14 can be fatal; BTF maps live by it.
    argv += ["-g"] if case.debug else []
    argv += ["-x", "c", "-c", "-"]

    def make(part: Path) -> None:
        command.run(
            [*argv, "-o", part],
            stdin=source.encode(),
            log=log,
            error=SmokeImpossible,
            brief=f"the object of the smoke case {case.name} could not be compiled",
            hint="apt install clang libbpf-dev linux-libc-dev",
        )

    return cache.entry("objects", digest(source, *argv, _clang()), make)


@memoize
def _clang() -> str:
    if command.which("clang") is None:
        raise SmokeImpossible(
            "clang is missing: there is nothing to load", hint="apt install clang"
        )
    return command.run(["clang", "--version"], error=SmokeImpossible).text


_NOT_A_WAY = re.compile(r"\.text|\.fini.*|\.init.*")


def user_section(item: UserObject) -> str:
    """Return the section of a user's object to load: the given one, or the first program.

    Raises UsageError if the file is no BPF object, or has no such section.
    """
    if item.way not in WAYS:
        raise UsageError(f"{item.way} is no way to load an object", hint="There are: tc, xdp")
    try:
        with item.path.open("rb") as f:
            elf = ELFFile(f)
            if elf["e_machine"] != "EM_BPF":
                raise UsageError(
                    f"{item.path} is not a BPF object but one for {elf.get_machine_arch()}",
                    hint="Compile it with clang -target bpf.",
                )
            programs = [
                s.name
                for s in elf.iter_sections()
                if s["sh_flags"] & SH_FLAGS.SHF_EXECINSTR and s["sh_size"]
            ]
    except OSError as e:
        raise UsageError(f"{item.path} cannot be read: {e.strerror}") from e
    except (ELFError, UnicodeDecodeError) as e:
        raise UsageError(f"{item.path} is not an ELF object: {e}") from e
    programs = [p for p in programs if not _NOT_A_WAY.fullmatch(p)]
    wanted = item.section or next(iter(programs), None)
    if wanted is None or wanted not in programs:
        raise UsageError(
            f"{item.path} has no program in a section {wanted or 'of its own'}",
            hint="It has: " + (", ".join(programs) or "none"),
        )
    return wanted
