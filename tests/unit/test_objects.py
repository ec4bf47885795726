# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is read of a BPF object before it is loaded: its parts, and why a loader refuses it."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.smoke import bpf_object
from pipeline.smoke.bpf_object import Description, Function, MapSymbol, Reference, read, text
from pipeline.smoke.limits import causes, limits
from pipeline.smoke.loader_limit import EARLIER_FIX, LoaderLimit, Target
from pipeline.smoke.user_object import UserObject, kind_of, user_section

EM_BPF, EM_X86_64 = 247, 62
EXECUTABLE = 6  # SHF_ALLOC | SHF_EXECINSTR


def elf(path: Path, sections: dict[str, int], machine: int = EM_BPF) -> Path:
    """Write an ELF object with sections of these names and flags, eight bytes each."""
    names = b"\0" + b"".join(n.encode() + b"\0" for n in [*sections, ".shstrtab"])
    at = 64
    headers = [bytes(64)]
    for name, flags in sections.items():
        offset = names.index(b"\0" + name.encode() + b"\0") + 1
        headers.append(struct.pack("<IIQQQQIIQQ", offset, 1, flags, 0, at, 8, 0, 0, 8, 0))
        at += 8
    strtab = names.index(b"\0.shstrtab\0") + 1
    headers.append(struct.pack("<IIQQQQIIQQ", strtab, 3, 0, 0, at, len(names), 0, 0, 1, 0))
    body = bytes(8 * len(sections)) + names
    body += bytes(-len(body) % 8)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    count = len(headers)
    head = struct.pack(
        *("<HHIQQQIHHHHHH", 1, machine, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64),
        *(count, count - 1),
    )
    path.write_bytes(ident + head + body + b"".join(headers))
    return path


def test_the_first_program_of_a_users_object(tmp_path: Path) -> None:
    path = elf(
        tmp_path / "o", {".text": EXECUTABLE, "maps": 3, "mine": EXECUTABLE, "b": EXECUTABLE}
    )
    assert user_section(UserObject(path=path)) == "mine"
    assert user_section(UserObject(path=path, section="b")) == "b"


@pytest.mark.parametrize("section", ["maps", ".text", "nonsense"])
def test_a_section_without_a_program(tmp_path: Path, section: str) -> None:
    path = elf(tmp_path / "o", {".text": EXECUTABLE, "maps": 3, "mine": EXECUTABLE})
    with pytest.raises(UsageError, match="has no program") as e:
        user_section(UserObject(path=path, section=section))
    assert "mine" in e.value.hint


def test_an_object_with_no_program(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no program"):
        user_section(UserObject(path=elf(tmp_path / "o", {"maps": 3})))


def test_an_object_for_another_machine(tmp_path: Path) -> None:
    path = elf(tmp_path / "o", {"mine": EXECUTABLE}, EM_X86_64)
    with pytest.raises(UsageError, match="not a BPF object; it is for x64"):
        user_section(UserObject(path=path))


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"text", b"\x7fELF\x02\x01\x01" + bytes(99)])
def test_a_file_that_is_no_object(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "o").write_bytes(content)
    with pytest.raises(UsageError):
        user_section(UserObject(path=tmp_path / "o"))


def test_truncated_objects(tmp_path: Path) -> None:
    whole = elf(tmp_path / "o", {"mine": EXECUTABLE}).read_bytes()
    for size in range(len(whole)):
        (tmp_path / "o").write_bytes(whole[:size])
        with pytest.raises(UsageError):
            user_section(UserObject(path=tmp_path / "o"))


def test_no_such_file_and_no_such_way(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="could not read"):
        user_section(UserObject(path=tmp_path / "none"))
    with pytest.raises(UsageError, match="is not an attach type"):
        user_section(UserObject(path=tmp_path / "none", way="tape"))


def legacy(name: str = "counts", **changes: object) -> MapSymbol:
    values = (2, 4, 8, 1, 0, 0, 2, 0, 0)
    fields = {"section": "maps", "offset": 0, "local": False, "typed": True, "values": values}
    return MapSymbol(name=name, **(fields | changes))  # type: ignore[arg-type]


