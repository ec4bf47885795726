# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is read of a BPF object before it is loaded: its parts, and the limits it runs into."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.smoke.bpf_object import (
    Description,
    MapSymbol,
    UserObject,
    limits,
    read,
    text,
    user_section,
)

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
    fields = {"section": "maps", "offset": 0, "local": False, "typed": True}
    return MapSymbol(name=name, **(fields | changes))  # type: ignore[arg-type]


def description(**changes: object) -> Description:
    fields: dict[str, object] = {
        "sections": (("classifier", 64), ("maps", 36)),
        "programs": ("classifier",),
        "maps": (legacy(),),
        "symbols": (("counts", "maps", 0),),
        "data": (),
        "calls": False,
        "btf": 0,
        "struct": 36,
    }
    return Description(**(fields | changes))  # type: ignore[arg-type]


def test_a_plain_legacy_object_runs_into_no_limit() -> None:
    assert limits(description()) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"maps": (legacy(), legacy("more", section=".maps"))}, "both sections"),
        (
            {"maps": (legacy(local=True),), "struct": None},
            "symbol of a legacy map is local: counts",
        ),
        ({"maps": ()}, "there is no symbol at all"),
        ({"data": (".rodata", ".bss")}, r"\.rodata, \.bss"),
        ({"calls": True}, "one function calls another"),
        ({"maps": tuple(legacy(f"m{n}") for n in range(65))}, "65 legacy maps"),
        ({"struct": 44}, "44 bytes"),
        ({"struct": 12}, "12 bytes"),
        ({"btf": 100}, "BTF"),
    ],
)
def test_each_limit_is_named_and_says_what_to_do(changes: dict[str, object], words: str) -> None:
    (found,) = limits(description(**changes))
    assert re.search(words, found.what)
    assert found.remedy


def test_without_legacy_maps_there_is_no_limit_of_theirs() -> None:
    sections = (("classifier", 64), (".maps", 32))
    maps = (legacy(section=".maps", local=True),)
    found = description(sections=sections, maps=maps, data=(".bss",), calls=True, btf=9)
    assert limits(found) == ()


def test_the_struct_may_be_as_large_as_this_iproute2_takes_it() -> None:
    assert limits(description(struct=28), size=28) == ()
    assert "16 to 28" in limits(description(struct=36), size=28)[0].what


def test_a_description_is_read_and_shown(tmp_path: Path) -> None:
    found = read(elf(tmp_path / "o", {".text": EXECUTABLE, ".bss": 3, "mine": EXECUTABLE}))
    assert (found.programs, found.data, found.maps) == (("mine",), (".bss",), ())
    assert "programs: mine" in text(found)
    shown = text(description(maps=(legacy(local=True, typed=False),)))
    assert "map counts: section maps, offset 0, local symbol, symbol without a type" in shown
