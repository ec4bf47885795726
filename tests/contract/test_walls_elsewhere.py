# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A wall where respin is itself in something: a chroot, a namespace with few ids."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import cli

from pipeline.isolation import ids, namespaces
from pipeline.isolation.order import Order, WallKind

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root is in a chroot, or has all ids")
ASK = (
    "from pipeline.isolation import namespaces; from pipeline.isolation import ids;"
    "namespaces.check(); print(ids.mine().uid, ids.mine().words)"
)


@pytest.fixture(autouse=True, scope="module")
def _no_installation_left() -> Iterator[None]:
    yield
    cli.remove_installed()


@ROOT
def test_root_in_a_chroot(tmp_path: Path) -> None:
    """The kernel makes no user namespace for who is in one; so that is left first."""
    script = 'mount --rbind / "$1" && shift && exec chroot "$@"'
    argv = ["unshare", "--mount", "sh", "-c", script, "sh", *[str(tmp_path)] * 2, sys.executable]
    said = subprocess.run([*argv, "-c", ASK], cwd="/", env=with_us(), capture_output=True)
    assert (said.returncode, said.stderr) == (0, b"")
    assert said.stdout.decode().startswith(str(ids.mine().uid))


@ROOT
def test_root_with_few_ids() -> None:
    """As in rootless podman: the wall has the same ids as what it is in."""
    outer = Order(
        kind=WallKind.ALL, ids=ids.mine(), network=True, caps=None, directory="", inherit=True
    )
    # Neither the tests' Python nor the checkout need be readable for who is nobody.
    argv = [*outer.argv(), *cli.python(None), "-c", ASK]
    said = subprocess.run(argv, cwd="/", env=namespaces.ENVIRONMENT, capture_output=True)
    assert (said.returncode, said.stderr) == (0, b"")
    assert said.stdout.decode().startswith("((0, 0, 65536),) this container has few ids")


def with_us() -> dict[str, str]:
    """Return an environment in which Python finds this checkout."""
    return {**os.environ, "PYTHONPATH": str(Path(namespaces.__file__).parents[2])}