def legacies(number: int) -> dict[str, object]:
    """Return the changes for an object with so many maps."""
    return {
        "maps": tuple(legacy(f"m{n}", offset=36 * n) for n in range(number)),
        "sections": (("classifier", 64), ("maps", 36 * number)),
    }


def uses(target: str, section: str = "classifier", symbol: str = "x") -> Reference:
    return Reference(section=section, offset=0, target=target, symbol=symbol)


def description(**changes: object) -> Description:
    fields: dict[str, object] = {
        "sections": (("classifier", 64), ("maps", 36)),
        "programs": ("classifier",),
        "maps": (legacy(),),
        "symbols": (("counts", "maps", 0),),
        "references": (uses("maps"),),
        "struct": 36,
    }
    return Description(**(fields | changes))  # type: ignore[arg-type]


FIXED, DISTRO, OWN = "libbpf-1-fixed", "libbpf-1", "own"
WITH_TEXT = (("classifier", 64), ("maps", 36), (".text", 8))


def target(loader: str = FIXED, **changes: str) -> Target:
    fields = {"version": "6.1.0-3", "section": "classifier", "kind": "tc"}
    return Target(loader=loader, little=True, **(fields | changes))


def certain(found: Description, to: Target) -> list[LoaderLimit]:
    return [limit for limit in limits(found, to) if limit.certain]


@pytest.mark.parametrize("loader", [FIXED, OWN, "libbpf-0", EARLIER_FIX])
def test_a_plain_legacy_object_runs_into_no_limit(loader: str) -> None:
    assert limits(description(), target(loader)) == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"sections": (("classifier", 64), ("maps", 36), (".rodata", 9), (".bss", 4))},
        {"references": (uses("maps"), uses(".rodata", section="other"))},
        {"sections": WITH_TEXT, "references": (uses("maps"), uses("maps", section=".text"))},
        {"sections": (*description().sections, (".maps", 32)), "btf": 9},
    ],
    ids=["unused data", "data of another program", "a function with a map", "unused BTF maps"],
)
def test_a_section_that_exists_is_no_limit(changes: dict[str, object]) -> None:
    for loader in (FIXED, OWN, EARLIER_FIX):
        assert certain(description(**changes), target(loader)) == []


