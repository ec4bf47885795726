# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a smoke guest receives: its first process, the plan of each phase, its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO

from pipeline.files import bounded
from pipeline.host.resources import render
from pipeline.smoke import player_script
from pipeline.smoke.bpf_object import load
from pipeline.smoke.matrix import Row
from pipeline.smoke.tested_packages import LARGEST
from pipeline.vm.image import GuestImage
from pipeline.vm.initramfs import Initramfs

HOME = "/respin"
"""The directory of respin's files in the guest."""

INSTALL_SECONDS = 120
"""How long dpkg may take in the guest."""


def ids(rows: Sequence[Row], phases: Sequence[str]) -> set[str]:
    """Return every id that the guest may report."""
    more = {f"{phase}:{word}" for phase in phases for word in ("install", "version")}
    return player_script.ids(rows, phases) | more


def init(image: GuestImage, phases: Sequence[str], *, installed: bool = False) -> str:
    """Return the guest's first process, a shell script.

    If ``installed``, the root has what the first phase tests.
    """
    return render(
        "guest/init.sh.j2",
        modules=image.modules,
        phases=[
            {
                "name": phase,
                "directory": f"{HOME}/{phase}",
                "installs": not installed or phase != phases[0],
            }
            for phase in phases
        ],
        deadline=INSTALL_SECONDS,
    )


def packages(debs: Sequence[Path]) -> dict[str, Path]:
    """Return the file names of packages in the guest."""
    return {f"{i}.deb": path for i, path in enumerate(debs)}


def archive(
    out: IO[bytes],
    script: str,
    rows: Sequence[Row],
    phases: Sequence[str],
    debs: Sequence[Path],
    *,
    leave: frozenset[str] = frozenset(),
) -> None:
    """Write a run's files for the guest, as a RAM file system that follows the base.

    ``debs`` are the packages of the first phase; those of the second come later. ``leave`` are the
    ids of rows to skip.
    """
    # The base may end anywhere; each archive must begin at a multiple of four bytes.
    out.write(b"\0" * (-out.tell() % 4))
    with Initramfs(out) as guest:
        guest.file("init", script.encode(), 0o755)
        guest.directory(f"{HOME[1:]}/{phases[0]}")
        for name, path in packages(debs).items():
            guest.file(f"{HOME[1:]}/{phases[0]}/{name}", bounded.read(path, LARGEST))
        for phase in phases:
            plan = player_script.plan(rows, phase, home=HOME, leave=leave)
            guest.file(f"{HOME[1:]}/plan-{phase}", plan.encode("latin-1"))
        for row in rows:
            if row.corpus:
                guest.directory(f"{HOME[1:]}/{row.name}")
        for name, content in player_script.files(rows).items():
            data = content if isinstance(content, bytes) else load(content)
            guest.file(f"{HOME[1:]}/{name}", data)
