# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""respin as an engine's machines have it, except that nothing is built or proven.

worker.py ARGS… is `respin ARGS…`. A run fetches, verifies, diagnoses and patches as always, once
for all architectures; RESPIN_TEST_MADE is the directory that has what was made. The packages are
made up, by the stand-in of tests/support/standin.py. RESPIN_TEST_STALLS names a file: the run that
finds it removes it, writes its process id to the name with .pid, and waits to be killed.
"""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline import run as pipeline_run
from pipeline.host.progress import Journal
from pipeline.runs import report, report_reader, sealed, single_stage
from pipeline.runs.directory import open_run
from pipeline.runs.report import Report
from pipeline.runs.request import Request
from support import standin


def run(request: Request, out: Path, journal: Journal | None = None) -> Report:
    """Leave what a run leaves."""
    _stall()
    begun = datetime.now(UTC)
    with open_run(out, request.cache, keep=request.keep, logs=request.logs) as part:
        part.seal = functools.partial(
            sealed.seal, fixes=request.fixes, signer=request.signer, begun=begun
        )
        top = Path(os.environ["RESPIN_TEST_MADE"])
        with (top / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            made = _built(request, _patched(request, top, journal))
        shutil.copytree(made, part.path, dirs_exist_ok=True)
    return report_reader.read(out)


def _patched(request: Request, top: Path, journal: Journal | None) -> Path:
    """Return the directory of the patched source of a request, which the first one makes."""
    directory = top / f"{request.release.codename}_{request.version}_{request.number}"
    if not directory.exists():
        single_stage.patch_only(replace(request, logs=None, signer=None), directory, journal)
    return directory


def _built(request: Request, patched: Path) -> Path:
    """Return the directory with the packages for an architecture, which the first one makes.

    The bytes of a package have to be the same whoever makes it, as those of a real one are.
    """
    directory = patched.with_name(f"{patched.name}_{request.target}")
    if not directory.exists():
        shutil.copytree(patched, directory)
        shutil.rmtree(directory / "logs")
        done = report_reader.read(directory)
        finding = next(f for f in done.findings if f.fix == "stt-object")
        assert done.patched
        built = standin.built_of(directory, done.source, finding, done.patched, request.target)
        report.write(replace(built, findings=done.findings), directory)
    return directory


def _stall() -> None:
    """Wait to be killed, in the one run that is chosen for it."""
    if chosen := os.environ.get("RESPIN_TEST_STALLS"):
        try:
            Path(chosen).unlink()
        except FileNotFoundError:
            return
        Path(f"{chosen}.pid").write_text(f"{os.getpid()}\n")
        time.sleep(600)


if __name__ == "__main__":
    pipeline_run.run = run
    from pipeline.__main__ import main

    main()
