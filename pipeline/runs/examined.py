# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is the same for every architecture of one source, and is done once."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import FetchError
from pipeline.files import bounded
from pipeline.fixes.fixes import Fix
from pipeline.isolation.sandbox import Wall
from pipeline.model import Fate, Finding, Patched, Source, UserPatch
from pipeline.runs import report
from pipeline.runs.directory import RunDirectory

LARGEST = 1 << 30
"""Bytes of a source that are copied; iproute2's has 1 MB."""


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A source, what is wrong with it, and its patched one."""

    wall: Wall
    source: Source
    tree: Path
    findings: tuple[Finding, ...]
    needed: tuple[Fix, ...]
    """The fixes that are applied."""
    own: tuple[UserPatch, ...] = ()
    """If no fix is applied: what comes of the user's own patches."""
    patched: Future[Patched]
    """If there is something to patch: it may still be made."""
    checked: Future[None]
    """If there is something to patch: it ends when that was checked."""
    timings: Mapping[str, float]

    @property
    def changes(self) -> bool:
        """Whether there is something to patch."""
        return bool(self.needed) or any(each.fate is Fate.APPLIED for each in self.own)

    def into(
        self, directory: RunDirectory, common: RunDirectory, pool: ThreadPoolExecutor
    ) -> Examined:
        """Return it for a run of its own in ``directory``, with a copy of what is in ``common``.

        Raises FetchError if it cannot be copied.
        """

        def patched() -> Patched:
            made = self.patched.result()
            _copy("patched", common, directory)
            with contextlib.suppress(OSError):  # they are in the first one's directory, too
                shutil.copytree(common.logs, directory.logs, dirs_exist_ok=True)
            return report.moved(made, common.path, directory.path)

        _copy("source", common, directory)
        return replace(
            self,
            source=report.moved(self.source, common.path, directory.path),
            patched=pool.submit(patched) if self.changes else self.patched,
        )


def _copy(name: str, common: RunDirectory, directory: RunDirectory) -> None:
    try:
        bounded.copy_tree(common.path / name, directory.path / name, LARGEST)
    except OSError as e:
        raise FetchError(
            f"respin could not copy {name} into {directory.path}: {e.strerror or e}",
            hint="free some space there, or choose another directory with --out",
        ) from e
