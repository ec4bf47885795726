# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The wall around this machine's own tools: dpkg-source, spatch, diff, dpkg-deb and their like.

Whatever reads what somebody else wrote is started here and nowhere else. It sees the system's
programs (read-only), one directory of ours, and an empty /tmp, but not the network, /proc, or the
caller's home, environment and processes. It has no rights, can get none, and ends with us.

bubblewrap makes the wall. For an ordinary user, that takes a user namespace; root makes it
without one and gives the tool a number that nobody has, for in a namespace of one user the
tool would still own what root owns.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from pipeline.errors import FetchError, RespinError, UsageError
from pipeline.host import command
from pipeline.host.command import Completed
from pipeline.host.resources import package_data
from pipeline.isolation import lent, namespaces, seccomp

USER = 65532
"""A number that nobody has; builds have another one (containers.base.User)."""
INSIDE = "/work"
"""Where the tool sees its directory."""
INIT = "/init.sh"

SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
ETC = ("alternatives", "dpkg", "ld.so.cache")
"""What the tools need of /etc: dpkg needs the vendor, whose series dpkg-source applies."""

LIMITS = {
    "as": 4 << 30,
    "fsize": 1 << 30,
    "nofile": 1024,
    "nproc": 512,
    "core": 0,
}
"""Of every process in it, as prlimit(1) names them; ``nproc`` is for all together."""
TEMPORARY = 256 << 20
"""Bytes of /tmp."""


class Wall(StrEnum):
    """What keeps the tools in."""

    BUBBLEWRAP = "bubblewrap"
    CONTAINER = "container"
    """The container that all of respin runs in, if no wall can be made inside it."""


@functools.cache
def wall() -> Wall:
    """Return what keeps the tools in here. Raises UsageError if nothing does."""
    if command.which("bwrap") is None:
        raise UsageError(
            "the program bwrap is missing, and respin reads no source without it",
            hint="install it: apt-get install bubblewrap",
        )
    with lent.lent(None, "respin-sandbox-") as directory:
        done = command.run([*_bubblewrap(directory, ()), "true"], env=_ENVIRONMENT, check=False)
    if done.status == 0:
        return Wall.BUBBLEWRAP
    if namespaces.in_container() and not namespaces.possible():
        return Wall.CONTAINER
    raise UsageError(
        "bubblewrap cannot make a sandbox here, and respin reads no source without one",
        details=command.tail(done.err.end()),
        hint=namespaces.opened()
        or "allow this user to create user namespaces (respin doctor shows how), or run respin "
        "as root; in a Docker container, root needs --cap-add SYS_ADMIN",
    )


def admit(what: str, *, indexed: bool, trust_container: bool | None) -> Wall:
    """Return what keeps in the tools that read a source here; ``what`` is the source's name.

    A container that respin runs in is enough for what the signed index of an archive lists
    (``indexed``); for other sources, it is enough only if the user says so. ``trust_container`` is
    None for a command without that option. Raises FetchError, or UsageError if there is no wall.
    """
    found = wall()
    if found is Wall.CONTAINER and not indexed and not trust_container:
        trust = (
            ", or add --trust-container if it contains nothing of value"
            if trust_container is not None
            else ""
        )
        raise FetchError(
            f"respin can make no sandbox in this container, and no signed index vouches for {what}",
            details="Whoever wrote that could access everything in this container.",
            hint="start the container so that bubblewrap works in it (docker run --cap-add "
            f"SYS_ADMIN){trust}",
        )
    return found


def run(
    argv: Sequence[str],
    *,
    directory: Path | None,
    at: str = ".",
    env: Mapping[str, str] | None = None,
    stdin: Path | None = None,
    reads: Sequence[Path] = (),
    drop_links: bool = False,
    timeout: float = 120,
    limit: int | None = None,
    log: Path | None = None,
    check: bool = True,
    error: type[RespinError],
    brief: str = "",
    hint: str = "",
) -> Completed:
    """Run one of this machine's tools in the sandbox, to its end.

    It works in ``directory``, which nobody else uses meanwhile, and starts in its subdirectory
    ``at``; paths in ``argv`` are relative to that. It gets BASE_ENVIRONMENT and ``env`` and nothing
    else; ``reads`` are system files that it sees as well. Afterwards the directory is as
    ``lent.take_back`` leaves it (``drop_links``). The rest is as in ``command.run``. Raises
    ``error`` also if the tool left something that no source holds.
    """
    if shutil.which(argv[0], path=namespaces.PATH) is None:
        raise UsageError(
            f"the program {argv[0]} is missing",
            hint="run respin doctor, which shows the package that has it",
        )
    inside = wall() is Wall.BUBBLEWRAP
    other = inside and directory is not None and _has_own_number()
    begin = _bubblewrap(directory, reads, at) if inside else ["setpriv", "--no-new-privs"]
    brief = brief or f"{argv[0]} failed"
    try:
        if directory is not None and other:
            lent.lend(directory, USER)
        done = command.run(
            [*begin, *_limited(timeout), *argv],
            cwd=directory / at if directory and not inside else None,
            env={**_ENVIRONMENT, **(env or {})},
            stdin=stdin,
            timeout=timeout,
            limit=limit,
            log=log,
            check=False,
            error=error,
            brief=brief,
            hint=hint,
        )
    finally:
        left = _taken_back(directory, drop_links) if directory else ""
    if check and done.status != 0:
        full = command.full(done)
        details = _failure(argv, done, log)
        raise error(brief + full, details=details, hint=command.ROOM if full else hint)
    if left:
        raise error(
            f"{brief}: it left {left}",
            hint="check where this source comes from: no source package of iproute2 does that",
        )
    return done


