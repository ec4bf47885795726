# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The directory of a run, which appears only when it is complete.

It is made beside its final place and renamed when it is complete. Logs are written in the cache
during the run, so that those of a failed run can be read, and are copied into the directory at the
end.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.files import bounded, own_files, ownership
from pipeline.host import command, leftovers
from pipeline.host.cache import Cache
from pipeline.host.interrupts import interrupts
from pipeline.isolation import namespaces

REPORT = "report.json"
UNFINISHED = ".unfinished"
"""Marks a directory that is being written by the process that has locked it (flock(2))."""
OLD = "run"
"""The name of an older run in the directory to which it is moved aside."""
_MADE = re.compile(r"\.[a-z0-9_]{8}$")
"""The end of a name that tempfile.mkdtemp made."""
YOUNG = 60.0
"""Seconds in which the process that made a directory may not have locked it yet."""
HINT = "choose another directory with --out"
KEPT_LOGS = 20
"""The number of runs whose logs stay under the cache."""


class RunDirectory:
    """A run's directory while it is being written."""

    def __init__(self, path: Path, logs: Path) -> None:
        self.path = path
        self.logs = logs
        self.seal: Callable[..., None] = lambda _: None
        """Called with the directory when everything is in it, before it appears."""

    def log(self, stage: str) -> Path:
        """Return the log file of a stage."""
        return self.logs / f"{stage}.log"


def check(out: Path) -> None:
    """Raise UsageError if ``out`` exists and is not a run of respin, or cannot be made."""
    try:
        _check(out)
    except OSError as e:
        raise _cannot(out, e) from e


def check_several(out: Path, names: Iterable[str]) -> None:
    """Check the directory of several runs, one below the other; raise UsageError like ``check``."""
    if _is_ours(out):
        raise UsageError(
            f"{out} is the directory of one run, and cannot hold those of several architectures",
            hint=HINT,
        )
    for name in names:
        check(out / name)


def _check(out: Path) -> None:
    if not out.name or out.name == "..":
        raise UsageError(
            f"{out} is not a valid name for a new directory", hint="choose one with --out"
        )
    parent = out.absolute().parent
    while not os.path.lexists(parent):
        parent = parent.parent
    if not parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{parent} is not a directory", str(parent))
    if not namespaces.in_container():  # there, root may use a directory that it was given
        ownership.check_place(parent, "--out in", HINT)
    if out.is_dir() and not any(out.iterdir()):
        return
    if os.path.lexists(out) and not _is_ours(out):
        several = any(_is_ours(each) for each in out.iterdir()) if out.is_dir() else False
        raise UsageError(
            f"{out} holds the runs of several architectures, and is not the directory of one"
            if several
            else f"{out} exists and is not a directory that respin wrote",
            hint=HINT,
        )
    if not os.access(parent, os.W_OK):
        raise UsageError(f"{parent} cannot be written", hint=HINT)


def _cannot(out: Path, e: OSError) -> UsageError:
    return UsageError(
        f"{out} cannot be written: {e.strerror or e}",
        hint="free some space there, or choose another directory with --out"
        if e.errno in command.FULL
        else "choose another directory with --out",
    )


def _is_ours(out: Path) -> bool:
    try:
        report = bounded.from_json(out / REPORT, bounded.LARGE, follow=False)
    except (OSError, ValueError):
        return False
    return isinstance(report, dict) and report.get("tool") == "iproute2-respin"


@contextlib.contextmanager
def open_run(
    out: Path, cache: Cache, *, keep: bool = False, logs: Path | None = None
) -> Iterator[RunDirectory]:
    """Yield a directory to write into; put it in its place at the end.

    The logs are written into ``logs``, by default a new directory under the cache.

    An older run at ``out`` is replaced. If the block fails, ``out`` is as it was before; with
    ``keep`` the unfinished directory stays where it is, and a note on the error says where.
    Leftovers of killed runs to the same place are removed. Raises UsageError if ``out`` cannot be
    written.
    """
    check(out)
    final = out.absolute()
    logs = log_directory(cache, logs)
    with _parents(final):
        _sweep(final)
        part = _begin(final)
        try:
            with _lock(part) as locked:
                if locked:
                    (part / UNFINISHED).touch()
                directory = RunDirectory(part, logs)
                yield directory
                _finish(directory, final)
        except BaseException as e:
            _stop(part, e, keep=keep)
            if isinstance(e, OSError) and e.errno in command.FULL:
                raise _cannot(final, e) from e
            raise


