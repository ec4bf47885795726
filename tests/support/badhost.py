# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines that lack something: this one, with stand-ins for its programs or settings.

Each is a beginning of a command line (``cli.respin(begin=…)``); the rest sees the machine so.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

PROGRAMS = "/usr/local/bin"
"""It comes first in every PATH, and behind every wall."""
LIBRARIES = "/usr/local/src"
"""A directory that is there, empty, and visible behind every wall."""

CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>

int clock_gettime(clockid_t which, struct timespec *found)
{
	int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
	int status = real(which, found);

	if (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)
		found->tv_sec += OFF;
	return status;
}

time_t time(time_t *to)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (to)
		*to = now.tv_sec;
	return now.tv_sec;
}

int gettimeofday(struct timeval *to, void *zone)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	to->tv_sec = now.tv_sec;
	to->tv_usec = now.tv_nsec / 1000;
	return 0;
}
"""


def with_programs(directory: Path, programs: Mapping[str, str]) -> list[str | Path]:
    """Return this machine with other programs: name -> shell script, its first line left out."""
    directory.mkdir()
    for name, script in programs.items():
        (directory / name).write_text(f"#!/bin/sh\n{script}\n")
        (directory / name).chmod(0o755)
    return _bound(directory, PROGRAMS)


def with_clock(directory: Path, off: int) -> list[str | Path]:
    """Return this machine with a clock that is ``off`` by seconds, if PRELOAD is set."""
    directory.mkdir()
    argv: list[str | Path] = [
        "gcc",
        "-shared",
        "-fPIC",
        f"-DOFF={off}L",
        "-x",
        "c",
        "-",
        "-o",
        directory / "clock.so",
    ]
    subprocess.run(argv, input=CLOCK.encode(), check=True)
    return _bound(directory, LIBRARIES)


PRELOAD = f"LD_PRELOAD={LIBRARIES}/clock.so"
"""The environment that goes with it."""


def _bound(directory: Path, at: str) -> list[str | Path]:
    script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    own = [] if os.geteuid() == 0 else ["--user", "--map-auto", "--map-root-user"]
    return ["unshare", *own, "--mount", "sh", "-c", script, "sh", directory, at]


def without_user_namespaces(
    directory: Path, name: str, value: str, *, user: bool
) -> list[str | Path]:
    """Return this machine with a setting that keeps users, or root, from making user namespaces.

    ``name`` is that of the setting, such as ``kernel/unprivileged_userns_clone``. Whichever it is,
    the kernel refuses by user.max_user_namespaces; the directory shows the setting by its name.
    """
    kind, _, last = name.partition("/")
    shown = directory / kind
    for path in Path("/proc/sys", kind).rglob("*"):
        if path.is_file():
            copy = shown / path.relative_to(f"/proc/sys/{kind}")
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                copy.write_bytes(path.read_bytes())
            except OSError:
                continue
    (shown / last).unlink(missing_ok=True)
    (shown / last).write_text(f"{value}\n")
    subprocess.run(["chmod", "-R", "a+rX", directory], check=True)
    script = "echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --inh-caps=-all"
    number, caps = ("1000", " --ambient-caps=-all") if user else ("0", "")
    inner = ["unshare", "--user", f"--map-user={number}", f"--map-group={number}", "--keep-caps"]
    inner += ["sh", "-c", f'{script}{caps} "$@"', "sh"]
    return [*(_bound(shown, f"/proc/sys/{kind}") if kind != "user" else ()), *inner]
