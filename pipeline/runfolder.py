"""The folder that a run leaves behind: whole, or absent.

It is made beside its final place and renamed when it is complete. Logs are written under
the cache while the run goes on, so that those of a failed run can be read, and are copied
into the folder at the end.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline import bounded
from pipeline.cache import Cache
from pipeline.errors import UsageError

REPORT = "report.json"
CHECKPOINTS = ".checkpoints"
"""What a run has finished is noted here until it is whole (checkpoints.py)."""
UNFINISHED = ".unfinished"
"""Marks a folder that is being written by the process that has locked it (flock(2))."""
KEPT_LOGS = 20
"""Runs whose logs stay under the cache."""


class RunFolder:
    """A run's folder while it is being written."""

    def __init__(self, path: Path, logs: Path) -> None:
        self.path = path
        self.logs = logs

    def log(self, stage: str) -> Path:
        """Return the log file of a stage."""
        return self.logs / f"{stage}.log"


def check(out: Path) -> None:
    """Raise UsageError if ``out`` exists and is not a run of ours, or cannot be made."""
    if out.is_dir() and not any(out.iterdir()):
        return
    if (out.exists() or out.is_symlink()) and not _is_ours(out):
        raise UsageError(
            f"{out} exists and is not a folder that respin wrote",
            hint="name another folder with --out",
        )
    parent = out.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not os.access(parent, os.W_OK):
        raise UsageError(f"{parent} cannot be written", hint="name another folder with --out")


def _is_ours(out: Path) -> bool:
    try:
        report = bounded.from_json(out / REPORT, bounded.LARGE, follow=False)
    except (OSError, ValueError):
        return False
    return isinstance(report, dict) and report.get("tool") == "iproute2-respin"


@contextlib.contextmanager
def open_run(
    out: Path,
    cache: Cache,
    *,
    keep: bool = False,
    logs: Path | None = None,
    unfinished: Path | None = None,
    resumable: bool = False,
) -> Iterator[RunFolder]:
    """Yield a folder to write into; put it in its place at the end.

    The logs are written into ``logs``, by default a new folder under the cache. ``unfinished``
    is the folder of a run that was killed, to be gone on with; beside ``out``, and taken away.

    An older run of ours at ``out`` is replaced. If the block fails nothing is at ``out``
    that was not there before; with ``keep`` the unfinished folder stays where it is and a
    note is added to the error. With ``resumable`` it stays where the user, or a service manager,
    stops the run. What runs to the same place left when they were killed is removed.
    """
    check(out)
    final = out.absolute()
    final.parent.mkdir(parents=True, exist_ok=True)
    if logs is None:
        logs = _log_folder(cache)
    else:
        logs.mkdir(parents=True, exist_ok=True)
    if not resumable:
        _sweep(final)
    part = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}."))
    if unfinished is not None:
        unfinished.replace(part)
    try:
        with _lock(part) as locked:
            if locked and not resumable:
                (part / UNFINISHED).touch()
            yield RunFolder(part, logs)
            shutil.copytree(logs, part / "logs")
            part.chmod(0o755)
            (part / UNFINISHED).unlink(missing_ok=True)
            _replace(part, final)
            shutil.rmtree(final / CHECKPOINTS, ignore_errors=True)
    except BaseException as e:
        if keep:
            (part / UNFINISHED).unlink(missing_ok=True)
            e.add_note(f"The unfinished run is kept in {part}")
        elif isinstance(e, Exception) or not resumable:
            shutil.rmtree(part, ignore_errors=True)
        raise


@contextlib.contextmanager
def _lock(part: Path) -> Iterator[bool]:
    """Lock a folder; yield whether that was to be had (another has it, or there are no locks)."""
    number = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(number)


def _sweep(final: Path) -> None:
    """Remove folders beside ``final`` that a run of this user left when it was killed."""
    for part in final.parent.glob(f".{glob.escape(final.name)}.*"):
        with contextlib.suppress(OSError):
            # Whoever writes one locks it first, and marks it then.
            if (part / UNFINISHED).stat().st_uid == os.geteuid():
                with _lock(part) as locked:
                    if locked:
                        shutil.rmtree(part)


def _replace(part: Path, final: Path) -> None:
    old = None
    if final.exists():
        old = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}.old."))
        final.rename(old / "run")
    part.rename(final)
    if old:
        shutil.rmtree(old, ignore_errors=True)


def _log_folder(cache: Cache) -> Path:
    folder = cache.folder("logs")
    for old in sorted(folder.iterdir())[:-KEPT_LOGS]:
        shutil.rmtree(old, ignore_errors=True)
    stamp = time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime())
    return Path(tempfile.mkdtemp(dir=folder, prefix=stamp))
