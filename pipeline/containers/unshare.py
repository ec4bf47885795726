"""The container that needs nothing but the kernel: namespaces and an overlay.

For an ordinary user with subordinate ids and for root. Each command gets namespaces and
mounts of its own, which are gone when it ends; what it wrote stays in the scratch folder
until the container is stopped. templates/container/enter.sh does the mounts.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pipeline import command
from pipeline.command import Arg, Completed
from pipeline.containers import namespaces
from pipeline.containers.base import BASE_ENVIRONMENT, Share, User, failed, make_build_user
from pipeline.data import data_path
from pipeline.errors import BuildError, RespinError


class Unshare:
    """A container over a tree; see the protocol in base.py."""

    name = "unshare"

    def __init__(
        self,
        tree: Path,
        scratch: Path,
        *,
        shares: Sequence[Share] = (),
        network: bool = False,
        overlay: bool = True,
    ) -> None:
        """Prepare one over ``tree`` (``roots.root_tree``), writing to a new folder in ``scratch``.

        Without ``overlay``, or where none can be mounted (over another overlay, on a file
        system without extended attributes), it works on a copy of the tree.
        """
        self._tree = tree.resolve()
        self._parent = scratch.resolve()
        self.shares = tuple(shares)
        """The folders of the host that commands see."""
        self._network = network
        self._scratch: Path | None = None
        self._lock = threading.Lock()
        self._trouble = ""
        self.overlay = overlay
        """Whether an overlay is used, once it is started."""

    @property
    def limits(self) -> str:
        """In words, what it does less well here."""
        return "" if self.overlay else "no overlay can be mounted here: it works on a copy"

    def __enter__(self) -> Self:
        """Start it."""
        namespaces.check()
        self._scratch = Path(tempfile.mkdtemp(prefix="unshare-", dir=self._parent))
        try:
            for name in ("lower", "upper", "work", "root"):
                (self._scratch / name).mkdir()
                # The root of an overlay has the mode of its upper folder.
                (self._scratch / name).chmod(0o755)
            if self.overlay:
                self.overlay = self._enter(["true"]) is not None
            if not self.overlay:
                self._copy()
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
        with self._lock:
            done = self._enter(
                [str(a) for a in argv],
                user=user,
                folder=folder,
                env=env or {},
                stdin=stdin,
                stdout=stdout,
                timeout=timeout,
                log=log,
                error=error,
                brief=brief,
                hint=hint,
            )
        if done is None:
            raise BuildError(
                "the container cannot be entered",
                details=self._trouble,
                hint="respin doctor says what is missing; a full disk or a cache that was "
                "removed while it was in use can be the reason too",
            )
        if check and done.status != 0:
            raise failed(argv, done, folder=folder, log=log, error=error, brief=brief, hint=hint)
        return done

    def _enter(
        self,
        argv: Sequence[str],
        *,
        user: User = User.ROOT,
        folder: str = "/",
        env: Mapping[str, str] | None = None,
        stdin: bytes | Path | None = None,
        stdout: IO[bytes] | None = None,
        timeout: float | None = None,
        log: Path | None = None,
        error: type[RespinError] = BuildError,
        brief: str = "",
        hint: str = "",
    ) -> Completed | None:
        """Run a command; return None, and keep what was said, if it never came to run."""
        scratch = self._running
        entered = scratch / "entered"
        entered.unlink(missing_ok=True)
        shares = [word for s in self.shares for word in (str(s.host.resolve()), s.inside)]
        done = command.run(
            [
                *namespaces.unshare(network=self._network),
                *("sh", data_path("templates", "container", "enter.sh"), self._tree, scratch),
                *("overlay" if self.overlay else "copy", "net" if self._network else "nonet"),
                *(str(int(user)), folder, *shares, "--"),
                *(f"{k}={v}" for k, v in ({**BASE_ENVIRONMENT, **(env or {})}).items()),
                *argv,
            ],
            env={"PATH": namespaces.PATH, "LC_ALL": "C.UTF-8"},
            stdin=stdin if stdin is not None else b"",
            stdout=stdout,
            timeout=timeout,
            log=log,
            check=False,
            error=error,
            brief=brief,
            hint=hint,
        )
        if entered.exists():
            return done
        self._trouble = command.tail(done.stderr)
        return None

    @property
    def _running(self) -> Path:
        if self._scratch is None:
            raise BuildError("the container was not started, or is stopped")
        return self._scratch

    def _copy(self) -> None:
        """Copy the tree into the scratch folder, where no overlay can be had."""
        copy = self._running / "copy"
        command.run(
            [*namespaces.unshare(), "cp", "-a", "--reflink=auto", "--", self._tree, copy],
            env={"PATH": namespaces.PATH},
            error=BuildError,
            brief="the root could not be copied",
        )

    def _remove(self) -> None:
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            namespaces.remove_tree(scratch)
