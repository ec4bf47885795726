# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The containers of Docker and podman.

There is one container from start to stop, in which each command runs. The engine is used through
its command line, so that its own configuration (context, remote host, rootless podman) applies.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets

from pipeline.containers.base import Call, Container, make_build_user, not_started
from pipeline.containers.oci_engine import LABEL, SECONDS, OciEngine, environment
from pipeline.containers.oci_meter import OciMeter
from pipeline.errors import BuildError, RespinError
from pipeline.host import command
from pipeline.host.command import Completed
from pipeline.host.resources import package_data
from pipeline.isolation.allowance import Allowance

REMOVE_SECONDS = 300.0

_OURS = "/run/respin"
"""A file system in memory, so that a full disk is not mistaken for a failure of the engine."""


class Oci(Container):
    """A container over an image."""

    def __init__(
        self,
        engine: OciEngine,
        image: str,
        *,
        network: bool = False,
        allowed: Allowance | None = None,
    ) -> None:
        """Prepare one over ``image``, an id."""
        super().__init__(network=network, allowed=allowed)
        self.name = engine.name
        self.engine = engine
        self._image = image
        self._id = ""
        self._called = ""
        self._numbers = itertools.count(1)

    @property
    def limits(self) -> str:
        """Return in words what the engine cannot limit."""
        return self.engine.unbounded

    def _start(self) -> None:
        init = package_data(__package__, "oci-init.sh").read_text()
        # The name finds it even if its id was never printed: ending the engine's client does not
        # stop the engine.
        self._called = f"{LABEL}-{secrets.token_hex(8)}"
        argv = [
            "--detach",
            f"--name={self._called}",
            f"--label={LABEL}",
            "--user=0:0",
            "--workdir=/",
            "--entrypoint=",
        ]
        argv += [f"--network={'host' if self._network else 'none'}"]
        argv += ["--security-opt=no-new-privileges", f"--tmpfs={_OURS}:size=1m,mode=1777"]
        argv += [*self.engine.bounds(self.allowed), f"--shm-size={self.allowed.shm}"]
        done = self.engine.call(
            *("container", "run", *argv, self._image, "/bin/sh", "-c", init),
            brief=f"{self.name} did not start a container",
            hint="read the engine's message above; the image must have /bin/sh",
        )
        self._id = done.text.strip()
        enter = package_data(__package__, "oci-enter.sh")
        # runc gives the file system the mode of a directory that the image has there already.
        put = f"umask 022; chmod 1777 {_OURS}; cat > {_OURS}/enter"
        self.engine.call("exec", "--interactive", self._id, "/bin/sh", "-c", put, stdin=enter)
        self._look = OciMeter(self.engine, self._id, self.allowed)
        make_build_user(self)

    def _run(self, call: Call) -> Completed:
        if not self._id:
            raise not_started()
        mark = f"{_OURS}/{next(self._numbers)}"
        user = f"--user={int(call.user)}:{int(call.user)}"
        begin = [self.engine.name, "exec", "--interactive", user, self._id]
        blocks = str(self.allowed.file // 512)
        enter = ["/bin/sh", f"{_OURS}/enter", mark, call.directory, blocks]
        whole = False
        try:
            done = call.through([*begin, *enter], environment())
            whole = done.status == 0 or self._inside("test", "-e", mark).status == 0
        finally:
            if not whole:
                self._clear()
        if not whole:
            raise BuildError(
                f"the {self.name} container, or a command in it, was lost",
                details=command.tail(done.err.end()),
                hint=f"something else stopped it or {self.name}'s daemon; run respin again",
            )
        return done

    def commit(self, name: str) -> str:
        """Make an image of the container's current content, with our label; return its id."""
        change = f"--change=LABEL {LABEL}=root"
        return self.engine.call("container", "commit", change, self._id, name).text.strip()

    def _inside(self, *argv: str) -> Completed:
        return self.engine.call(
            *("exec", "--user=0:0", self._id, *argv), check=False, timeout=SECONDS, cleanup=True
        )

    def _clear(self) -> None:
        """Kill the processes of a command whose end was not seen."""
        with contextlib.suppress(RespinError):  # the caller raises the reason
            self._inside("/bin/sh", "-c", "kill -KILL -1")

    def _remove(self) -> None:
        started, name = bool(self._id), self._called
        self._id = self._called = ""
        if name:
            self.engine.call(
                *("container", "rm", "--force", "--volumes", name),
                check=started,
                timeout=REMOVE_SECONDS,
                brief=f"{self.name} could not remove a container",
                hint=f"{self.name} container prune --filter label={LABEL}",
                cleanup=True,
            )
