# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Docker's names of architectures, and Debian's."""

from __future__ import annotations

import json
import subprocess

import pytest
from support import cli

from pipeline.archives import host_apt
from pipeline.host.resources import package_data

SCRIPT = cli.CHECKOUT / "tools/docker/architecture.sh"


def said(*argv: str) -> subprocess.CompletedProcess[str]:
    """Call the script that the Dockerfile asks for the packages' architecture."""
    return subprocess.run(["sh", SCRIPT, *argv], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        ([""], ""),
        (["", "", ""], ""),
        (["s390x", "", ""], "s390x"),
        (["armhf", "arm64", "v8"], "armhf"),
        (["", "amd64", ""], "amd64"),
        (["", "arm64", ""], "arm64"),
        (["", "arm64", "v8"], "arm64"),
        (["", "arm", "v7"], "armhf"),
        (["", "386", ""], "i386"),
        (["", "ppc64le", ""], "ppc64el"),
        (["", "riscv64", ""], "riscv64"),
    ],
)
def test_a_platform_of_docker_is_an_architecture_of_debian(argv: list[str], name: str) -> None:
    done = said(*argv)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == (name if name != host_apt.architecture() else "")


@pytest.mark.parametrize("argv", [["x86_64"], ["", "mips64le"], ["", "arm", "v5"], ["$(id)"]])
def test_another_one_is_refused(argv: list[str]) -> None:
    done = said(*argv)
    assert done.returncode == 2 and done.stdout == ""
    assert "is none of amd64, arm64" in done.stderr and done.stderr.count("\n") == 1


def test_it_takes_those_of_the_configuration() -> None:
    schema = json.loads(package_data("pipeline.config", "respin.schema.json").read_text())
    for name in schema["definitions"]["architectures"]["items"]["enum"]:
        assert said(name).returncode == 0
