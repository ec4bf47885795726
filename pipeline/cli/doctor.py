# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What this machine has and lacks for each stage, and the command that mends it.

Pure data out; the command line shows it.
"""

from __future__ import annotations

import getpass
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.host import command
from pipeline.host.cache import Cache
from pipeline.host.resources import project_data
from pipeline.isolation import ids, namespaces, sandbox

SPACE = 4 << 30
"""Bytes that a first run wants free in the cache: lists, downloads, two roots, ccache."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that stages need."""

    stages: tuple[str, ...]
    what: str
    """The thing, such as a package's name."""
    ok: bool
    found: str
    """What was found, or what is wrong."""
    mend: str = ""
    """The command that mends it, if it is not ok."""
    required: bool = True
    """Without it a run fails; otherwise it is only slower, or `respin nightly` lacks it."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """A line of packages.txt."""

    package: str
    shown_by: str
    """A program, or the path of a file."""
    stages: tuple[str, ...]


def needs(path: Path | None = None) -> tuple[Need, ...]:
    """Read packages.txt: the Debian packages that respin needs."""
    lines = (path or project_data("packages.txt")).read_text().splitlines()
    fields = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return tuple(Need(package=p, shown_by=s, stages=tuple(t.split(","))) for p, s, t in fields)


def examine(cache_root: Path | None = None) -> tuple[Check, ...]:
    """Look at this machine; ``cache_root`` is the cache directory if not the default one.

    Nothing is changed but that the cache directory is made. Raises nothing: what is wrong is in the
    checks.
    """
    return (
        # What starts respin is there, in whichever way: else nobody would be asking.
        *(_package(need) for need in needs() if need.stages != ("setup",)),
        *_namespaces(),
        *_sandbox(),
        *_subids(),
        _kvm(),
        *_cache(cache_root),
    )


def _package(need: Need) -> Check:
    if need.shown_by.startswith("/"):
        found = need.shown_by if Path(need.shown_by).exists() else None
    else:
        found = command.which(need.shown_by)
    return Check(
        stages=need.stages,
        what=need.package,
        ok=found is not None,
        found=found or f"{need.shown_by} is missing",
        mend="" if found else f"apt-get install {need.package}",
        required=need.stages != ("nightly",),
    )


def _namespaces() -> Iterator[Check]:
    """Enter the namespaces that a build enters, the way this user would.

    Of an ordinary user the ids are looked at by themselves.
    """
    if os.geteuid() == 0:
        found = namespaces.trouble()
        said = "usable" if found is None else found.details.splitlines()[-1]
        ok = found is None
    else:
        if command.which("unshare") is None:
            return  # the package's own check says so
        how = ["--user", "--map-root-user", "--mount", "--pid", "--fork", "--net"]
        done = command.run(["unshare", *how, "true"], check=False, timeout=30)
        ok = done.status == 0
        said = "usable" if ok else command.tail(done.err.end()).strip()
    yield Check(
        stages=("build", "smoke"),
        what="user namespaces",
        ok=ok,
        found=said,
        mend="" if ok else _namespaces_mend(os.geteuid() == 0),
    )


def _sandbox() -> Iterator[Check]:
    """Make the sandbox that sources are read in."""
    if command.which("bwrap") is None:
        return  # the package's own check says so
    try:
        found, ok = _WALLS[sandbox.wall()], True
    except UsageError as e:
        found, ok = "\n".join([e.brief, e.details]).strip(), False
    yield Check(
        stages=("fetch", "diagnose", "patch"),
        what="sandbox",
        ok=ok,
        found=found,
        mend="" if ok else _namespaces_mend(os.geteuid() == 0),
    )


_WALLS = {
    sandbox.Wall.BUBBLEWRAP: "bubblewrap can make one",
    sandbox.Wall.CONTAINER: "none can be made in this container, which is the wall: sources of "
    "your own need --trust-container",
}


def _namespaces_mend(root: bool) -> str:
    for name, value in (
        ("kernel/unprivileged_userns_clone", "1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "0"),
        ("user/max_user_namespaces", "10000"),
    ):
        path = Path("/proc/sys") / name
        if path.exists() and (path.read_text().strip() == "0") == (value != "0"):
            return f"sysctl -w {name.replace('/', '.')}={value}"
    if root:
        return "run with CAP_SYS_ADMIN (docker run --cap-add SYS_ADMIN --cap-add NET_ADMIN)"
    return "allow user namespaces to this user, or run as root"


def _subids() -> Iterator[Check]:
    """An ordinary user needs a range of subordinate ids; root has all ids."""
    if os.geteuid() == 0:
        return
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    for kind, option in (("subuid", "--add-subuids"), ("subgid", "--add-subgids")):
        count = subid_count(Path("/etc") / kind, user, os.getuid())
        ok = count >= ids.COUNT
        yield Check(
            stages=("build", "smoke"),
            what=f"/etc/{kind}",
            ok=ok,
            found=f"{count} ids for {user}",
            mend="" if ok else f"usermod {option} 100000-165535 {user}",
        )


def subid_count(path: Path, user: str, uid: int) -> int:
    """Return the length of the longest range in a subuid(5) file for a user."""
    found = ids.subordinate(path, user, uid)
    return found[0][1] if found else 0


def _kvm() -> Check:
    """Whether it works is for the smoke stage to find out; emulation does without."""
    path = Path("/dev/kvm")
    ok = os.access(path, os.R_OK | os.W_OK)
    found = "present" if ok else "not for this user" if path.exists() else "absent: emulation it is"
    return Check(
        stages=("smoke",),
        what="/dev/kvm",
        ok=ok,
        found=found,
        mend="" if ok or not path.exists() else "adduser $USER kvm",
        required=False,
    )


def _cache(root: Path | None) -> Iterator[Check]:
    stages = ("fetch", "build", "smoke")
    try:
        cache = Cache(root)
    except UsageError as e:
        yield Check(stages=stages, what="cache directory", ok=False, found=e.brief, mend=e.hint)
        return
    yield Check(
        stages=stages, what="cache directory", ok=True, found=f"{cache.root} can be written"
    )
    free = shutil.disk_usage(cache.root).free
    yield Check(
        stages=stages,
        what="disk space",
        ok=free >= SPACE,
        found=f"{free >> 20} MiB free of the {SPACE >> 20} MiB that a first run may take",
        mend="" if free >= SPACE else "make room, or name another directory with --cache DIR",
    )
