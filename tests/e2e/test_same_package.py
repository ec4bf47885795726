# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""One source gives one package, byte for byte, out of every kind of container, whoever builds.

The source is a small one; test_docker.py and test_run.py hold the same for iproute2.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import buildin, cli, engine, real
from support.buildin import Made

from pipeline.cli import doctor
from pipeline.containers import images, roots
from pipeline.containers.oci_engine import LABEL, OciEngine

pytestmark = pytest.mark.e2e
LOCAL = "iproute2-respin-test:workshop"
MISSING = {"ccache", "fakeroot"}
"""What the workshop lacks for a build, so that something is installed over it."""


@pytest.fixture(scope="module")
def docker() -> Iterator[OciEngine]:
    """Return Docker; the images that were made here are gone in the end."""
    with engine.docker() as found:
        before = set(found.ids("image", "--all"))
        yield found
        for image in set(found.ids("image", "--all")) - before:
            found.call("image", "rm", "--force", image, check=False)


@pytest.fixture(scope="module")
def workshop(docker: OciEngine) -> str:
    """Return an image of Debian 12 with apt, Python and nearly all that the build needs."""
    archive = real.archive()
    names = [*archive.essential(()), "build-essential", "apt", "debian-archive-keyring"]
    names += ["distro-info-data", "debootstrap"]
    names += [need.package for need in doctor.needs() if need.stages == ("setup",)]
    key = archive.closure(names, dsc=real.dsc())
    assert not MISSING & {package.name for package in key}
    release = archive.release
    tree = roots.root_tree(archive.sources, release, names, real.cache(), key=key, log=None)
    docker.call("image", "tag", images.imported(docker, tree, release, real.cache()), LOCAL)
    return LOCAL


@pytest.fixture(scope="module")
def directory(ordinary_user: str | None) -> Iterator[Path]:
    """Return a directory for sources and packages that an ordinary user can read and write."""
    path = Path(tempfile.mkdtemp(prefix="respin-same-"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def sources(directory: Path) -> tuple[Path, Path]:
    """Return the .dsc to be built and the .dsc whose build dependencies the root has."""
    dsc = real.tiny(directory / "source")
    shutil.copytree(real.dsc().parent, directory / "root")
    subprocess.run(["chmod", "-R", "a+rX", directory], check=True)
    return dsc, directory / "root" / real.dsc().name


@pytest.fixture(scope="module")
def expected(directory: Path, sources: tuple[Path, Path]) -> dict[str, str]:
    """Return the hashes of what comes out of namespaces, as the user who runs the tests."""
    made = here("unshare", "", sources, directory)
    assert made.container == "unshare"
    assert sorted(made.debs) == ["tiny-dbgsym_1.0_amd64.deb", "tiny_1.0_amd64.deb"]
    return made.debs


def here(kind: str, image: str, sources: tuple[Path, Path], directory: Path) -> Made:
    """Build as the user who runs the tests, with their cache."""
    return buildin.build(kind, image, *sources, directory / kind, real.cache().root)


def as_user(
    user: str | None, kind: str, image: str, sources: tuple[Path, Path], *more: str
) -> Made:
    """Build as an ordinary user with a cache of their own; ``more`` is of the environment."""
    home = Path(tempfile.mkdtemp(prefix="respin-same-user-"))
    if user is not None:
        shutil.chown(home, user)
    argv: list[str | Path] = [*cli.python(user, None, None, *more), "-", kind, image, *sources]
    try:
        return program([*argv, home / "out", home / "cache"])
    finally:
        remove: list[str | Path] = ["rm", "-rf", home]
        if os.geteuid() != 0:
            remove = ["unshare", "--user", "--map-auto", "--map-root-user", *remove]
        subprocess.run(remove, check=True)


def program(argv: list[str | Path]) -> Made:
    """Run buildin.py as a program, by a command line that reads it."""
    with Path(buildin.__file__).open("rb") as script:
        done = subprocess.run(
            argv, stdin=script, cwd="/", capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr[-5000:]
    return Made(**json.loads(done.stdout))


def test_of_namespaces_as_an_ordinary_user(
    sources: tuple[Path, Path], expected: dict[str, str], ordinary_user: str | None
) -> None:
    made = as_user(ordinary_user, "unshare", "", sources)
    assert (made.container, made.debs) == ("unshare", expected)


@pytest.mark.needs("docker-registry")
def test_of_docker_over_an_image_pulled_by_digest(
    docker: OciEngine,
    workshop: str,
    directory: Path,
    sources: tuple[Path, Path],
    expected: dict[str, str],
    tmp_path: Path,
) -> None:
    with engine.registry(tmp_path) as place:
        name = f"{place}/debian:bookworm"
        docker.call("image", "tag", workshop, name)
        docker.call("image", "push", name)
        docker.call("image", "rm", name)
        made = here("docker", name, sources, directory)
    assert (made.container, made.debs) == ("docker", expected)
    assert re.fullmatch(rf"{place}/debian@sha256:[0-9a-f]{{64}}", made.image)
    assert set(made.root) >= {"debhelper", "gcc", *MISSING}


def test_of_docker_as_an_ordinary_user(
    docker: OciEngine,
    workshop: str,
    sources: tuple[Path, Path],
    expected: dict[str, str],
    ordinary_user: str | None,
) -> None:
    """Docker builds for everybody to whom its socket is given, which is the only way to it."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if ordinary_user:
        socket = Path(host.removeprefix("unix://"))
        if not socket.parent.name.startswith("respin-dockerd-"):
            pytest.skip("the daemon is the machine's own: its socket is not given to others")
        socket.parent.chmod(0o711)
        os.chown(socket, pwd.getpwnam(ordinary_user).pw_uid, -1)
    made = as_user(ordinary_user, "docker", workshop, sources, f"DOCKER_HOST={host}")
    assert (made.container, made.debs) == ("docker", expected)


def test_of_podman(directory: Path, sources: tuple[Path, Path], expected: dict[str, str]) -> None:
    with engine.podman():
        made = here("podman", "scratch", sources, directory)
    assert (made.container, made.debs) == ("podman", expected)


def test_in_place_in_a_container(
    docker: OciEngine,
    workshop: str,
    directory: Path,
    sources: tuple[Path, Path],
    expected: dict[str, str],
) -> None:
    """``host`` in a container of Docker that may be used up; it completes itself by apt."""
    argv: list[str | Path] = ["docker", "container", "run", "--rm", "--interactive"]
    argv += ["--network=host", f"--label={LABEL}"]
    for path in (directory, cli.installed()):
        argv.append(f"--volume={path}:{path}:ro")
    argv += [f"--env={each}" for each in cli.environment() if not each.startswith("PATH=")]
    argv += [workshop, "python3", "-W", "error", "-", "host", ""]
    made = program([*argv, *sources, "/made", "/cache"])
    assert (made.container, made.debs) == ("host", expected)
    assert set(made.root) >= MISSING | {"python3"}
