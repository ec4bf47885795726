# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Which functions differ between two builds, as the compilers of this machine make them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline.build import comparison, functions, object_files
from pipeline.build.comparison import Side
from pipeline.model import Difference
from pipeline.vm import machine

# Each refers to a string, to static data, to a jump table and to a function of its own file.
SOURCE = """
#include <stdio.h>
#include <string.h>

static int total;
static const char *const names[] = {"first", "second", "third"};

@EXTRA@
__attribute__((noinline)) static int helper(int n)
{
	static int calls;

	calls += n;
	return calls + total;
}

int choose(int n)
{
	switch (n) {
	case 0: return helper(3) + puts("zero");
	case 1: return helper(5) * puts("one");
	case 2: return helper(n + 7) - puts("two");
	case 3: return helper(11) ^ puts("three");
	case 4: return helper(13) | puts("@WORD@");
	case 5: return helper(17) & puts("five");
	case 6: return helper(n * 19) / 3;
	}
	return n;
}

int last(const char *text)
{
	if (strcmp(text, "same"))
		fprintf(stderr, "not %s but %s\\n", text, names[total % 3]);
	return total += @NUMBER@;
}
"""
EXTRA = """
__attribute__((noinline)) int more(const char *text)
{
	static int calls;

	return fprintf(stderr, "more %s\\n", text) + calls++ + total;
}
"""
NATIVE = next(name for name, m in machine.machines().items() if m.native)
KNOWN = (NATIVE, "arm64", "s390x")
"""Those whose compilers tests/packages.txt names."""


def compiled(directory: Path, architecture: str, **values: str) -> Path:
    """Compile the source with these words in it; return the directory with the object file."""
    text = SOURCE
    for name, word in {"EXTRA": "", "WORD": "four", "NUMBER": "1", **values}.items():
        text = text.replace(f"@{name}@", word)
    directory.mkdir()
    (directory / "it.c").write_text(text)
    compiler = machine.machine_for(architecture).compiler
    # As dpkg-buildflags has it.
    argv = [compiler, "-g", "-O2", "-fPIE", "-fstack-protector-strong", "-c", "it.c"]
    subprocess.run([*argv, "-o", "lib@it.o"], cwd=directory, check=True)
    return directory


def changed(old: Path, new: Path, scratch: Path, architecture: str) -> dict[str, Difference]:
    """Return the names that differ, and how."""
    found = comparison.compare(
        Side(debs=(), objects=old),
        Side(debs=(), objects=new),
        scratch,
        objdump=machine.machine_for(architecture).objdump,
        in_patch=lambda name: True,
    )
    assert found.objects == 1 and not found.unread and not found.files
    assert {each.object for each in found.symbols} <= {"lib/it.o"}
    return {each.name: each.how for each in found.symbols}


@pytest.fixture(params=dict.fromkeys(KNOWN))
def architecture(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_a_function_that_moves_is_the_same(architecture: str, tmp_path: Path) -> None:
    old = compiled(tmp_path / "old", architecture)
    new = compiled(tmp_path / "new", architecture, EXTRA=EXTRA)
    assert (old / "lib@it.o").read_bytes() != (new / "lib@it.o").read_bytes()
    found = changed(old, new, tmp_path / "scratch", architecture)
    # The static variable of helper() is in both, now beside another of the same name.
    assert found.pop("more") is Difference.ADDED
    assert set(found) <= {"calls"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [({}, set()), ({"WORD": "other"}, {"choose"}), ({"NUMBER": "2"}, {"last"})],
    ids=["nothing", "a string", "a number"],
)
def test_what_differs_is_named_and_nothing_else(
    values: dict[str, str], expected: set[str], architecture: str, tmp_path: Path
) -> None:
    old = compiled(tmp_path / "old", architecture)
    new = compiled(tmp_path / "new", architecture, **values)
    found = changed(old, new, tmp_path / "scratch", architecture)
    assert found == dict.fromkeys(expected, Difference.CHANGED)


def test_what_goes_is_named(architecture: str, tmp_path: Path) -> None:
    old = compiled(tmp_path / "old", architecture, EXTRA=EXTRA)
    new = compiled(tmp_path / "new", architecture)
    assert changed(old, new, tmp_path / "s", architecture)["more"] is Difference.REMOVED


def test_code_that_only_the_linker_makes_is_said_to_be_unread(tmp_path: Path) -> None:
    sides = []
    for word in ("four", "other"):
        directory = compiled(tmp_path / word, NATIVE, WORD=word)
        subprocess.run(
            ["gcc", "-O2", "-flto", "-c", "it.c", "-o", "lib@it.o"], cwd=directory, check=True
        )
        sides.append(Side(debs=(), objects=directory))
    old, new = sides
    found = comparison.compare(
        old, new, tmp_path / "scratch", objdump="objdump", in_patch=lambda name: True
    )
    assert found.unread == ("lib/it.o",)


def test_numbers_that_the_compiler_adds_do_not_count() -> None:
    assert functions.plain("bpf_tmp.5") == "bpf_tmp"
    assert functions.plain("bpf_map_attach.constprop.0.isra.1") == "bpf_map_attach.constprop.isra"
    assert object_files.names(Path("/nonexistent")) == {}
