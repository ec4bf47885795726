"""The containers of Docker and podman.

One container from start to stop, and each command executed in it. The engine is asked
through its command line, so that its own configuration (context, remote host, rootless
podman) holds.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pipeline.command import Arg, Completed
from pipeline.containers.base import BASE_ENVIRONMENT, Share, User, failed, make_build_user
from pipeline.containers.ociengine import LABEL, SECONDS, OciEngine, words
from pipeline.data import data_path
from pipeline.errors import BuildError, RespinError

_OURS = "/run/respin"
"""A file system in memory, so that a full disk is never taken for a failure of the engine."""


class Oci:
    """A container over an image; see the protocol in base.py."""

    def __init__(
        self,
        engine: OciEngine,
        image: str,
        *,
        shares: Sequence[Share] = (),
        network: bool = False,
    ) -> None:
        """Prepare one over ``image``, an id."""
        self.name = engine.name
        self.shares = tuple(shares)
        """The folders of the host that commands see."""
        self.engine = engine
        self._image = image
        self._network = network
        self._id = ""
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    @property
    def limits(self) -> str:
        """Nothing."""
        return ""

    def __enter__(self) -> Self:
        """Start it."""
        init = data_path("templates", "container", "oci-init.sh").read_text()
        mounts = [
            words(["type=bind", f"source={s.host.resolve()}", f"target={s.inside}"])
            for s in self.shares
        ]
        argv = ["--detach", f"--label={LABEL}", "--user=0:0", "--workdir=/", "--entrypoint="]
        argv += [f"--network={'host' if self._network else 'none'}"]
        argv += ["--security-opt=no-new-privileges", f"--tmpfs={_OURS}:size=1m,mode=1777"]
        argv += [f"--mount={mount}" for mount in mounts]
        done = self.engine.call(
            *("container", "run", *argv, self._image, "/bin/sh", "-c", init),
            brief=f"{self.name} did not start a container",
            hint="the engine's own words are above; its image must have /bin/sh",
        )
        self._id = done.text.strip()
        try:
            enter = data_path("templates", "container", "oci-enter.sh")
            # runc gives the file system the mode of a folder that the image has there already.
            put = f"umask 022; chmod 1777 {_OURS}; cat > {_OURS}/enter"
            self.engine.call(
                *("exec", "--interactive", self._id),
                *("/bin/sh", "-c", put),
                stdin=enter,
            )
            make_build_user(self)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it and remove all that was written to it."""
        self._remove()

    def call(
        self,
        argv: Sequence[Arg],
        *,
        user: User = User.BUILD,
        folder: str = "/",
        env: Mapping[str, str] | None = None,
        stdin: bytes | Path | None = None,
        stdout: IO[bytes] | None = None,
        timeout: float | None = None,
        log: Path | None = None,
        check: bool = True,
        error: type[RespinError] = BuildError,
        brief: str = "",
        hint: str = "",
    ) -> Completed:
        """Run a command in it; see the protocol."""
        if not self._id:
            raise BuildError("the container was not started, or is stopped")
        with self._lock:
            mark = f"{_OURS}/{next(self._numbers)}"
            whole = False
            try:
                done = self.engine.call(
                    *("exec", "--interactive", f"--user={int(user)}:{int(user)}", self._id),
                    *("/bin/sh", f"{_OURS}/enter", mark, folder),
                    *(f"{k}={v}" for k, v in ({**BASE_ENVIRONMENT, **(env or {})}).items()),
                    *argv,
                    stdin=stdin,
                    stdout=stdout,
                    timeout=timeout,
                    log=log,
                    check=False,
                    error=error,
                    brief=brief,
                    hint=hint,
                )
                whole = done.status == 0 or self._inside("test", "-e", mark).status == 0
            finally:
                if not whole:
                    self._clear()
        if not whole:
            raise BuildError(
                f"the container of {self.name} was lost, or a command in it",
                details=done.stderr.decode("utf-8", "replace")[-2000:],
                hint=f"something else has stopped it, or {self.name}'s daemon; run it again",
            )
        if check and done.status != 0:
            raise failed(argv, done, folder=folder, log=log, error=error, brief=brief, hint=hint)
        return done

    def commit(self, name: str) -> str:
        """Make an image of what the container holds now, with our label; return its id."""
        change = f"--change=LABEL {LABEL}=root"
        return self.engine.call("container", "commit", change, self._id, name).text.strip()

    def _inside(self, *argv: str) -> Completed:
        return self.engine.call(
            *("exec", "--user=0:0", self._id, *argv), check=False, timeout=SECONDS, cleanup=True
        )

    def _clear(self) -> None:
        """Kill what a command left behind whose end was not seen."""
        with contextlib.suppress(RespinError):  # the reason why it was not seen is raised
            self._inside("/bin/sh", "-c", "kill -KILL -1")

    def _remove(self) -> None:
        number, self._id = self._id, ""
        if number:
            self.engine.call(
                *("container", "rm", "--force", "--volumes", number),
                brief=f"a container of {self.name} could not be removed",
                hint=f"{self.name} container prune --filter label={LABEL}",
                cleanup=True,
            )
