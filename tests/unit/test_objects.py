"""The smoke cases as data, and the reading of a user's object."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from pipeline.data import data_path, render
from pipeline.errors import UsageError
from pipeline.objects import (
    LOADERS,
    UserObject,
    all_cases,
    map_struct_size,
    select,
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


def test_the_cases_are_those_of_the_issue() -> None:
    default = {(c.name, c.way) for c in select(None)}
    assert default == {
        ("pinned-hash", "tc"),
        ("pinned-hash", "xdp"),
        ("several-maps", "tc"),
        ("btf-maps", "tc"),
        ("static-map", "tc"),
        ("both-sections", "tc"),
        ("program-name", "tc"),
    }
    assert [c.repeat for c in select(["batch"])] == [1000]


def test_every_case_expects_something_of_every_loader_for_a_reason() -> None:
    for case in all_cases():
        assert tuple(case.expect) == LOADERS
        assert all(reason for _, reason in case.expect.values())
        assert data_path("templates", "objects", case.template).is_file()
        assert case.pins


def test_a_case_that_is_none() -> None:
    with pytest.raises(UsageError, match="no smoke case nonsense") as e:
        select(["pinned-hash", "nonsense"])
    assert "several-maps" in e.value.hint


@pytest.mark.parametrize(
    ("version", "size"),
    [
        ("4.5.0-1", 24),
        ("4.6.0-1", 28),
        ("4.9.0-1+deb9u1", 28),
        ("4.12.0-1", 28),
        ("4.13.0-1", 36),
        ("4.15.0-2ubuntu1", 36),
        ("6.1.0-3", 36),
        ("1:6.1.0-3", 36),
    ],
)
def test_the_struct_is_that_of_the_release(version: str, size: int) -> None:
    assert map_struct_size(version) == size
    source = render("objects/pinned-hash.c.j2", way="tc", section="classifier", size=size)
    body = source.partition("struct bpf_elf_map {")[2].partition("}")[0]
    assert body.count("__u32") * 4 == size


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
    with pytest.raises(UsageError, match="not a BPF object but one for x64"):
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
    with pytest.raises(UsageError, match="cannot be read"):
        user_section(UserObject(path=tmp_path / "none"))
    with pytest.raises(UsageError, match="no way to load"):
        user_section(UserObject(path=tmp_path / "none", way="lwt"))
