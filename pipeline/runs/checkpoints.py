# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run has finished so far, noted in its directory: a killed run goes on from there.

A stage that has ended leaves a note: its record, and the SHA-256 of every file that it left. A
note is written in one step. Whoever takes the directory over believes a stage only if its files are
those, no more and no fewer, and so are those of the stages that it was made from; all else that is
in the directory goes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.files import bounded, own_files
from pipeline.host.cache import file_sha256
from pipeline.model import Built, Patched, Source, VerifiedFile
from pipeline.runs.directory import CHECKPOINTS
from pipeline.runs.report import SCHEMA, plain
from pipeline.runs.report_reader import from_json


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage whose outcome is noted."""

    folder: str
    """Where its files are, in the run's directory."""
    record: Any
    """The type of its outcome."""
    of: tuple[str, ...] = ()
    """The stages that it was made from."""


FETCH, PATCH, BUILD, CONTROL = "fetch", "patch", "build", "build control"
STAGES: Mapping[str, Stage] = {
    FETCH: Stage(folder="source", record=Source),
    PATCH: Stage(folder="patched", record=Patched, of=(FETCH,)),
    BUILD: Stage(folder="debs", record=Built, of=(FETCH, PATCH)),
    CONTROL: Stage(folder="control", record=tuple[VerifiedFile, ...], of=(FETCH,)),
}
"""Each after those that it was made from."""


class Checkpoints:
    """The notes in one run's directory."""

    def __init__(self, folder: Path) -> None:
        """Read what a killed run left in ``folder``, if it did, and remove what is not sound."""
        self._folder = folder
        self._notes = folder / CHECKPOINTS
        self._had: dict[str, Any] = {}
        if self._notes.is_dir():
            for name, stage in STAGES.items():
                if all(earlier in self._had for earlier in stage.of):
                    self._read(name, stage)
            self._clear()

    def had(self, name: str) -> Any:
        """Return the record of a stage that the killed run had finished; None: it had not."""
        return self._had.get(name)

    def note(self, name: str, record: Any) -> None:
        """Remember that a stage has ended, with this record."""
        text = json.dumps(
            {
                "tool_version": __version__,
                "schema": SCHEMA,
                "record": plain(record, self._folder),
                "files": self._files(STAGES[name]),
            }
        )
        self._notes.mkdir(exist_ok=True)
        own_files.write(self._notes / name, text)

    def _files(self, stage: Stage) -> dict[str, str]:
        top = self._folder / stage.folder
        return {str(p.relative_to(top)): file_sha256(p) for p in top.rglob("*") if p.is_file()}

    def _read(self, name: str, stage: Stage) -> None:
        """Take over what a stage left, if it is what was noted."""
        try:
            note = bounded.from_json(self._notes / name, bounded.LARGE, follow=False)
            made_by = (note["tool_version"], note["schema"])
            if made_by == (__version__, SCHEMA) and note["files"] == self._files(stage):
                self._had[name] = from_json(stage.record, note["record"], self._folder)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return

    def _clear(self) -> None:
        """Remove what no sound stage left."""
        kept = {self._folder / STAGES[name].folder for name in self._had}
        kept |= {self._notes / name for name in self._had}
        for path in (*self._folder.iterdir(), *self._notes.iterdir()):
            if path.is_dir() and path not in kept and path != self._notes:
                shutil.rmtree(path)
            elif not path.is_dir() and path not in kept:
                path.unlink()
