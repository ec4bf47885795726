# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Entering namespaces: what root makes in them belongs to an id that nobody has out here.

What an ordinary user makes belongs to that user (isolation/ids.py). Everything started in
namespaces dies with their process 1, and so do their mounts.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.errors import BuildError
from pipeline.host import command
from pipeline.isolation import ids, seccomp, views
from pipeline.isolation.order import Bind, Order, WallKind

SETTINGS = Path("/proc/sys")

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where to look for programs, inside and outside: a user's own PATH may lack sbin."""

ENVIRONMENT = {"PATH": PATH, "LC_ALL": "C.UTF-8"}
"""Of what enters them, on this side."""

BASE_ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
}
"""The whole environment of a command in a container or sandbox, before the caller's additions."""


def unshare(*, network: bool = True) -> list[str]:
    """Return the beginning of a command line that runs the rest in fresh namespaces.

    An ordinary user is root in there; root stays root. The command sees all that the caller
    sees; without ``network``, it has only a loopback interface that is down.
    """
    return Order(
        kind=WallKind.ALL,
        ids=None if os.geteuid() == 0 else ids.mine(),
        network=network,
        caps=None,
        uid=None,
        directory="",
        inherit=True,
    ).argv()


def among(tree: Path) -> list[str]:
    """Return the beginning of a command line that sees a tree's ids as they are seen in the tree.

    It starts in the tree, and besides sees only this machine's programs.
    """
    return Order(
        kind=WallKind.VIEW,
        ids=ids.mine(),
        caps=None,
        filter=seccomp.path(),
        directory=str(tree),
        inherit=True,
        **views.system(Bind(host=tree)).parts,
    ).argv()


def in_container() -> bool:
    """Whether this machine is itself a container, as far as it says so.

    By the marks of Docker and podman, or the variable ``container`` that systemd's
    CONTAINER_INTERFACE defines (BuildKit leaves no mark: our Dockerfile sets the variable).
    """
    marks = ("/.dockerenv", "/run/.containerenv", "/run/systemd/container")
    named = os.environ.get("container")  # noqa: SIM112 - its name is lower case
    return bool(named) or any(Path(mark).exists() for mark in marks)


