# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Docker for tests: the daemon of this machine if it answers, else one that the tests start.

Docker Engine needs root. Without bridge and iptables it also runs where neither may be changed
(in a container, say); the builds of the tests use the host's network.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.containers import oci_engine
from pipeline.containers.oci_engine import OciEngine
from pipeline.errors import UsageError
from pipeline.host import command


@dataclass(frozen=True, kw_only=True)
class Lack:
    """Why a test cannot have its engine."""

    fails: bool
    why: str


def lack(why: str, *, root: bool, ci: bool, program: bool, given: bool) -> Lack | None:
    """Return what happens to a test whose engine does not answer; None: start one for it.

    ``why`` is the engine's answer, ``program`` whether the program that starts it is installed,
    ``given`` whether the caller has named an engine that should answer. On a developer's machine
    a test without an engine is skipped; in CI it fails. Only an ordinary user in CI without a
    given engine skips it: they cannot start one, and root's run has the same tests.
    """
    if root and program:
        return None
    if root:
        return Lack(fails=ci, why=f"{why}, and its package is not installed")
    if given:
        return Lack(fails=ci, why=f"{why}, although DOCKER_HOST names it")
    return Lack(
        fails=False,
        why=f"{why}, and an ordinary user cannot start it: run these tests as root, or name a "
        "socket that this user may use in DOCKER_HOST",
    )


def stop(found: Lack | None) -> None:
    """Skip the test, or let it fail, if it lacks its engine."""
    if found is None:
        return
    if found.fails:
        pytest.fail(found.why, pytrace=False)
    pytest.skip(found.why)


@contextlib.contextmanager
def docker() -> Iterator[OciEngine]:
    """Yield Docker; afterwards, remove what it made, and stop a daemon that was started.

    Skips or fails, as ``lack`` says, if none is available.
    """
    try:
        yield oci_engine.find("docker")
        return
    except UsageError as e:
        why = e.brief
    stop(
        lack(
            why,
            root=os.geteuid() == 0,
            ci=bool(os.environ.get("CI")),
            program=command.which("dockerd") is not None,
            given=bool(os.environ.get("DOCKER_HOST")),
        )
    )
    directory = Path(tempfile.mkdtemp(prefix="respin-dockerd-"))
    before = os.environ.get("DOCKER_HOST")
    try:
        with daemon(directory) as place:
            os.environ["DOCKER_HOST"] = f"unix://{place}"
            yield oci_engine.find("docker")
    finally:
        os.environ.pop("DOCKER_HOST", None)
        if before is not None:
            os.environ["DOCKER_HOST"] = before
        shutil.rmtree(directory)


PODMAN = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
"""
"""A configuration with which podman runs where ulimits cannot be raised, cgroups have mixed
versions, and systemd is missing: in a container, say."""


@contextlib.contextmanager
def podman() -> Iterator[OciEngine]:
    """Yield podman with a separate configuration and storage for the tests.

    Skips or fails, as ``lack`` says, if there is none; it is not tried as an ordinary user.
    """
    if os.geteuid() != 0:
        pytest.skip("podman is tried as root only: run these tests as root")
    installed = command.which("podman") is not None
    ci = bool(os.environ.get("CI"))
    stop(lack("podman is missing", root=True, ci=ci, program=installed, given=False))
    directory = Path(tempfile.mkdtemp(prefix="respin-podman-"))
    (directory / "containers.conf").write_text(PODMAN)
    (directory / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\n'
        f'graphroot = "{directory}/graph"\nrunroot = "{directory}/run"\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTAINERS_CONF", str(directory / "containers.conf"))
        patch.setenv("CONTAINERS_STORAGE_CONF", str(directory / "storage.conf"))
        try:
            yield oci_engine.find("podman")
        finally:
            _remove(directory)


def _remove(directory: Path, seconds: float = 30) -> None:
    """Remove podman's directory, where podman itself still cleans up after its command ends."""
    deadline = time.monotonic() + seconds
    while True:
        _unmount(directory)
        try:
            shutil.rmtree(directory)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def _unmount(directory: Path) -> None:
    """Unmount what an engine left mounted below its directory."""
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        if line.split()[1].startswith(f"{directory}/"):
            subprocess.run(["umount", "--lazy", line.split()[1]], check=True)


@contextlib.contextmanager
def daemon(directory: Path) -> Iterator[Path]:
    """Start a daemon that keeps everything in ``directory``; yield its socket; stop it."""
    place, log = directory / "socket", directory / "log"
    argv = [command.which("dockerd") or "dockerd", "--iptables=false", "--bridge=none"]
    argv += [f"--data-root={directory}/data", f"--exec-root={directory}/exec"]
    argv += [f"--pidfile={directory}/pid", f"--host=unix://{place}"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            answer = subprocess.run(
                ["docker", f"--host=unix://{place}", "version"], capture_output=True, check=False
            )
            if answer.returncode == 0:
                break
            assert process.poll() is None, f"dockerd ended:\n{log.read_text()[-2000:]}"
            assert time.monotonic() < deadline, f"dockerd is silent:\n{log.read_text()[-2000:]}"
            time.sleep(0.2)
        yield place
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _unmount(directory)  # the network namespace under its exec-root


@contextlib.contextmanager
def registry(directory: Path) -> Iterator[str]:
    """Start a registry on loopback that keeps its images in ``directory``; yield HOST:PORT."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        place = f"127.0.0.1:{found.getsockname()[1]}"
    config = directory / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {directory}/images}}}}\n"
        f"http: {{addr: '{place}'}}\n"
    )
    with (directory / "log").open("wb") as out:
        process = subprocess.Popen(
            ["docker-registry", "serve", config],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{place}/v2/"):
                break
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        yield place
    finally:
        process.terminate()
        process.wait(30)
