# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The host does not matter: a bare Debian 12 and a bare Debian 13 make the .debs of this machine.

In each, the commands of the README are run as they are, from nothing. The fast tests pass there,
too, with the distro's own Python, libraries and pytest. The figures name the versions of the tools.
The bare root of the release that this machine runs itself is among the slow tests.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import project, real, wholerun
from support.cli import CHECKOUT
from support.debianpackage import BareRoot

from pipeline.files import os_release

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages"),
]
HERE = os_release.read().get("VERSION_CODENAME")
HOSTS = [
    pytest.param(name, marks=[pytest.mark.slow] if name == HERE else [])
    for name in ("bookworm", "trixie")
]
TOOLS = (
    *("apt", "dpkg", "python3", "mmdebstrap", "coccinelle", "clang-format", "clang", "gcc"),
    "qemu-system-x86",
)
"""Packages whose versions could make a difference."""
TESTS = ("tests/unit", "tests/golden", "tests/contract/test_smoke_objects.py")
CLONE = "/root/iproute2-respin"
Figure = Callable[[str, object], None]


@pytest.fixture(scope="module", params=HOSTS)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the name of a release, made into a bare root with a clone of this repository."""
    directory = tmp_path_factory.mktemp(request.param)
    directory.chmod(0o755)
    (directory / "shared").mkdir()
    shutil.copy(CHECKOUT / "tests/support/respin.toml", directory / "shared")
    ROOTS[request.param] = root = BareRoot(directory / "root", directory / "shared", request.param)
    project.copied(root.path / CLONE.lstrip("/"))
    command(root, "apt-get update -q && apt-get install -q -y git make python3")
    command(root, f"cd {CLONE} && git init -q && git add --all")
    yield request.param
    # It is a whole Debian with compilers: not kept, as pytest would for three runs.
    subprocess.run(["rm", "-rf", "--one-file-system", root.path], check=True)


ROOTS: dict[str, BareRoot] = {}


def made(out: Path) -> dict[str, str]:
    """Return the SHA-256 of each .deb and of the patch that a run has made, by name."""
    files = [*out.glob("debs/*.deb"), *out.glob("patched/patches/*.patch")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def command(root: BareRoot, text: str) -> str:
    """Run a command line in a root and return its output; it has to succeed."""
    done = root.call("sh", "-ec", text, RESPIN_CONFIG="/srv/respin.toml")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_make_deb_from_nothing(
    host: str, tmp_path_factory: pytest.TempPathFactory, record_property: Figure
) -> None:
    root = ROOTS[host]
    begin = time.monotonic()
    command(root, f"cd {CLONE} && make deb RELEASE=bookworm VERSION={real.VERSION}")
    seconds = round(time.monotonic() - begin)
    out = root.path / CLONE.lstrip("/") / "out"
    assert json.loads((out / "report.json").read_text())["outcome"] == "fixed"
    there = made(out)
    query = r"dpkg-query --show --showformat='${Package} ${Version}, ' "
    versions = command(root, query + " ".join(TOOLS))
    record_property("figure", f"host {host}: {versions}make deb from nothing {seconds} s")
    for name, digest in sorted(there.items()):
        record_property("figure", f"host {host}: {digest}  {name}")
    assert f"iproute2_{real.VERSION}+bpf1_amd64.deb" in there
    assert any(name.endswith(".patch") for name in there)
    assert there == made(wholerun.debian_12(tmp_path_factory)[0])


def test_the_fast_tests(host: str) -> None:
    """With what this release has of pytest and of the libraries, and no index but the distro's."""
    libraries = "python3-pytest python3-hypothesis python3-yaml"
    big_endian = "gcc-s390x-linux-gnu libc6-dev-s390x-cross"
    install = f"apt-get install -q -y {libraries} {big_endian}"
    pytest_ = f"python3 -m pytest -q -p no:cacheprovider {' '.join(TESTS)}"
    said = command(ROOTS[host], f"{install} && cd {CLONE} && {pytest_}")
    assert " passed in " in said.splitlines()[-1]