def closed() -> str:
    """Return the command that lets users make user namespaces, if the kernel's settings do not.

    The first two settings are Debian's and Ubuntu's own; with the third there may be none.
    """
    for name, value in (
        ("kernel/unprivileged_userns_clone", "1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "0"),
        ("user/max_user_namespaces", "10000"),
    ):
        path = SETTINGS / name
        if path.exists() and (path.read_text().strip() == "0") == (value != "0"):
            return f"sysctl -w {name.replace('/', '.')}={value}"
    return ""


def opened() -> str:
    """Return a hint with that command; empty if the settings are open."""
    opens = closed()
    return opens and f"this machine's kernel refuses user namespaces; as root, call {opens}"


@functools.cache
def trouble() -> BuildError | None:
    """Try whether namespaces can be entered and mounts made in them; return what went wrong."""
    argv = ["mount", "-t", "tmpfs", "tmpfs", "/tmp"]
    try:
        done = command.run(
            argv, begin=_maker(), env=ENVIRONMENT, timeout=60, check=False, error=BuildError
        )
    except BuildError as e:
        return e
    if done.status == 0:
        return None
    # It may say that no space is left (ENOSPC): of namespaces (user_namespaces(7)), not of a disk.
    return BuildError(
        "this user cannot create namespaces here",
        details=f"{command.printable(argv)}\nexit status {done.status}\n{command.tail(done.end)}",
        hint=opened()
        or "an ordinary user needs the package uidmap, a line in /etc/subuid and "
        "/etc/subgid (usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER) "
        "and a kernel that lets users create user namespaces; in a Docker container, root "
        "needs --cap-add SYS_ADMIN",
    )


def possible() -> bool:
    """Whether namespaces can be entered here, and mounts made in them."""
    return trouble() is None


def check() -> None:
    """Raise BuildError, with what to do, if namespaces cannot be entered here."""
    found = trouble()
    if found is not None:
        raise found


def apart(
    *binds: Bind,
    copies: Sequence[tuple[Path, str]] = (),
    network: bool = False,
    kvm: bool = False,
    limits: Mapping[str, int] | None = None,
) -> list[str]:
    """Return the beginning of a command line that isolates a program of this machine from it.

    The program keeps its environment, but has no rights, and sees only programs, libraries, the
    configuration in /etc, and what is named; what it writes to has to be ``lent`` to it. Started
    by root, it runs as nobody. The list is empty where no namespaces are available.
    """
    if not possible():
        return []
    return Order(
        kind=WallKind.VIEW,
        ids=ids.mine(),
        network=network,
        kvm=kvm,
        filter=seccomp.path(),
        limits=limits or {},
        inherit=True,
        **views.system(*binds, copies=copies, network=network).parts,
    ).argv()


def maker(*writes: Path, copies: Sequence[tuple[Path, str]] = ()) -> list[str]:
    """Return the beginning of a command line that runs the rest where it may make a root.

    It is root and may mount, but sees of this machine only its programs and the directories that
    it writes to, which have to be ``given`` to it. Its environment comes first, as NAME=VALUE. For
    root in a container whose engine allows no namespaces (a step of ``docker build``), that place
    is the container itself, which is ours to use up. Raises BuildError elsewhere.
    """
    if not possible() and os.geteuid() == 0 and in_container():
        return Order(
            kind=WallKind.PLACE,
            namespaces=False,
            caps=None,
            filter=seccomp.path(mounts=True),
            inherit=True,
        ).argv()
    check()
    return _maker(*writes, copies=copies)


def _maker(*writes: Path, copies: Sequence[tuple[Path, str]] = ()) -> list[str]:
    binds = [Bind(host=path, write=True) for path in writes]
    view = views.system(*binds, copies=copies, network=True)
    return Order(
        kind=WallKind.VIEW,
        ids=ids.mine(),
        network=True,
        mounts=True,
        caps=None,
        filter=seccomp.path(mounts=True),
        inherit=True,
        **view.parts,
    ).argv()


def whose() -> str:
    """Return a word for the owner of what is made in namespaces; only they can use such a tree."""
    return ids.mine().key if possible() else "root's"


def given(*paths: Path) -> None:
    """Let files and directories, with all that is in them, belong to root behind a wall."""
    if possible():
        _own(paths, ids.mine().owner)


def taken(*paths: Path) -> None:
    """Let files and directories, with all that is in them, belong to this user again."""
    _own(paths, (os.geteuid(), os.getegid()))


@contextlib.contextmanager
def lent(*paths: Path) -> Iterator[None]:
    """Let files and directories belong to root behind a wall while the block runs."""
    given(*paths)
    try:
        yield
    finally:
        taken(*(path for path in paths if path.exists()))


def _own(paths: Sequence[Path], owner: tuple[int, int]) -> None:
    """Change owners as root may, following no link. An ordinary user does not need it."""
    if os.geteuid() != 0:
        return
    for path in paths:
        os.chown(path, *owner, follow_symlinks=False)
        if path.is_symlink() or not path.is_dir():
            continue
        for _, directories, files, at in os.fwalk(path):
            for name in (*directories, *files):
                os.chown(name, *owner, dir_fd=at, follow_symlinks=False)


def reaching() -> list[str]:
    """Return the beginning of a command line that reaches all in a tree, whoever owns its parts.

    Root needs no namespace for that; so use it only for programs that follow no links.
    """
    return unshare() if os.geteuid() != 0 and possible() else []


def remove_tree(path: Path) -> None:
    """Remove a tree that was made in namespaces, whichever of its ids owns the parts.

    Raises BuildError if something of it is left.
    """
    if path.is_symlink() or not path.exists():
        path.unlink(missing_ok=True)
        return
    command.run(
        ["rm", "-rf", "--one-file-system", "--", path],
        begin=reaching(),
        env={"PATH": PATH},
        error=BuildError,
        brief=f"{path} could not be removed",
        cleanup=True,
    )