@contextlib.contextmanager
def _parents(final: Path) -> Iterator[None]:
    """Make the directories above a place; if the block fails, remove those that are empty."""
    lacking = [parent for parent in final.parents if not parent.exists()]
    try:
        with interrupts.held():
            for parent in reversed(lacking):
                parent.mkdir(exist_ok=True)
                leftovers.note(parent, Path.rmdir)
    except OSError as e:
        _clear(lacking)
        raise _cannot(final, e) from e
    try:
        yield
    except BaseException:
        _clear(lacking)
        raise
    for parent in lacking:
        leftovers.done(parent)


def _clear(parents: list[Path]) -> None:
    """Remove the directories that were made, the deepest first, unless somebody has used them."""
    with interrupts.held():
        for parent in parents:
            leftovers.clear(parent)


def _begin(final: Path) -> Path:
    """Make the directory beside ``final`` in which the run is written."""
    with interrupts.held():
        try:
            part = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}."))
            leftovers.note(part)
        except OSError as e:
            raise _cannot(final, e) from e
    return part


def _finish(directory: RunDirectory, final: Path) -> None:
    """Add the logs, seal a complete run, and put it in its place."""
    part = directory.path
    try:
        shutil.copytree(directory.logs, part / "logs")
        directory.seal(part)
        with interrupts.held():
            part.chmod(0o755)
            (part / UNFINISHED).unlink(missing_ok=True)
            _replace(part, final)
            leftovers.done(part)
            for parent in final.parents:
                leftovers.done(parent)
            leftovers.whole(f"The run had finished: it is complete, in {final}")
    except shutil.Error as e:  # a list of what could not be copied, in words
        raise UsageError(
            f"the logs could not be copied to {final}",
            details="\n".join(str(each[2]) for each in e.args[0][:5]),
            hint="is there room? choose another directory with --out",
        ) from e
    except OSError as e:
        raise _cannot(final, e) from e


def _stop(part: Path, e: BaseException, *, keep: bool) -> None:
    """Remove a run that failed or was stopped, or keep it if that was asked for."""
    with interrupts.held():
        if keep and part.exists():
            (part / UNFINISHED).unlink(missing_ok=True)
            e.add_note(f"The unfinished run is kept in {part}")
            leftovers.done(part)
        else:
            leftovers.clear(part)


def _lock(part: Path) -> contextlib.AbstractContextManager[bool]:
    return own_files.locked(part, wait=False, directory=True)


def _sweep(final: Path) -> None:
    """Remove directories beside ``final`` that a run of this user left when it was killed."""
    for part in final.parent.glob(f".{glob.escape(final.name)}.*"):
        with contextlib.suppress(OSError), interrupts.held():
            found = part.lstat()
            if found.st_uid != os.geteuid() or not _MADE.search(part.name):
                continue
            # A process that writes a directory first locks it, then marks it.
            with _lock(part) as locked:
                if locked and (part / UNFINISHED).exists():
                    shutil.rmtree(part)
                elif locked and (part / OLD).is_dir():
                    _take_back(part, final)
                elif locked and time.time() - found.st_mtime > YOUNG:
                    part.rmdir()  # nothing was in it yet


def _take_back(part: Path, final: Path) -> None:
    """Put an older run back in its place, or remove it if a newer one is there."""
    if not final.exists():
        (part / OLD).rename(final)
    shutil.rmtree(part)


def _replace(part: Path, final: Path) -> None:
    """Put a directory in the place of another, and remove that one."""
    if not final.exists():
        part.rename(final)
        return
    old = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}.old."))
    leftovers.note(old)
    with _lock(old):
        final.rename(old / OLD)
        try:
            part.rename(final)
        except OSError:
            (old / OLD).rename(final)
            raise
        finally:
            leftovers.clear(old)


def log_directory(cache: Cache, named: Path | None) -> Path:
    if named is not None:
        named.mkdir(parents=True, exist_ok=True)
        return named
    directory = cache.directory("logs")
    for old in sorted(directory.iterdir())[:-KEPT_LOGS]:
        shutil.rmtree(old, ignore_errors=True)
    stamp = time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime())
    return Path(tempfile.mkdtemp(dir=directory, prefix=stamp))