SEVERAL = (("classifier", 64), ("maps", 20), ("maps", 20))
NEAR = description(maps=(), references=(uses(".map"),), sections=(("classifier", 64),))
OUTER = legacy("outer", values=(12, 4, 4, 1, 0, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("found", "words", "said"),
    [
        (
            description(maps=(legacy(local=True),), struct=None),
            "counts is static",
            "0 maps not supported in current map section!",
        ),
        (description(maps=(), struct=None), "no symbol names", "0 maps not supported in current"),
        (description(stripped=True), "symbol table was stripped", "any words"),
        (
            description(sections=SEVERAL, struct=None),
            "2 sections named maps",
            "ELF contains non-{map,call} related relo data in entry 0",
        ),
        (NEAR, r"section \.map, which no loader", "bad map relo against 'counts'"),
        (description(**legacies(65)), "65 legacy maps", "Too many BPF maps in ELF section!"),
        (description(struct=44), "44 bytes", "struct bpf_elf_map not supported, coming from"),
        (description(struct=12), "12 bytes", "struct bpf_elf_map too small, not supported!"),
        (
            description(sections=(("classifier", 64), ("maps", 72))),
            "no symbol, or the definitions differ",
            "Different struct bpf_elf_map in use!",
        ),
        (description(maps=(OUTER,)), "outer has no inner_id", "since no inner map ID defined!"),
        (
            description(sections=(("classifier", 64), (".maps", 32)), maps=()),
            "no BTF",
            "libbpf: BTF is required, but is missing or corrupted.",
        ),
        (
            description(called=frozenset({"classifier"}), packet_loads=frozenset({".text"})),
            "LD_ABS",
            "LD_ABS is not allowed in subprogs without BTF",
        ),
        (
            description(maps=(legacy(values=(2, 4, 8, 1, 0, 0, 1)),)),
            "AF_ALG",
            "Missing kernel AF_ALG support for PIN_OBJECT_NS!",
        ),
        (description(), "pinned already.*counts", "Map specification differs from pinned file!"),
        (description(little=False), "endian machines", "wrong endianness"),
    ],
)
def test_each_refusal_has_its_cause(found: Description, words: str, said: str) -> None:
    (cause,) = causes(found, target(), said)
    assert re.search(words, cause.what)
    assert cause.remedy


def test_what_only_words_of_tc_can_show_is_not_guessed() -> None:
    found = description(maps=(legacy(values=(2, 4, 8, 1, 0, 0, 1)),), btf=9)
    assert causes(found, target(OWN), "Permission denied") == ()


LIMITS_OF_LOADERS = [
    (description(), "legacy maps", {DISTRO}),
    (description(references=(uses("maps"), uses(".rodata"))), "constants", {OWN, EARLIER_FIX}),
    (description(sections=WITH_TEXT), "functions in .text", {OWN, EARLIER_FIX}),
    (description(references=(uses(".maps"),)), "only libbpf loads", {OWN, EARLIER_FIX}),
    (
        description(
            maps=(),
            sections=(("classifier", 64),),
            functions=(Function(name="f", section="classifier", offset=0, local=True),),
        ),
        "f is static",
        {DISTRO, EARLIER_FIX},
    ),
]


@pytest.mark.parametrize(("found", "words", "loaders"), LIMITS_OF_LOADERS)
def test_a_limit_belongs_to_its_loaders(found: Description, words: str, loaders: set[str]) -> None:
    for loader in (DISTRO, FIXED, OWN, "libbpf-0", EARLIER_FIX):
        told = [limit.what for limit in certain(found, target(loader))]
        assert any(words in what for what in told) == (loader in loaders), loader


def functions(section: str) -> tuple[Function, ...]:
    return tuple(
        Function(name=name, section=section, offset=8 * n, local=True)
        for n, name in enumerate("fg")
    )


def test_static_programs_of_one_section_load() -> None:
    found = description(functions=functions("classifier"))
    assert limits(found, target()) == ()
    assert "f is static" in limits(found, target(DISTRO))[1].what


@pytest.mark.parametrize(
    ("section", "inside"), [("classifier", frozenset({"classifier"})), (".text", frozenset())]
)
def test_the_fix_gives_the_own_loader_what_libbpf_never_takes(
    section: str, inside: frozenset[str]
) -> None:
    found = description(functions=functions(section), called_inside=inside)
    assert limits(found, target(section=section)) == ()
    data = description(
        functions=functions(section),
        called_inside=inside,
        references=(uses(".rodata", section=section),),
    )
    (limit,) = limits(data, target(section=section))
    assert "own loader does not support" in limit.what


def test_libbpf_looks_for_functions_in_text_only() -> None:
    found = description(called_inside=frozenset({"classifier"}))
    for loader in ("libbpf-0", DISTRO):
        assert any("in .text only" in one.what for one in limits(found, target(loader)))


def test_a_limit_of_the_earlier_fix_is_said_to_be_one() -> None:
    said = "ELF contains non-{map,call} related relo data in entry 1 pointing to section 7!"
    found = description(references=(uses("maps"), uses(".rodata")), formats=frozenset({".rodata"}))
    (cause,) = causes(found, target(), said)
    assert "newer respin" in cause.remedy and "-DBPF_NO_GLOBAL_DATA" in cause.remedy
    assert "newer respin" not in causes(found, target(OWN), said)[0].remedy


def test_old_releases_have_limits_of_their_own() -> None:
    found = description(called=frozenset({"classifier"}))
    (limit,) = limits(found, target(OWN, version="4.15.0-2"))
    assert "before v4.19" in limit.what
    (limit,) = limits(description(), target("own-notype", version="4.15.0-2"))
    assert "STT_OBJECT" in limit.what
    small = description(struct=28, sections=(("classifier", 64), ("maps", 28)))
    assert limits(small, target(OWN, version="4.9.0-1")) == ()
    (limit,) = limits(description(), target(OWN, version="4.9.0-1"))
    assert "accepts 28" in limit.what
    (limit,) = limits(description(), target(OWN, version="4.10.0-1"))
    assert "accepts 16 to 28" in limit.what


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ("classifier", "tc"),
        ("tc/ingress", "tc"),
        ("xdp_pass", "xdp"),
        ("lwt_xmit", "lwt"),
        ("kprobe/sys_open", ""),
        ("tcp_options", None),
        ("xdping", None),
        ("mine", None),
        ("2/0", None),
    ],
)
def test_what_the_name_of_a_section_says(section: str, kind: str | None) -> None:
    assert kind_of(section) == kind


