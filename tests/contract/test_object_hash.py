# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The hash that the fix af-alg computes is SHA-1, for every length around a block's end."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from pipeline.host import command

FIXED = Path(__file__).parents[1] / "golden/fixes/v5.11-without-libbpf/out/lib/bpf_legacy.c"
BEGIN, END = "static uint32_t bpf_rol32", "static int bpf_maps_attach_all"
HEAD = """
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))
"""
MAIN = """
int main(int argc, char **argv)
{
	uint8_t out[20];

	for (int i = 1; i < argc; i++) {
		if (bpf_obj_hash(argv[i], out, sizeof(out)))
			return 1;
		for (int k = 0; k < 20; k++)
			printf("%02x", out[k]);
		puts("");
	}
	return 0;
}
"""
LENGTHS = (*range(130), 4095, 4096, 4097, 1_000_003)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a program that hashes files by the code that the fix adds."""
    directory = tmp_path_factory.mktemp("hash")
    text = FIXED.read_text()
    source = directory / "hash.c"
    source.write_text(HEAD + text[text.index(BEGIN) : text.index(END)] + MAIN)
    flags = ["-O2", "-Wall", "-Werror", "-fsanitize=address,undefined"]
    command.run(["gcc", *flags, "-o", directory / "hash", source])
    return directory / "hash"


@pytest.mark.needs("gcc")
def test_it_is_sha1(program: Path, tmp_path: Path) -> None:
    chance = random.Random(1)
    files = [tmp_path / f"{length}.o" for length in LENGTHS]
    for path, length in zip(files, LENGTHS, strict=True):
        path.write_bytes(chance.randbytes(length))
    said = command.run([program, *files]).text.split()
    assert said == [hashlib.sha1(path.read_bytes()).hexdigest() for path in files]


@pytest.mark.needs("gcc")
def test_an_object_that_cannot_be_read(program: Path, tmp_path: Path) -> None:
    """Words and a refusal: a directory is opened and not read."""
    for path, words in ((tmp_path / "no.o", "Error opening"), (tmp_path, "Error reading")):
        done = command.run([program, path], check=False)
        assert done.status == 1 and words in done.stderr.decode()