def _taken_back(directory: Path, drop_links: bool) -> str:
    """Take a directory back; return in words what is wrong with it, if anything is."""
    try:
        lent.take_back(directory, drop_links=drop_links)
    except lent.Strange as e:
        return str(e)
    except OSError as e:
        return f"what cannot be looked at: {e.strerror}"
    return ""


def _failure(argv: Sequence[str], done: Completed, log: Path | None) -> str:
    parts = [f"in the sandbox: {command.printable(argv)}\nexit status {done.status}"]
    parts.append(command.tail(done.end))
    if log is not None:
        parts.append(f"The whole log: {log}")
    return "\n".join(part for part in parts if part)


_ENVIRONMENT: Mapping[str, str] = {**namespaces.BASE_ENVIRONMENT, "PATH": namespaces.PATH}


@functools.cache
def _has_own_number() -> bool:
    """Whether we may give a process the number USER: as root, if that number exists here."""
    return os.geteuid() == 0 and all(
        any(
            int(first) <= USER < int(first) + int(count)
            for first, _, count in (line.split() for line in path.read_text().splitlines())
        )
        for path in (Path("/proc/self/uid_map"), Path("/proc/self/gid_map"))
    )


def _bubblewrap(directory: Path | None, reads: Sequence[Path], at: str = ".") -> list[str]:
    """Return the beginning of a command line that runs the rest behind the wall.

    Process 1 is a shell of ours that ends with the rest: when bubblewrap has ended, nothing of
    it is left. (bubblewrap's own process 1 waits for what the rest has left behind, while
    bubblewrap does not. And when root's bubblewrap is killed, it may not end a process 1 of
    another number with it.)
    """
    argv = ["sh", str(package_data(__package__, "sandbox-enter.sh")), str(seccomp.path())]
    argv += ["--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL"]
    for kind in ("ipc", "pid", "net", "uts"):
        argv.append(f"--unshare-{kind}")
    argv.append("--unshare-cgroup-try")
    drop: list[str] = []
    if _has_own_number():
        # Only to enter the directory and become its owner; setpriv drops them with all others.
        for capability in ("DAC_READ_SEARCH", "SETUID", "SETGID", "SETPCAP"):
            argv += ["--cap-add", f"CAP_{capability}"]
        drop = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
        drop += ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
    else:
        argv += ["--unshare-user", "--uid", str(USER), "--gid", str(USER)]
    argv += ["--ro-bind", "/usr", "/usr"]
    for name in SYSTEM:
        path = Path("/") / name
        if path.is_symlink():
            argv += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            argv += ["--ro-bind", str(path), str(path)]
    argv += ["--dir", INSIDE]
    for path in (*(Path("/etc") / name for name in ETC), *reads):
        if path.exists():
            # A directory that bubblewrap makes on the way is open to root alone.
            for above in reversed(path.parents[:-1]):
                argv += ["--dir", str(above)]
            argv += ["--ro-bind", str(path), str(path)]
    argv += ["--dev", "/dev", "--remount-ro", "/dev"]
    argv += ["--size", str(TEMPORARY), "--perms", "1777", "--tmpfs", "/tmp"]
    if directory is not None:
        argv += ["--bind", str(directory.absolute()), INSIDE]
        argv += ["--chdir", f"{INSIDE}/{at}"]
    else:
        argv += ["--chdir", "/tmp"]
    argv += ["--ro-bind", str(package_data(__package__, "sandbox-init.sh")), INIT]
    return [*argv, "--remount-ro", "/", "--", "sh", INIT, *drop]


def _limited(timeout: float) -> list[str]:
    limits = [f"--{name}={value}" for name, value in LIMITS.items()]
    return ["prlimit", *limits, f"--cpu={int(timeout) + 1}", "--"]
