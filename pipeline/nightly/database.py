# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A SQLite file whose errors are explained: damaged, full, locked, not writable.

It times out after half a minute if another process writes. A reader needs write permission
neither on the file nor on its directory.
"""

from __future__ import annotations

import contextlib
import sqlite3
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import LockHeld, RespinError, UsageError
from pipeline.files import own_files, ownership
from pipeline.files.state_lock import HINT, WHAT

PATIENCE = 30.0
"""Seconds that a process waits for another one that writes."""
BACKUP = ".bak"
"""The suffix of the copy that ``keep`` leaves beside the file."""

Values = Sequence[object] | Mapping[str, object]


class Database:
    """One SQLite file, in WAL mode: readers do not wait for a writer."""

    def __init__(self, path: Path, *, create: bool = False, read_only: bool = False) -> None:
        """Open it. Raises UsageError if that fails, LockHeld if another process is writing."""
        self.path = path
        try:
            if create:
                ownership.directory(path.parent, WHAT, HINT, mode=ownership.PUBLIC)
            elif not read_only:
                ownership.check(path.parent, WHAT, HINT)
            if (create and not path.exists()) or stat.S_ISREG(path.lstat().st_mode):
                self._db = self._open(create, read_only)
                self._db.row_factory = sqlite3.Row
            else:
                raise UsageError(f"{path} is not a file", hint="move it away")
        except OSError as e:
            raise UsageError(
                f"respin could not open {path}: {e.strerror}", hint="check who owns the directory"
            ) from e
        except sqlite3.Error as e:
            raise self._said(e) from e

    def _open(self, create: bool, read_only: bool) -> sqlite3.Connection:
        mode = "rwc" if create else "rw"
        if read_only:
            # Without a log beside it, nobody has the file open. SQLite would make that log, which
            # fails in another user's directory, unless it is told that nothing changes.
            log = self.path.with_name(f"{self.path.name}-wal")
            mode = "ro" if log.exists() else "ro&immutable=1"
        uri = f"{self.path.absolute().as_uri()}?mode={mode}"
        database = sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None)
        try:
            if not read_only:
                database.execute("PRAGMA journal_mode=WAL")
                database.execute("PRAGMA synchronous=FULL")
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Close it."""
        self._db.close()

    def rows(self, query: str, values: Values = ()) -> list[sqlite3.Row]:
        """Return the rows that a query finds."""
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as e:
            raise self._said(e) from e

    def write(self, statement: str, values: Values = ()) -> int:
        """Run a statement; return the id of the row that it made, if it made one."""
        try:
            return self._db.execute(statement, values).lastrowid or 0
        except sqlite3.Error as e:
            raise self._said(e) from e

    def script(self, text: str) -> None:
        """Run several statements."""
        try:
            self._db.executescript(text)
        except sqlite3.Error as e:
            raise self._said(e) from e

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Write the whole block or nothing; a block inside another one is part of that one."""
        if self._db.in_transaction:
            yield
            return
        self.write("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            # A full disk has already ended the transaction.
            if self._db.in_transaction:
                self.write("ROLLBACK")
            raise
        self.write("COMMIT")

    def check(self) -> None:
        """Raise UsageError if the file is damaged."""
        (first, *_) = self.rows("PRAGMA quick_check(1)")
        if first[0] != "ok":
            raise self.damaged(str(first[0]))

    def keep(self) -> None:
        """Leave a copy beside the file, in one step. Raises UsageError."""
        copy = self.path.with_name(self.path.name + BACKUP)
        try:
            with (
                own_files.replacing(copy, alone=True) as part,
                contextlib.closing(sqlite3.connect(part)) as to,
            ):
                self._db.backup(to)
        except OSError as e:
            raise UsageError(f"respin could not write {copy}: {e.strerror}") from e
        except sqlite3.Error as e:
            raise self._said(e) from e

    def damaged(self, details: str) -> UsageError:
        """Return the error that says that the file is damaged."""
        copy = self.path.with_name(self.path.name + BACKUP)
        return UsageError(
            f"{self.path} is damaged",
            details=details,
            hint=f"move it and {self.path.name}-wal away, and replace it by {copy.name}, the copy "
            "of the last successful night"
            if copy.exists()
            else "restore a backup; without it the next night starts from scratch",
        )

    def _said(self, e: sqlite3.Error) -> RespinError:
        """Return an SQLite error as a sentence."""
        # An error without a code is Python's own: the text cannot be decoded.
        code = getattr(e, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return self.damaged(str(e))
        if code == sqlite3.SQLITE_BUSY:
            return LockHeld(
                f"another process is writing to {self.path}", hint="try again in a minute"
            )
        if code == sqlite3.SQLITE_FULL:
            return UsageError(
                f"the disk of {self.path.parent} is full", hint="free some space; nothing is lost"
            )
        return UsageError(
            f"respin cannot use {self.path}: {e}",
            hint="check who owns it and its directory, and that its disk is not full",
        )


def sound(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's values. Raises ValueError for a number that can be no time and no count."""
    for name, value in values.items():
        if isinstance(value, int) and not 0 <= value <= LATEST:
            raise ValueError(f"{name} is {value}")
    return dict(values)


LATEST = 253_402_300_799
"""The last second of the year 9999, the last one that datetime can name."""
