# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What this machine has and lacks for each stage, and the command that fixes it.

This module returns data only; the command line shows it.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.archives import host_apt
from pipeline.config import distros
from pipeline.errors import RespinError, UsageError
from pipeline.fixes import fixes, self_check
from pipeline.host import command
from pipeline.host.cache import Cache
from pipeline.host.resources import project_data
from pipeline.isolation import ids, namespaces, sandbox
from pipeline.runs.architectures import ALL
from pipeline.smoke import compile as compiling
from pipeline.vm import qemu
from pipeline.vm.machine import Machine, install, machine_for, machines

SPACE = 4 << 30
"""Bytes a first run needs free in the cache: package lists, downloads, two roots, ccache."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that stages need."""

    stages: tuple[str, ...]
    what: str
    """What is needed, such as the name of a package."""
    ok: bool
    found: str
    """What was found, or what is wrong."""
    remedy: str = ""
    """The command that fixes it, if it is not ok."""
    required: bool = True
    """Whether a run fails without it; if not, a run is slower, or only a night or the releases of
    another distro need it."""


def to_json(checks: Iterable[Check]) -> list[dict[str, Any]]:
    """Return the JSON of ``respin doctor --json``; the key of the remedy is ``mend``."""
    rows = [dataclasses.asdict(check) for check in checks]
    return [{"mend" if key == "remedy" else key: row[key] for key in row} for row in rows]


@dataclass(frozen=True, kw_only=True)
class Need:
    """A line of packages.txt."""

    package: str
    shown_by: str
    """The program, or the path of the file, that shows the package is installed."""
    stages: tuple[str, ...]
    distro: str = ""
    """The distro whose hosts need it; empty if those of all do."""
    architectures: tuple[str, ...] = ()
    """The architectures whose hosts need it; empty if those of all do."""

    @property
    def concerns(self) -> bool:
        """Whether hosts of this machine's architecture need it."""
        return not self.architectures or host_apt.architecture() in self.architectures


def needs(path: Path | None = None) -> tuple[Need, ...]:
    """Read packages.txt: the Debian packages that respin needs."""
    lines = (path or project_data("packages.txt")).read_text().splitlines()
    fields = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return tuple(_need(*line) for line in fields)


def _need(package: str, shown_by: str, stages: str, hosts: str = "") -> Need:
    distro = hosts if hosts in distros.ALL else ""
    return Need(
        package=package,
        shown_by=shown_by,
        stages=tuple(stages.split(",")),
        distro=distro,
        architectures=tuple(hosts.split(",")) if hosts and not distro else (),
    )


def examine(cache_root: Path | None = None, architectures: Sequence[str] = ()) -> tuple[Check, ...]:
    """Check this machine; ``cache_root`` is the cache directory, if not the default one.

    ``architectures`` are Debian's names of others that packages are to be built and proven for, or
    ``all``.
    Changes nothing, except that it creates the cache directory. Raises UsageError for an unknown
    architecture, and nothing else: the checks say what is wrong.
    """
    for name in architectures:
        if name not in (*machines(), ALL):
            raise UsageError(
                f"there is no architecture named {name!r}",
                hint=f"choose one of {', '.join(machines())}, or {ALL}",
            )
    wanted = machines() if ALL in architectures else architectures
    foreign = [m for name, m in machines().items() if name in wanted and not m.native]
    here = distros.of_machine()
    return (
        # Whatever respin needs to start is there, or this code would not be running.
        *(_package(n, here) for n in needs() if n.concerns and n.stages != ("setup",)),
        *_namespaces(),
        *_sandbox(),
        *_versions(cache_root),
        *_foreign(foreign, here),
        *_subids(),
        _kvm(),
        *_cache(cache_root),
    )


def _package(need: Need, here: str) -> Check:
    """Check for a package on a host that runs the distro ``here``."""
    elsewhere = need.distro not in ("", here)
    if need.shown_by.startswith("/"):
        found = need.shown_by if Path(need.shown_by).exists() else None
    else:
        found = command.which(need.shown_by)
    return Check(
        stages=need.stages,
        what=need.package,
        ok=found is not None,
        found=found
        or f"{need.shown_by} is missing"
        + (f"; only releases of {need.distro} need it" if elsewhere else ""),
        remedy="" if found else _install(need.package),
        required=need.stages != ("nightly",) and not elsewhere,
    )


def _install(package: str) -> str:
    """Return the command that installs a package; of names with | between them, one of them."""
    return install(package) if "|" in package else f"apt-get install {package}"


def _foreign(others: Sequence[Machine], here: str) -> Iterator[Check]:
    """Check what packages for other architectures need beside: QEMU and a cross compiler."""
    own = {need.package for need in needs() if need.concerns}
    for package, shown_by in {p: s for each in others for p, s in each.needs.items()}.items():
        if package not in own:
            yield _package(Need(package=package, shown_by=shown_by, stages=("smoke",)), here)
    for machine in others:
        if command.which(machine.qemu) is not None:  # else the check of its package reports it
            check = functools.partial(qemu.check, machine)
            yield _checked(("smoke",), f"machine of QEMU for {machine.architecture}", check)
        if command.which("clang") is not None:
            check = functools.partial(compiling.check, machine)
            yield _checked(("smoke",), f"clang for BPF of {machine.architecture}", check)


