# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Docker and podman: two programs with one command line.

Everything made here carries our label, and only what carries it is ever removed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipeline.errors import BuildError, RespinError, UsageError
from pipeline.host import command
from pipeline.host.command import Arg, Completed
from pipeline.isolation.allowance import Allowance

LABEL = "iproute2-respin"
"""The label of every container and image that is made here."""

OLDEST = {"docker": (19, 3), "podman": (3, 0)}
"""The oldest accepted versions: those of Debian 11, and Docker's in Ubuntu 20.04."""

SECONDS = 60.0
"""Seconds that an engine may take to answer a question."""


@dataclass(frozen=True, kw_only=True)
class OciEngine:
    """An engine that works here and is new enough."""

    name: str
    """``docker`` or ``podman``: the program."""
    version: str
    """The version of the daemon, or of podman itself."""
    controls: tuple[str, ...] = ("pids", "memory")
    """What it can limit for all processes of a container together."""

    @property
    def unbounded(self) -> str:
        """Return in words what it cannot limit; empty if nothing."""
        lacking = [name for name in ("pids", "memory") if name not in self.controls]
        what = {"pids": "processes", "memory": "memory"}
        names = " and ".join(what[name] for name in lacking)
        return f"{self.name} cannot limit {names} here (it has no control group)" if lacking else ""

    def bounds(self, allowed: Allowance) -> list[str]:
        """Return the options that limit a container; the engine's system call filter stays on."""
        argv = []
        if "pids" in self.controls:
            argv.append(f"--pids-limit={allowed.processes}")
        if "memory" in self.controls:
            argv += [f"--memory={allowed.memory}", f"--memory-swap={allowed.memory}"]
        return argv

    def call(
        self,
        *argv: Arg,
        brief: str = "",
        hint: str = "",
        error: type[RespinError] = BuildError,
        check: bool = True,
        stdin: bytes | Path | None = None,
        stdout: IO[bytes] | None = None,
        timeout: float | None = None,
        log: Path | None = None,
        cleanup: bool = False,
    ) -> Completed:
        """Run one of the engine's commands, as ``command.run`` does."""
        return command.run(
            [self.name, *argv],
            env=environment(),
            stdin=stdin if stdin is not None else b"",
            stdout=stdout,
            timeout=timeout,
            log=log,
            check=check,
            error=error,
            brief=brief or f"{self.name} {argv[0]} failed",
            hint=hint,
            cleanup=cleanup,
        )

    def ids(self, kind: str, *words: str) -> list[str]:
        """Return the ids of the containers or images (``kind``) that carry our label."""
        argv = [kind, "ls", "--quiet", "--no-trunc", f"--filter=label={LABEL}", *words]
        return self.call(*argv, timeout=SECONDS).text.split()


def environment() -> dict[str, str]:
    """Return the environment of an engine's client.

    podman 5 would warn of cgroups v1 with every call, on the standard error of what it runs.
    """
    return {**command.environment(), "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}


def find(name: str) -> OciEngine:
    """Return the engine with that name. Raises UsageError with the reason if it does not work."""
    if command.which(name) is None:
        raise UsageError(f"{name} is not installed", hint=_install(name))
    # podman's client is the engine; Docker's client only asks the daemon.
    field = "{{.Server.Version}}" if name == "docker" else "{{.Client.Version}}"
    done = command.run(
        [name, "version", "--format", field],
        env=environment(),
        check=False,
        timeout=SECONDS,
        error=UsageError,
        brief=f"{name} does not answer",
    )
    if done.status != 0:
        raise explain(name, command.tail(done.err.end()))
    version = done.text.strip()
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST[name]:
        oldest = ".".join(f"{n:02}" if i else str(n) for i, n in enumerate(OLDEST[name]))
        raise UsageError(
            f"{name} {version} is too old; respin needs {oldest} or later",
            hint=f"upgrade {name}, or build with --container unshare",
        )
    return OciEngine(name=name, version=version, controls=_controls(name))


def _controls(name: str) -> tuple[str, ...]:
    """Return what an engine can limit. Raises UsageError if it does not tell."""
    form = "{{.MemoryLimit}} {{.PidsLimit}}" if name == "docker" else "{{.Host.CgroupControllers}}"
    said = command.run(
        [name, "info", "--format", form],
        env=environment(),
        timeout=SECONDS,
        error=UsageError,
        brief=f"{name} did not say which limits it supports",
    ).text
    if name == "podman":
        words = re.findall(r"\w+", said)
        return tuple(each for each in ("pids", "memory") if each in words)
    memory, _, pids = said.strip().partition(" ")
    return tuple(k for k, v in (("pids", pids), ("memory", memory)) if v == "true")


def explain(name: str, said: str) -> UsageError:
    """Return the error for an engine that did not tell its version."""
    if "permission denied" in said.lower():
        return UsageError(
            f"this user may not use {name}",
            details=said,
            hint="run respin as root, or join the group that owns the socket (adduser $USER "
            "docker), whose members can do on this machine what root can",
        )
    return UsageError(
        f"{name} does not answer: no daemon is running" if name == "docker" else f"{name} fails",
        details=said,
        hint="start the daemon (systemctl start docker), or set DOCKER_HOST to where it listens"
        if name == "docker"
        else "",
    )


def _install(name: str) -> str:
    package = {"docker": "docker.io"}.get(name, name)
    return f"apt-get install {package}, or build with --container unshare"
