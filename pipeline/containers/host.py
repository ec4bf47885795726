# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The container in which respin already runs: commands run in place.

Use it if this machine is itself a disposable container: a step of ``docker build``, or a CI job.
``Host.limits`` says what it cannot do.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from pipeline.containers import apt_inside, roots
from pipeline.containers.base import Call, Container, User, not_started
from pipeline.containers.meter import Disk, Meter, counted
from pipeline.errors import BuildError, RespinError, UsageError
from pipeline.files import os_release
from pipeline.host import command
from pipeline.host.command import Completed
from pipeline.isolation import namespaces, processes, seccomp
from pipeline.isolation.allowance import Allowance
from pipeline.isolation.order import Order, WallKind
from pipeline.model import AptSource, Package, Release

BUILD = Path("/build")
"""The directory of a build, in every container."""


class Host(Container):
    """This machine as a container."""

    name = "host"

    def __init__(self, *, network: bool = False, allowed: Allowance | None = None) -> None:
        """Prepare it."""
        super().__init__(network=network, allowed=allowed)
        self._directories: list[Path] = []
        self._started = False

    @property
    def limits(self) -> str:
        """Return in words what is not isolated here; empty if everything is."""
        cut = self._network or namespaces.possible()
        said = [] if cut else ["this container cannot disconnect the build from the network"]
        return "; ".join(said)

    def outside(self, name: str) -> Path | None:
        """Return where it is, for this machine is the container."""
        return BUILD / name

    def _start(self) -> None:
        """Check this machine. Raises UsageError if this user is not root or /build is in use.

        Also if this machine is not a container and allows no namespaces: the build's processes
        could then not be told from others'.
        """
        if not namespaces.possible() and not namespaces.in_container():
            raise UsageError("this machine is not a container, and allows no namespaces either")
        if os.geteuid() != 0:
            raise UsageError(
                "--container host needs root, because the build gets a user of its own",
                hint="run the container as root, or build with --container unshare",
            )
        if BUILD.exists() and (not BUILD.is_dir() or any(BUILD.iterdir())):
            raise UsageError(f"{BUILD} already exists and is not empty", hint=f"remove {BUILD}")
        try:
            BUILD.mkdir(exist_ok=True)
            self._directories.append(BUILD)
            os.chown(BUILD, User.BUILD, User.BUILD)
            mine = processes.below if namespaces.possible() else _of_the_build
            disk = Disk(BUILD, self.allowed, lambda: counted(BUILD))
            self._look = Meter(self.allowed, disk, mine=mine)
            self._started = True
        except OSError as e:
            raise BuildError(f"respin could not create the directories of the build: {e}") from e

    def _run(self, call: Call) -> Completed:
        if not self._started:
            raise not_started()
        root = call.user is User.ROOT
        order = Order(
            kind=WallKind.PLACE,
            namespaces=namespaces.possible(),
            network=self._network,
            uid=int(call.user),
            directory=call.directory,
            # Root installs packages here: this machine is meant for that.
            caps=None if root else (),
            filter=None if root else seccomp.path(),
            limits={} if root else self.allowed.of_each,
        )
        try:
            done = call.through(order.argv(), namespaces.ENVIRONMENT)
        except BaseException:
            self._clear()
            raise
        if done.status < 0:
            self._clear()
            raise BuildError(f"another process killed the command {call.argv[0]}")
        return done

    def _clear(self) -> None:
        """Kill the processes of a command whose end was not seen.

        They are found by user id, so this happens only in a container that hides other processes;
        namespaces have already killed theirs.
        """
        if namespaces.possible() or not namespaces.in_container():
            return
        number = int(User.BUILD)
        with contextlib.suppress(RespinError):  # the caller raises the reason
            command.run(
                [
                    *("setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups"),
                    *("sh", "-c", "kill -KILL -1"),
                ],
                check=False,
                cleanup=True,
            )

    def _remove(self) -> None:
        self._started = False
        for directory in self._directories:
            shutil.rmtree(directory, ignore_errors=True)
        self._directories.clear()


def _of_the_build(_number: int) -> list[int]:
    """Return the processes of the build's user, including those that lost their parent."""
    return processes.of_user(int(User.BUILD))


def install_here(
    sources: Sequence[AptSource], release: Release, key: Sequence[Package], log: Path
) -> tuple[Package, ...]:
    """Install exactly these packages here; return all that is installed.

    Raises UsageError if this is another release.
    """
    try:
        fields = os_release.read()
    except OSError as e:
        raise UsageError(
            f"respin could not find out this machine's release: {os_release.PATH}: {e.strerror}"
        ) from e
    apt_inside.check_release(fields, release, "this machine")
    there = set(roots.packages_of(Path("/")))
    if any(p not in there for p in key):
        with Host(network=True) as box:
            apt_inside.install(box, sources, key, log)
    return roots.packages_of(Path("/"))
