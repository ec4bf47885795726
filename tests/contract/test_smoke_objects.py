# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""This machine's clang compiles every smoke case. Another version refuses other things."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from support import real

from pipeline.archives import host_apt
from pipeline.smoke import bpf_object, cases, compile, object_report
from pipeline.vm.machine import machine_for

pytestmark = pytest.mark.needs("clang")


def compiled(architecture: str, directory: Path) -> Mapping[str, Path]:
    return compile.compile_cases(
        cases.all_cases(),
        size=36,
        machine=machine_for(architecture),
        cache=real.cache(),
        log=directory / "objects.log",
    )


def test_every_case(tmp_path: Path) -> None:
    wanted = cases.all_cases()
    made = compiled(host_apt.architecture(), tmp_path)
    assert made.keys() == {case.id for case in wanted} and len(made) > 50
    assert all(path.is_dir() or path.read_bytes()[:4] == b"\x7fELF" for path in made.values())


@pytest.mark.needs("s390x-linux-gnu-gcc")
def test_every_case_in_the_other_byte_order(tmp_path: Path) -> None:
    """What respin reads from an object does not depend on its byte order."""
    little = compiled(host_apt.architecture(), tmp_path)
    big = compiled("s390x", tmp_path)
    for name, path in big.items():
        if path.is_dir():
            assert len(list(path.iterdir())) == len(list(little[name].iterdir()))
            assert (path / "20.o").read_bytes()[:4] == b"\x7fELF"
            continue
        assert not bpf_object.read(path).little
        assert seen(path) == seen(little[name]), name


def seen(path: Path) -> object:
    found = bpf_object.read(path)
    report = object_report.examine(path)
    return (
        *(found.programs, found.maps, found.functions, found.references, found.called),
        *(found.packet_loads, found.formats, found.symbols),
        json.dumps(report["maps"]),
    )
