"""Entering namespaces: as an ordinary user through a user namespace, as root without one.

In a user namespace root is the user who started us and every other id is one of the
user's subordinate ids (subuid(5)), so that a tree made by root inside belongs to the user
outside. Everything started in it dies with its process 1, and so do its mounts.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

from pipeline import command
from pipeline.cache import Cache
from pipeline.data import data_path
from pipeline.errors import BuildError, UsageError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for, inside and outside: a user's own PATH may lack sbin."""

ENVIRONMENT = {"PATH": PATH, "LC_ALL": "C.UTF-8"}
"""Of what enters them, on this side."""


def unshare(*, network: bool = True) -> list[str]:
    """Return the beginning of a command line that runs the rest in fresh namespaces.

    Without ``network`` the rest sees nothing but a loopback interface that is down.
    """
    argv = ["unshare"]
    if os.geteuid() != 0:
        argv += ["--user", "--map-auto", "--map-root-user"]
    argv += ["--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
    if not network:
        argv.append("--net")
    return [*argv, "sh", str(data_path("templates", "container", "init.sh"))]


def in_container() -> bool:
    """Whether this machine is itself a container, as far as it says so.

    By the marks of Docker and podman, or the variable ``container`` that systemd's
    CONTAINER_INTERFACE defines (BuildKit leaves no mark: our Dockerfile sets the variable).
    """
    marks = ("/.dockerenv", "/run/.containerenv", "/run/systemd/container")
    named = os.environ.get("container")  # noqa: SIM112 - its name is lower case
    return bool(named) or any(Path(mark).exists() for mark in marks)


@functools.cache
def trouble() -> BuildError | None:
    """Try whether namespaces can be entered and mounts made in them; return what went wrong."""
    try:
        command.run(
            [*unshare(), "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
            env={"PATH": PATH},
            timeout=60,
            error=BuildError,
            brief="this user cannot enter namespaces of its own here",
            hint="An ordinary user needs the package uidmap, a line in /etc/subuid and "
            "/etc/subgid (usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER) "
            "and a kernel that lets users make user namespaces; in a Docker container, root "
            "needs --cap-add SYS_ADMIN.",
        )
    except BuildError as e:
        return e
    return None


def possible() -> bool:
    """Whether namespaces can be entered here, and mounts made in them."""
    return trouble() is None


def check() -> None:
    """Raise BuildError, with what to do, if namespaces cannot be entered here."""
    found = trouble()
    if found is not None:
        raise found


def own() -> list[str]:
    """Return the beginning of a command line that runs the rest where it may make a root.

    That is in fresh namespaces; or right here, for root in a container whose engine allows
    none (a step of ``docker build``), which is ours to use up. Raises BuildError elsewhere.
    """
    if not possible() and os.geteuid() == 0 and in_container():
        return ["sh", str(data_path("templates", "container", "init.sh"))]
    check()
    return unshare()


def remove_tree(path: Path) -> None:
    """Remove a tree that was made in namespaces, whoever of its ids owns the parts.

    Raises BuildError if something of it is left.
    """
    if path.is_symlink() or not path.exists():
        path.unlink(missing_ok=True)
        return
    command.run(
        [*(unshare() if possible() else ()), "rm", "-rf", "--one-file-system", "--", path],
        env={"PATH": PATH},
        error=BuildError,
        brief=f"{path} could not be removed",
        cleanup=True,
    )


def own_folder(cache: Cache, kind: str) -> Path:
    """Return a folder of the cache, closed to everybody else.

    What is in it will be executed or copied into packages: raises UsageError if it is
    another user's, who could put anything there.
    """
    folder = cache.folder(kind)
    if folder.stat().st_uid != os.geteuid():
        raise UsageError(
            f"{folder} belongs to another user; nothing of it is trusted",
            hint="name another cache folder with --cache DIR or RESPIN_CACHE",
        )
    folder.chmod(0o700)
    return folder
