# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What `respin init` writes for an engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from pipeline.cli import engines

NAMES = tuple(engine.name for engine in engines.engines())
USUAL: dict[str, Any] = {
    "repository": "https://git.example.org/tools/iproute2-respin.git",
    "ref": "3f786850e387550fdab836ed7e6dc881de23001b",
    "image": f"docker.io/library/debian@sha256:{'a' * 64}",
    "worker": ("one=amd64", "two=arm64"),
    "config": "/etc/respin/respin.toml",
}
"""Values of the options that have to be given."""


def written(name: str, **chosen: Any) -> dict[str, str]:
    """Return the files of an engine: name -> text; "-" is what is printed."""
    (engine,) = (each for each in engines.engines() if each.name == name)
    values = {
        option.key: USUAL.get(option.key, False if option.flag else option.default)
        for option in engine.options
    }
    return engines.texts(engine, {**values, **chosen})


class Master:
    """The configuration of a Buildbot master, in its directory."""

    def __init__(self, directory: Path) -> None:
        """Write it, and an empty respin.toml."""
        self.directory = directory
        (directory / "respin.toml").touch()
        for name, text in written("buildbot", config=str(directory / "respin.toml")).items():
            (directory / name).write_text(text)
        (directory / "secrets").mkdir(mode=0o700)

    def call(self, code: str) -> str:
        """Run Python, with Buildbot, that has the configuration's names in ``values``."""
        argv = [sys.executable, "-W", "ignore", "-c", CALL + code, str(self.directory)]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


CALL = """
import json, sys
from pathlib import Path
basedir = sys.argv[1]
values = {"basedir": basedir}
exec(compile(Path(basedir, "master.cfg").read_text(), "master.cfg", "exec"), values)
"""
