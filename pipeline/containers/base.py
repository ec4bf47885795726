# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What all container engines have in common.

A container starts from a root that it never changes, keeps what is written to it until it is
stopped, and runs one command at a time. Processes that a command leaves behind are killed when the
command ends.
"""

from __future__ import annotations

import tarfile
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pipeline.errors import BuildError, RespinError
from pipeline.files import bounded
from pipeline.host import command
from pipeline.host.command import Arg, Completed
from pipeline.host.interrupts import interrupts
from pipeline.isolation.allowance import Allowance, words
from pipeline.isolation.namespaces import BASE_ENVIRONMENT

TAKEN_SECONDS = 600.0


class User(IntEnum):
    """Who a command runs as; the group has the same number."""

    ROOT = 0
    BUILD = 65533
    """A number that nobody has: Debian assigns none above 64999 except 65534, systemd none above
    65519 (Debian Policy 9.2.2, systemd's UIDS-GIDS)."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A command to run in a container, as requested from ``Container.call``."""

    argv: tuple[Arg, ...]
    user: User = User.BUILD
    directory: str = "/"
    env: Mapping[str, str]
    """All of its environment."""
    stdin: bytes | Path = b""
    stdout: IO[bytes] | None = None
    limit: int | None = None
    look: Callable[[int], str] | None = None
    timeout: float | None = None
    log: Path | None = None
    error: type[RespinError] = BuildError
    brief: str = ""
    hint: str = ""

    def through(self, begin: Sequence[Arg], env: Mapping[str, str]) -> Completed:
        """Run it with a command line of the host's that begins with ``begin``; accept any status.

        After ``begin`` come its environment, as NAME=VALUE, and the command; ``env`` is the
        environment of the command line itself.
        """
        return command.run(
            self.argv,
            begin=[*begin, *(f"{name}={value}" for name, value in self.env.items())],
            env=env,
            stdin=self.stdin,
            stdout=self.stdout,
            limit=self.limit,
            look=self.look,
            timeout=self.timeout,
            log=self.log,
            check=False,
            error=self.error,
            brief=self.brief,
            hint=self.hint,
        )

    def failed(self, done: Completed) -> RespinError:
        """Return the error for an exit status other than 0."""
        where = f"in the container: {command.printable(self.argv, cwd=Path(self.directory))}"
        parts = [f"{where}\nexit status {done.status}", command.tail(done.end)]
        if self.log is not None:
            parts.append(f"The whole log: {self.log}")
        full = command.full(done)
        return self.error(
            self.brief + full,
            details="\n".join(p for p in parts if p),
            hint=command.ROOM if full else self.hint,
        )


class Container(ABC):
    """A container, which exists inside a ``with`` block.

    An engine defines how it is started, runs a command and is removed.
    """

    name: str
    """The engine: ``unshare`` …"""

    def __init__(self, *, network: bool = False, allowed: Allowance | None = None) -> None:
        """Prepare one with the host's network, or with none but loopback.

        ``allowed`` is what its commands may use (default: what a build may use).
        """
        self.allowed = allowed or Allowance()
        self._network = network
        self._look: Callable[[int], str] | None = None
        """Checks whether a command uses too much; the engine's start sets it."""
        self._lock = threading.Lock()

    @property
    def limits(self) -> str:
        """Return in words what does not work as well here as it might; empty if nothing."""
        return ""

    def __enter__(self) -> Self:
        """Start it. Raises BuildError or UsageError if this engine does not work here."""
        try:
            self._start()
        except BaseException:
            with interrupts.held():
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
        with interrupts.held():
            self._remove()

    def call(
        self,
        argv: Sequence[Arg],
        *,
        user: User = User.BUILD,
        directory: str = "/",
        env: Mapping[str, str] | None = None,
        stdin: bytes | Path | None = None,
        stdout: IO[bytes] | None = None,
        limit: int | None = None,
        timeout: float | None = None,
        log: Path | None = None,
        check: bool = True,
        error: type[RespinError] = BuildError,
        brief: str = "",
        hint: str = "",
    ) -> Completed:
        """Run a command in it to its end, and return its status and outputs.

        ``directory`` is its working directory; ``env`` comes on top of ``BASE_ENVIRONMENT``
        and nothing else does; ``stdin`` is empty by default. The status is that of a shell: 128 + N
        for a command that signal N killed, 126 or 127 for one that cannot be run, not 0 if the
        directory does not exist. ``timeout`` is in seconds (default: what is allowed); then, and
        when it uses more than is allowed, everything of the command is killed and ``error`` raised.
        The rest is as in ``command.run``. Raises BuildError, whatever ``check`` says, if the
        container itself failed.
        """
        call = Call(
            argv=tuple(argv),
            user=user,
            directory=directory,
            env={**BASE_ENVIRONMENT, **(env or {})},
            stdin=stdin if stdin is not None else b"",
            stdout=stdout,
            limit=limit,
            look=self._look,
            timeout=timeout if timeout is not None else self.allowed.seconds,
            log=log,
            error=error,
            brief=brief or f"{argv[0]} failed",
            hint=hint,
        )
        with self._lock:
            done = self._run(call)
        if check and done.status != 0:
            raise call.failed(done)
        return done

    def outside(self, name: str) -> Path | None:
        """Return where this machine sees a file in /build while a command runs, if it does.

        Whoever is in the container can put anything there.
        """
        return None

    @abstractmethod
    def _start(self) -> None:
        """Make it ready to run commands."""

    @abstractmethod
    def _run(self, call: Call) -> Completed:
        """Run a command, alone; raise ``not_started()`` before the start and after the end."""

    @abstractmethod
    def _remove(self) -> None:
        """Remove what exists of it; it may be started, partly started or not started."""


def not_started() -> BuildError:
    """Return the error for a container that is used outside its ``with`` block."""
    return BuildError("the container was not started, or has been stopped")


def make_build_user(container: Container) -> None:
    """Give the building user a name and the directory /build; an engine's start calls this."""
    number = int(User.BUILD)
    for file, line in (
        ("/etc/passwd", f"build:x:{number}:{number}:build:/nonexistent:/usr/sbin/nologin\n"),
        ("/etc/group", f"build:x:{number}:\n"),
    ):
        # An image that was made from one of our containers already has the line.
        if line not in container.call(["cat", file]).text:
            container.call(["tee", "-a", file], user=User.ROOT, stdin=line.encode())
    owner = [f"--owner={number}", f"--group={number}"]
    container.call(["install", "-d", *owner, "/build"], user=User.ROOT)


def copy_in(container: Container, files: Sequence[Path], directory: str) -> None:
    """Copy files of the host's into a directory of the container, as the build's user."""
    with tempfile.NamedTemporaryFile(suffix=".tar") as tmp:
        with tarfile.open(fileobj=tmp, mode="w") as tar:
            for file in files:
                tar.add(file, arcname=file.name, recursive=False, filter=_anonymous)
        tmp.flush()
        argv = ["tar", "--extract", "--file=-", f"--directory={directory}", "--no-same-owner"]
        container.call(
            argv,
            stdin=Path(tmp.name),
            timeout=TAKEN_SECONDS,
            brief=f"respin could not copy files into {directory}",
        )


def copy_out(
    container: Container,
    directory: str,
    names: Sequence[str],
    dest: Path,
    *,
    most: int | None = None,
) -> None:
    """Copy files from a directory of the container into one of the host's.

    The container is not trusted: only regular files with exactly these names are accepted, no more
    of them than allowed, and at most ``most`` bytes in total (default: what is allowed). Raises
    BuildError if a file is missing, is not a regular file, or if they are too large.
    """
    for name in names:
        if "/" in name or name in ("", ".", ".."):
            raise BuildError(f"{name!r} is not a valid name of a file in {directory}")
    most = container.allowed.taken if most is None else most
    if len(names) > container.allowed.taken_files:
        raise BuildError(
            f"{directory} has {len(names):,} files to copy; respin accepts at most "
            f"{container.allowed.taken_files}"
        )
    # A sparse file takes no space in there, but would take it out here.
    argv = ["stat", "--format=%s", "--", *(f"./{name}" for name in names)]
    sizes = container.call(argv, directory=directory, check=False).text.split()
    if sum(int(size) for size in sizes if size.isdigit()) > most:
        raise BuildError(
            f"{_some(names)} in {directory} are larger than respin accepts: {words(most)} in total"
        )
    with tempfile.TemporaryFile(dir=dest) as tmp:
        argv = ["tar", "--create", "--file=-", "--format=ustar", f"--directory={directory}", "--"]
        container.call(
            # "./": tar takes a name that begins with a dash for an option, even after "--".
            [*argv, *(f"./{name}" for name in names)],
            stdout=tmp,
            # Besides the content there are headers, padding, and tar's blocks.
            limit=most + 4096 * (len(names) + 4),
            timeout=TAKEN_SECONDS,
            brief=f"respin could not copy {_some(names)} out of {directory}",
        )
        tmp.seek(0)
        taken = take(tmp, frozenset(names), dest)
    if missing := set(names) - taken:
        raise BuildError(f"{directory} does not have {_some(sorted(missing))}")


def _some(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = User.BUILD
    info.uname = info.gname = ""
    info.mode = 0o644
    return info


def take(stream: IO[bytes], names: frozenset[str], dest: Path) -> set[str]:
    """Write the files of a tar stream (POSIX ustar) to ``dest``; return their names.

    It may contain only files with these names, and no extended headers, which could have any
    length. Raises BuildError.
    """
    taken: set[str] = set()
    while (block := stream.read(tarfile.BLOCKSIZE)).strip(b"\0"):
        try:
            member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.TarError as e:
            raise BuildError("the container did not send a valid tar stream") from e
        name = member.name.removeprefix("./")
        if name not in names - taken or not member.isreg() or member.size < 0:
            raise BuildError(
                f"{name[:80]!r} in the container is not one of the expected regular files"
            )
        with (dest / name).open("xb") as out:
            left = member.size
            while left and (piece := stream.read(min(left, bounded.PIECE))):
                left -= out.write(piece)
        if left:
            raise BuildError(f"the container sent only a part of {name}")
        stream.read(-member.size % tarfile.BLOCKSIZE)
        taken.add(name)
    return taken
