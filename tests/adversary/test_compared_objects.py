# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A build leaves object files that are made to take the memory or the time of the comparison.

respin itself reads them, after objdump has in the sandbox. The result is a sentence, at once.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline.build import functions
from pipeline.files.elf import Broken

pytestmark = pytest.mark.attack

# Each of 4,000 pointers is to the same 256 KiB, which have no name.
COPIES = """
.section .rodata
.fill 262144, 1, 7
.data
.type v, @object
v: .rept 4000
.quad .rodata
.endr
.size v, . - v
"""
# Data without a name that refers to itself 60 times.
NESTED = """
.section .rodata
.rept 60
.quad .rodata
.endr
.data
.type v, @object
v: .quad .rodata
.size v, . - v
"""
# 2,000 functions that are all at the same 20,000 instructions.
OVERLAPPING = """
.text
start: .rept 20000
nop
.endr
end:
""" + "".join(
    f".type f{n}, @function\n.set f{n}, start\n.size f{n}, end - start\n" for n in range(2000)
)


def assembled(text: str, directory: Path) -> Path:
    (directory / "it.s").write_text(text)
    subprocess.run(["gcc", "-c", "it.s", "-o", "it.o"], cwd=directory, check=True)
    return directory / "it.o"


@pytest.mark.parametrize("text", [COPIES, NESTED], ids=["copies", "nested"])
def test_what_is_read_again_and_again_is_read_once(text: str, tmp_path: Path) -> None:
    (found,) = functions.read(assembled(text, tmp_path), "objdump")["v"]
    assert found.variable and len(found.body) == 64


def test_functions_that_overlap_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Broken, match=r"refer to more than 64 MiB|takes more than"):
        functions.read(assembled(OVERLAPPING, tmp_path), "objdump")
