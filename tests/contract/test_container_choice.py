# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Which container is chosen, and what is said of one that cannot be used."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from pipeline.containers import engines, oci_engine
from pipeline.containers.apt_inside import check_release
from pipeline.containers.engines import Kind
from pipeline.errors import BuildError, UsageError
from pipeline.host.cache import Cache
from pipeline.isolation import namespaces
from pipeline.model import Release
from pipeline.run import run
from pipeline.runs.request import Request

BOOKWORM = Release(distro="debian", codename="bookworm", version="12")
NEEDS_DOCKER = pytest.mark.needs("docker")


def program(directory: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program of that name before all others."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


def test_auto_takes_namespaces_where_they_can_be_had_and_says_so() -> None:
    assert namespaces.possible()
    chosen = engines.choose(Kind.AUTO)
    assert chosen.name == "unshare" and "namespaces" in chosen.why


@pytest.mark.parametrize(
    ("in_container", "answers", "name"),
    [(True, True, "docker"), (False, True, "docker"), (False, False, None), (True, False, None)],
)
def test_auto_without_namespaces(
    in_container: bool,
    answers: bool,
    name: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = "echo 24.0.7" if answers else "echo Cannot connect >&2; exit 1"
    for each in ("docker", "podman"):
        program(tmp_path, each, script, monkeypatch)
    program(tmp_path, "python", "echo not permitted >&2; exit 1", monkeypatch)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setattr(namespaces, "in_container", lambda: in_container)
    namespaces.trouble.cache_clear()
    try:
        if name:
            chosen = engines.choose(Kind.AUTO)
            assert chosen.name == name and "namespaces" in chosen.why
        else:
            with pytest.raises(BuildError, match="cannot create namespaces") as caught:
                engines.choose(Kind.AUTO)
            assert "docker does not answer" in str(caught.value.details)
            # In place is offered, never taken: it changes the machine.
            offered = in_container and os.geteuid() == 0
            assert ("--container host" in caught.value.hint) is offered
    finally:
        namespaces.trouble.cache_clear()


def test_host_refuses_a_machine_that_is_no_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "in_container", lambda: False)
    with pytest.raises(UsageError, match="is not a container") as caught:
        engines.choose(Kind.HOST)
    assert "--force-host" in caught.value.hint
    assert engines.choose(Kind.HOST, force=True).name == "host"


def test_an_image_is_for_engines_that_have_images() -> None:
    with pytest.raises(UsageError, match="--image is valid only with"):
        engines.choose(Kind.UNSHARE, image="debian:bookworm")


@pytest.mark.parametrize("kind", [Kind.AUTO, Kind.UNSHARE])
def test_a_run_says_so_before_it_asks_any_archive(kind: Kind, tmp_path: Path) -> None:
    request = Request(
        release=BOOKWORM,
        fixes=(),
        cache=Cache(tmp_path / "cache"),
        mirror="http://127.0.0.1:1/nobody-listens",
        container=kind,
        image="debian:bookworm",
    )
    with pytest.raises(UsageError, match="--image is valid only with"):
        run(request, tmp_path / "out")


@NEEDS_DOCKER
def test_no_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    with pytest.raises(UsageError, match="no daemon is running") as caught:
        oci_engine.find("docker")
    assert "DOCKER_HOST" in caught.value.hint


@NEEDS_DOCKER
def test_no_permission_on_its_socket(tmp_path: Path) -> None:
    """The words are the docker command's own, said to a user who may not connect."""
    place = f"{tmp_path}/s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(place)
        server.listen()
        Path(place).chmod(0)
        drop = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
        for directory in (tmp_path, *tmp_path.parents[:2]):
            directory.chmod(0o755)
        said = subprocess.run(
            [*drop, "docker", "version"],
            env={**os.environ, "DOCKER_HOST": f"unix://{place}", "HOME": "/"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert said.returncode != 0
    error = oci_engine.explain("docker", said.stderr)
    assert "may not use docker" in error.brief and "adduser" in error.hint


VERSIONS = {
    "1.13.1": False,
    "18.09.7": False,
    "19.03.8": True,
    "20.10.24+dfsg1": True,
    "27.1": True,
}


@pytest.mark.parametrize(("version", "fine"), VERSIONS.items())
def test_an_engine_that_is_too_old(
    version: str, fine: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "docker", f"echo {version}", monkeypatch)
    if fine:
        assert oci_engine.find("docker").version == version
        return
    with pytest.raises(UsageError, match=r"needs 19\.03 or later") as caught:
        oci_engine.find("docker")
    assert version in caught.value.brief


def test_an_engine_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.host.command.which", lambda program: None)
    with pytest.raises(UsageError, match="podman is not installed") as caught:
        oci_engine.find("podman")
    assert "apt-get install podman" in caught.value.hint


def debian(codename: str, version: str = "") -> Release:
    return Release(distro="debian", codename=codename, version=version)


IMAGES = {
    "Debian 8": ("Debian GNU/Linux 8 (jessie)", "debian", "8", ""),
    "Debian 12": ("Debian GNU/Linux 12 (bookworm)", "debian", "12", "bookworm"),
    "Debian 13": ("Debian GNU/Linux 13 (trixie)", "debian", "13", "trixie"),
    "Debian testing": ("Debian GNU/Linux forky/sid", "debian", "", "forky"),
    "Devuan": ("Linux 12", "devuan", "12", "bookworm"),
    "Ubuntu 14.04": ("Ubuntu 14.04.6 LTS", "ubuntu", "14.04", ""),
    "Ubuntu bookworm": ("bookworm", "ubuntu", "", "bookworm"),
    "Alpine": ("Alpine Linux v3.20", "alpine", "3.20.1", ""),
}
"""What images say of themselves: PRETTY_NAME, ID, and where there is one VERSION_ID and
VERSION_CODENAME."""


def fields(image: str) -> dict[str, str]:
    """Return the fields of an image's /etc/os-release."""
    names = ("PRETTY_NAME", "ID", "VERSION_ID", "VERSION_CODENAME")
    said = zip(names, IMAGES[image], strict=True)
    return {name: value for name, value in said if value}


@pytest.mark.parametrize(
    ("release", "image"),
    [
        (debian("jessie", "8"), "Debian 8"),
        (BOOKWORM, "Debian 12"),
        (debian("forky", "14"), "Debian testing"),
        (debian("sid"), "Debian testing"),
        (Release(distro="ubuntu", codename="trusty", version="14.04"), "Ubuntu 14.04"),
    ],
)
def test_an_image_of_the_release(release: Release, image: str) -> None:
    check_release(fields(image), release, "the image")


@pytest.mark.parametrize(
    ("release", "image"),
    [
        *((BOOKWORM, image) for image in ("Debian 13", "Devuan", "Ubuntu bookworm", "Alpine")),
        (debian("sid"), "Debian 13"),
    ],
)
def test_an_image_of_another_release(release: Release, image: str) -> None:
    with pytest.raises(UsageError, match=f"not {release.distro} {release.codename}"):
        check_release(fields(image), release, "the image")
