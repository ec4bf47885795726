# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Build a .dsc in a container of a given kind, here or where only respin and Python exist.

As a program, call ``python3 - KIND IMAGE DSC ROOT-DSC DEST CACHE`` with this file on its standard
input: it imports nothing but respin, and prints what ``build`` returns as JSON.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.archives.apt import AptArchive
from pipeline.build import build as stage
from pipeline.containers.engines import Kind, choose
from pipeline.host.cache import Cache
from pipeline.host.progress import QUIET
from pipeline.releases import releases

EPOCH = 1420070400


@dataclass(frozen=True, kw_only=True)
class Made:
    """The result of a build."""

    container: str
    image: str
    root: list[str]
    """The packages that the root contained, by name."""
    debs: dict[str, str]
    """The SHA-256 of each package, by its file name."""


def build(kind: str, image: str, dsc: Path, root: Path, dest: Path, cache: Path) -> Made:
    """Build ``dsc`` in the root for the build dependencies of the .dsc ``root``.

    ``image`` is the value of ``--image``, or empty.
    """
    release = releases.find("bookworm")
    kept = Cache(cache)
    archive = AptArchive(release, releases.sources(release), kept)
    logs = dest.with_name(f"{dest.name}-logs")
    engine = choose(Kind(kind), image=image or None)
    ready = stage.prepare(archive, root, kept, log_dir=logs, stage=QUIET, engine=engine)
    version = dsc.stem.partition("_")[2]
    built = stage.build(ready, dsc, version, EPOCH, dest, cache=kept, log_dir=logs, stage=QUIET)
    return Made(
        container=built.container,
        image=built.image,
        root=[package.name for package in built.root],
        debs={deb.path.name: deb.sha256 for deb in built.debs},
    )


if __name__ == "__main__":
    words = sys.argv[1:]
    print(json.dumps(asdict(build(*words[:2], *map(Path, words[2:])))))  # type: ignore[arg-type]