def test_a_program_for_another_attach_type() -> None:
    (cause,) = causes(description(), target(section="xdp"), "Prog section 'xdp' rejected")
    assert "XDP" in cause.what and "--way" in cause.remedy
    (cause,) = causes(description(), target(section="kprobe/x"), "BPF program load failed")
    assert "neither tc nor ip" in cause.what


@pytest.mark.parametrize(
    ("programs", "way", "wanted"),
    [
        (["xdp", "classifier"], "tc", "classifier"),
        (["classifier", "xdp_pass"], "xdp", "xdp_pass"),
        (["lwt_in", "lwt_xmit"], "lwt-xmit", "lwt_xmit"),
        (["classifier", "action"], "action", "action"),
        (["kprobe/x", "mine"], "tc", "mine"),
        (["first", "second"], "tc", "first"),
        (["kprobe/x"], "tc", "kprobe/x"),
    ],
)
def test_the_program_that_fits_the_attach_type(
    tmp_path: Path, programs: list[str], way: str, wanted: str
) -> None:
    path = elf(tmp_path / "o", dict.fromkeys(programs, EXECUTABLE))
    assert user_section(UserObject(path=path, way=way)) == wanted


@pytest.mark.parametrize(
    ("content", "words", "command"),
    [
        (b'#include <linux/bpf.h>\nchar l[] SEC("maps");\n', "C source", "clang -O2 -target"),
        (b'#include "x.h"\n... SEC(".maps");\n', "C source", "clang -O2 -g -target bpf"),
        (b"BC\xc0\xde" + bytes(60), "LLVM bitcode", "llc -march=bpf"),
        (b"; ModuleID = 'x.c'\n", "LLVM bitcode", "llc -march=bpf"),
    ],
)
def test_what_is_not_compiled_has_the_command(
    tmp_path: Path, content: bytes, words: str, command: str
) -> None:
    path = tmp_path / "my prog.c"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=words) as e:
        read(path)
    assert command in e.value.hint and f"'{path}'" in e.value.hint


def test_a_description_is_read_and_shown(tmp_path: Path) -> None:
    found = read(elf(tmp_path / "o", {".text": EXECUTABLE, ".bss": 3, "mine": EXECUTABLE}))
    assert (found.programs, found.references, found.maps) == (("mine",), (), ())
    assert (".bss", 8) in found.sections
    assert "programs: mine" in text(found)
    shown = text(description(maps=(legacy(local=True, typed=False),)))
    assert "map counts: section maps, offset 0, local symbol, symbol without a type" in shown


def test_a_call_in_both_byte_orders() -> None:
    """BPF_PSEUDO_CALL is in the source register, whose half of the byte depends on the order."""
    for registers, little in ((0x10, True), (0x01, False)):
        code = bytes([0x85, registers, *6 * [0]])
        assert [*bpf_object._calls(code, little=little)] == [0]
        assert [*bpf_object._calls(code, little=not little)] == []
