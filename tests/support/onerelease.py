# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""One release that is watched, its archive, and commands on its state."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import nightly
from pipeline.host.cache import Cache
from pipeline.nightly.context import World
from pipeline.publish import keys
from pipeline.releases import releases
from support import cli, inprocess, nights, packages, sealed, standin
from support.archive import Signer
from support.nights import Distro, Nights


@dataclass(kw_only=True)
class Here:
    """One release, its archive, and what has been prepared for it."""

    directory: Path
    distro: Distro
    nights: Nights

    def prepare_source(self, version: str) -> None:
        """Make the source package of a version."""
        packages.make_source(self.directory / "made" / version, version=version)

    def dsc(self, version: str) -> Path:
        """Return where the source package of a version is."""
        return self.directory / f"made/{version}/iproute2_{version}.dsc"

    def has(self, version: str, good: bool | None = True) -> None:
        """Let the release have a version, and its run succeed: built, or nothing needed.

        With None, respin does not understand its source.
        """
        self.prepare_source(version)
        self.distro.now_has(self.dsc(version))
        if good is not None:
            self.prepare(version, good=good)

    def prepare(self, version: str, *, good: bool = True, number: int = 1) -> Path:
        """Make the directory that a run of a version will leave."""
        dsc = self.dsc(version)
        release = releases.find("bookworm", config=self.nights.world.config)
        name = f"bookworm_{version}" + (f"-{number}" if number > 1 else "")
        made = standin.make(
            self.directory / "prepared" / name, dsc, release, good=good, number=number
        )
        return self.seal(made)

    def seal(self, directory: Path) -> Path:
        """Sign what is in a directory now with the key that signs the repositories; return it."""
        world = self.nights.world
        return sealed.seal(directory, keys.find(world.directory, world.settings.publish))

    def respin(self, *args: str | Path) -> cli.Said:
        """Call respin with this state; it patches as ``prepare`` does."""
        world = functools.partial(World, patch=self.nights.world.patch)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(nightly, "World", world)
            return respin(self.directory / "respin.toml", self.nights.world.cache.root, *args)

    def json(self, *args: str | Path) -> Any:
        """Call respin with this state; return its JSON."""
        said = self.respin(*args, "--json")
        assert said.status == 0, said.err
        return json.loads(said.out)


def respin(config: Path, cache: Path, *args: str | Path) -> cli.Said:
    """Call respin in this process, with this configuration and cache."""
    env = {"RESPIN_CONFIG": str(config), "RESPIN_CACHE": str(cache)}
    return inprocess.respin(*args, env=env)


@contextlib.contextmanager
def begin(directory: Path) -> Iterator[Here]:
    """Yield a release before its first night."""
    with Signer("distro") as signer, Distro(directory, signer, "bookworm") as distro:
        run = standin.runner(directory / "prepared")
        cache = Cache(directory / "cache")
        patch = standin.patcher(directory / "prepared")
        played = nights.begin(directory, [distro], cache, run, releases=["bookworm"], patch=patch)  # type: ignore[arg-type]
        yield Here(directory=directory, distro=distro, nights=played)
