# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""respin as a user has it: installed from a wheel and called from another directory."""

from __future__ import annotations

import functools
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SYSTEM_PYTHON = Path("/usr/bin/python3")


@functools.cache
def installed() -> Path:
    """Return a directory that has only respin, put there by pip, and that everyone can read.

    The libraries are those of the Python that runs it; this Python's tools build the wheel.
    """
    if importlib.util.find_spec("hatchling") is None:
        raise RuntimeError("this virtual environment is older than its lock: make .venv/test")
    directory = Path(tempfile.mkdtemp(prefix="respin-installed-"))
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"),
            *("--no-build-isolation", "--target", directory, CHECKOUT),
        ],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    # No service on the internet is used (snapshot.debian.org and the like).
    shutil.copyfile(Path(__file__).with_name("respin.toml"), directory / "respin.toml")
    subprocess.run(["chmod", "-R", "a+rX", directory], check=True)
    return directory


def remove_installed() -> None:
    """Remove the directory of ``installed``, if it was made."""
    if installed.cache_info().currsize:
        shutil.rmtree(installed(), ignore_errors=True)
        installed.cache_clear()


@dataclass(frozen=True, kw_only=True)
class Said:
    """The output and exit status of a call of respin."""

    status: int
    out: str
    err: str


def environment(config: Path | None = None, cache: Path | None = None) -> list[str]:
    """Return the environment in which Python finds the installed respin, as NAME=VALUE."""
    words = ["LANG=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin"]
    words += [f"PYTHONPATH={installed()}", f"RESPIN_CONFIG={config or installed() / 'respin.toml'}"]
    words += [f"{k}={v}" for k, v in os.environ.items() if k.endswith("_proxy")]
    return [*words, f"RESPIN_CACHE={cache}"] if cache else words


def python(
    user: str | None, cache: Path | None = None, config: Path | None = None, *more: str
) -> list[str]:
    """Return the beginning of a call of Python as a user, and ``more`` of NAME=VALUE."""
    # The interpreter of this venv may be where an ordinary user has no access.
    program = SYSTEM_PYTHON if SYSTEM_PYTHON.exists() else Path(sys.executable)
    home = pwd.getpwnam(user).pw_dir if user else os.environ.get("HOME", "/")
    words = [] if user is None else ["runuser", "-u", user, "--"]
    # A shell that starts the tests in the background makes them ignore SIGINT.
    words += ["env", "-i", "--default-signal=INT", f"HOME={home}"]
    return [*words, *environment(config, cache), *more, str(program), "-W", "error"]


def _argv(
    user: str | None, args: Sequence[str | Path], cache: Path | None, config: Path | None = None
) -> list[str]:
    return [*python(user, cache, config), "-m", "pipeline", *map(str, args)]


def respin(
    *args: str | Path,
    user: str | None = None,
    cache: Path | None = None,
    cwd: Path | None = None,
    timeout: float = 1200,
    config: Path | None = None,
    begin: Sequence[str | Path] = (),
    more: Sequence[str] = (),
) -> Said:
    """Call respin to its end, as this user or another; ``config`` is its respin.toml.

    ``begin`` is the beginning of the command line, and ``more`` of the environment: NAME=VALUE.
    """
    done = subprocess.run(
        [*begin, *python(user, cache, config, *more), "-m", "pipeline", *map(str, args)],
        cwd=cwd or "/",
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Said(status=done.returncode, out=done.stdout, err=done.stderr)


def start(*args: str | Path, cache: Path | None = None) -> subprocess.Popen[str]:
    """Start respin in a process group of its own, with all output on one pipe."""
    return subprocess.Popen(
        _argv(None, args, cache),
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def interrupt(process: subprocess.Popen[str], sig: signal.Signals = signal.SIGINT) -> str:
    """Send a signal to the whole group, as a terminal does; return the rest of the output."""
    os.killpg(process.pid, sig)
    said, _ = process.communicate(timeout=60)
    return said
