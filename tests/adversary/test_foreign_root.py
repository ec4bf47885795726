# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A root of another architecture: its maintainer scripts never run outside a user namespace."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.containers import roots
from pipeline.errors import BuildError
from pipeline.host import command
from pipeline.host.cache import Cache
from pipeline.host.resources import package_data
from pipeline.isolation import namespaces
from pipeline.model import Release

SCRIPT = package_data("pipeline.containers", "make-root.sh")
HERE = str(Path("/proc/self/ns/user").readlink())


def made(
    work: Path, mode: str, outside: str | None, *begin: str
) -> subprocess.CompletedProcess[str]:
    """Call the script with a command that makes a root and leaves a mark, as mmdebstrap would."""
    (work / "mnt").mkdir(parents=True)
    dpkg = "mnt/root/var/lib/dpkg"
    fake = f'cd "$0" && touch mark && mkdir -p {dpkg} && touch {dpkg}/status'
    env = {key: value for key, value in os.environ.items() if key != "OUTSIDE"}
    return subprocess.run(
        [*begin, "sh", SCRIPT, work, "disk", "tree", "sh", "-c", fake, work, f"--mode={mode}"],
        env=env if outside is None else {**env, "OUTSIDE": outside},
        capture_output=True,
        text=True,
    )


@pytest.mark.attack
@pytest.mark.parametrize("outside", [None, "", HERE])
def test_not_in_the_namespace_of_respin_itself(outside: str | None, tmp_path: Path) -> None:
    refused = made(tmp_path / "a", "chrootless", outside)
    assert refused.returncode == 1 and "not in a user namespace of its own" in refused.stderr
    assert not (tmp_path / "a/mark").exists()
    # The same call in the other mode, which enters the root, does its work.
    assert made(tmp_path / "b", "root", outside).returncode == 0
    assert (tmp_path / "b/mark").exists()


@pytest.mark.attack
def test_in_a_namespace_of_its_own(tmp_path: Path) -> None:
    done = made(tmp_path / "a", "chrootless", HERE, "unshare", "--user", "--map-root-user")
    assert done.returncode == 0 and (tmp_path / "a/mark").exists(), done.stderr


@pytest.mark.attack
def test_without_namespaces_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a step of `docker build` a root is made in the container itself, but not such a one."""
    begun: list[Any] = []
    trouble = BuildError("this user cannot create namespaces here")
    monkeypatch.setattr(namespaces, "trouble", lambda: trouble)
    monkeypatch.setattr(namespaces, "in_container", lambda: True)
    monkeypatch.setattr(command, "run", lambda argv, **_: begun.append(argv))
    release = Release(distro="debian", codename="bookworm", version="12")
    with pytest.raises(BuildError, match="cannot create namespaces"):
        roots.root_tar([], release, ["dash"], Cache(tmp_path), key=[], log=None, foreign="s390x")
    assert [argv[0] for argv in begun] == ["rm"], "only what it had laid ready is cleared away"


@pytest.mark.attack
def test_the_command_line() -> None:
    assert "--mode=root" in roots._mmdebstrap(["dash"], [], False)
    foreign = roots._mmdebstrap(["dash"], [], False, "s390x")
    assert {"--mode=chrootless", "--variant=custom", "--architectures=s390x"} <= set(foreign)