def _versions(cache_root: Path | None) -> Iterator[Check]:
    """Check that the programs do what a run needs of them, as it does before it begins."""

    def verdicts() -> str:
        known = fixes.all_fixes()
        return f"version {self_check.check(Cache(cache_root), known)} passes it"

    smoke = ("smoke",)
    for stages, what, check in (
        (("fetch",), "version of apt", host_apt.check),
        (("diagnose", "patch"), "self-check of Coccinelle", verdicts),
        (smoke, "clang for BPF", lambda: compiling.check(machine_for(host_apt.architecture()))),
        (smoke, "machine of QEMU", lambda: qemu.check(machine_for(host_apt.architecture()))),
    ):
        yield _checked(stages, what, check)


def _checked(stages: tuple[str, ...], what: str, check: Callable[[], str]) -> Check:
    """Return what came of a check that raises an error with its remedy."""
    try:
        found, ok, remedy = check(), True, ""
    except RespinError as e:
        found, ok, remedy = "\n".join(filter(None, (e.brief, e.details))), False, e.hint
    return Check(stages=stages, what=what, ok=ok, found=found, remedy=remedy)


def _namespaces() -> Iterator[Check]:
    """Enter the namespaces that a build enters, as this user would.

    An ordinary user's subordinate ids are a separate check.
    """
    if os.geteuid() == 0:
        found = namespaces.trouble()
        said = "usable" if found is None else found.details.splitlines()[-1]
        ok = found is None
    else:
        if command.which("unshare") is None:
            return  # the check of that package reports it
        how = ["--user", "--map-root-user", "--mount", "--pid", "--fork", "--net"]
        done = command.run(["unshare", *how, "true"], check=False, timeout=30)
        ok = done.status == 0
        said = "usable" if ok else command.tail(done.err.end()).strip()
    yield Check(
        stages=("build", "smoke"),
        what="user namespaces",
        ok=ok,
        found=said,
        remedy="" if ok else _namespaces_remedy(os.geteuid() == 0),
    )


def _sandbox() -> Iterator[Check]:
    """Make the sandbox in which sources are read."""
    if command.which("bwrap") is None:
        return  # the check of that package reports it
    try:
        found, ok = _WALLS[sandbox.wall()], True
    except UsageError as e:
        found, ok = "\n".join([e.brief, e.details]).strip(), False
    yield Check(
        stages=("fetch", "diagnose", "patch"),
        what="sandbox",
        ok=ok,
        found=found,
        remedy="" if ok else _namespaces_remedy(os.geteuid() == 0),
    )


_WALLS = {
    sandbox.Wall.BUBBLEWRAP: "bubblewrap can make one",
    sandbox.Wall.CONTAINER: "no sandbox can be made inside this container; to read a "
    "source of your own, add --trust-container",
}


def _namespaces_remedy(root: bool) -> str:
    if root:
        allowed = "run with CAP_SYS_ADMIN (docker run --cap-add SYS_ADMIN --cap-add NET_ADMIN)"
    else:
        allowed = "allow this user to create user namespaces, or run respin as root"
    return namespaces.closed() or allowed


def _subids() -> Iterator[Check]:
    """Check the ranges of subordinate ids that an ordinary user needs; root has all ids."""
    if os.geteuid() == 0:
        return
    user = ids.name()
    for kind, option in (("subuid", "--add-subuids"), ("subgid", "--add-subgids")):
        count = subid_count(Path("/etc") / kind, user, os.getuid())
        ok = count >= ids.COUNT
        yield Check(
            stages=("build", "smoke"),
            what=f"/etc/{kind}",
            ok=ok,
            found=f"{count} ids for {user}",
            remedy="" if ok else f"usermod {option} 100000-165535 {user}",
        )


def subid_count(path: Path, user: str, uid: int) -> int:
    """Return the length of the longest range in a subuid(5) file for a user."""
    found = ids.subordinate(path, user, uid)
    return found[0][1] if found else 0


def _kvm() -> Check:
    """Check that KVM is there; the smoke stage finds out whether it works, or uses emulation."""
    path = Path("/dev/kvm")
    ok = os.access(path, os.R_OK | os.W_OK)
    found = (
        "present"
        if ok
        else "not open to this user"
        if path.exists()
        else "absent; QEMU will emulate"
    )
    return Check(
        stages=("smoke",),
        what="/dev/kvm",
        ok=ok,
        found=found,
        remedy="" if ok or not path.exists() else "adduser $USER kvm",
        required=False,
    )


def _cache(root: Path | None) -> Iterator[Check]:
    stages = ("fetch", "build", "smoke")
    try:
        cache = Cache(root)
    except UsageError as e:
        yield Check(stages=stages, what="cache directory", ok=False, found=e.brief, remedy=e.hint)
        return
    yield Check(stages=stages, what="cache directory", ok=True, found=f"{cache.root} is writable")
    free = shutil.disk_usage(cache.root).free
    yield Check(
        stages=stages,
        what="disk space",
        ok=free >= SPACE,
        found=f"{free >> 20} MiB free; a first run may take {SPACE >> 20} MiB",
        remedy=""
        if free >= SPACE
        else "free some space, or choose another directory with --cache DIR",
    )
