# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``respin nightly`` remembers: SQLite, so that a kill at any moment loses nothing.

Every step is on the disk (synchronous=FULL) before the next begins. Readers (status, history) do
not wait for the night.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self, TypeVar

from pipeline.archives import host_apt
from pipeline.archives.signedindex import SuiteIndex
from pipeline.errors import UsageError
from pipeline.host.resources import package_data
from pipeline.nightly import state_rows
from pipeline.nightly.database import Database, sound
from pipeline.nightly.state_rows import (
    FAILED,
    FIXED,
    INTERRUPTED,
    MADE,
    NOT_NEEDED,
    SAME,
    UNHARMED,
    UNKNOWN,
    WAITING,
    Need,
    Notification,
    RunRow,
    TargetState,
)
from pipeline.publish.generations import Issued

__all__ = [
    "FAILED",
    "FIXED",
    "INTERRUPTED",
    "MADE",
    "NOT_NEEDED",
    "SAME",
    "UNHARMED",
    "UNKNOWN",
    "WAITING",
    "Need",
    "Notification",
    "RunRow",
    "State",
    "TargetState",
]

T = TypeVar("T")
NAME = "state.sqlite"
SCHEMA = 3
IDS = "sqlite_sequence"
"""SQLite's own table of the highest ids that were ever given."""
ALL = ("targets", "runs", "numbers", "generations", "told", "outbox", IDS)
ATTENTION = "/attention"
"""Stands for what needs a person where a target's name would be, which has no slash."""


class State:
    """The database of one state directory."""

    def __init__(self, directory: Path, *, create: bool = False, read_only: bool = False) -> None:
        """Open it; ``read_only`` for readers, who may lack write permission.

        Raises UsageError if it is missing or damaged, or if this version cannot read it.
        """
        path = directory / NAME
        try:
            there = path.exists()
        except OSError as e:
            raise UsageError(
                f"respin could not read {directory}: {e.strerror}", hint="check who may read it"
            ) from e
        if not create and not there:
            raise UsageError(
                f"there is no state of `respin nightly` in {directory}",
                hint="run respin nightly first, or choose its configuration with --config",
            )
        self._db = Database(path, create=create, read_only=read_only)
        try:
            self._begin(read_only)
        except BaseException:
            self._db.close()
            raise

    def _begin(self, read_only: bool) -> None:
        self._db.check()
        version = self._db.rows("PRAGMA user_version")[0][0]
        if version > SCHEMA:
            raise UsageError(
                "this state was written by a newer version of respin", hint="upgrade respin"
            )
        if read_only:
            if version < SCHEMA:
                raise UsageError(
                    "this state was written by an older version of respin",
                    hint="run respin nightly first",
                )
            return
        if version < SCHEMA:
            names = ["state.sql"] if version in (0, 1) else []
            if version in (1, 2):
                names.append("state-3.sql")
            scripts = (package_data(__package__, name).read_text("utf-8") for name in names)
            text = "".join(scripts).replace(":native", f"'{host_apt.architecture()}'")
            self._db.script(f"BEGIN; {text} PRAGMA user_version={SCHEMA}; COMMIT;")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write the whole block or nothing; a block inside another one is part of that one."""
        with self._db.together():
            yield

    def keep(self) -> None:
        """Leave a copy beside it, in case it gets damaged."""
        self._db.keep()

    def _read(self, make: Callable[[dict[str, Any]], T], row: sqlite3.Row) -> T:
        """Return the record in a row. Raises UsageError if the row holds none."""
        try:
            return make(sound(dict(row)))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
            raise self._db.damaged(f"{type(e).__name__}: {e}") from e

    # -- all of it ----------------------------------------------------------------------

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Return the rows of all tables but for the archives' indexes, and the highest ids."""
        with self.together():
            return {name: [dict(r) for r in self._db.rows(f"SELECT * FROM {name}")] for name in ALL}

    def fill(self, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Put what ``tables`` returned into an empty state.

        Raises KeyError or ValueError if these are not the tables of this version.
        """
        with self.together():
            for name in ALL:
                columns = [row["name"] for row in self._db.rows(f"PRAGMA table_info({name})")]
                if name == IDS:
                    self._db.write(f"DELETE FROM {name}")
                for row in tables[name]:
                    if set(row) != set(columns):
                        raise ValueError(f"{name} has other columns")
                    holes = ", ".join(f":{column}" for column in columns)
                    self._db.write(f"INSERT INTO {name} VALUES ({holes})", row)

    # -- indexes ------------------------------------------------------------------------

    def indexes(self) -> dict[tuple[str, str], SuiteIndex]:
        """Return the last known index of every suite."""
        rows = self._db.rows("SELECT value FROM indexes")
        found = [self._read(state_rows.index_of, row) for row in rows]
        return {(index.site, index.suite): index for index in found}

    def save_index(self, index: SuiteIndex) -> None:
        """Remember what a suite lists."""
        value = json.dumps(asdict(index), default=lambda when: when.isoformat())
        self._db.write(
            "INSERT OR REPLACE INTO indexes VALUES (?, ?, ?)", (index.site, index.suite, value)
        )

    # -- targets ------------------------------------------------------------------------

    def targets(self) -> dict[str, TargetState]:
        """Return every target that was ever watched, by name."""
        rows = self._db.rows("SELECT * FROM targets ORDER BY distro, rowid")
        return {row["name"]: self._read(state_rows.target_of, row) for row in rows}

    def save_target(self, target: TargetState) -> None:
        """Remember the last view of a target."""
        values = asdict(target)
        for name in ("versions", "architectures", "asked"):
            values[name] = json.dumps(values[name])
        names = ", ".join(values)
        holes = ", ".join(f":{name}" for name in values)
        changes = ", ".join(f"{name}=excluded.{name}" for name in values if name != "name")
        self._db.write(
            f"INSERT INTO targets ({names}) VALUES ({holes}) "
            f"ON CONFLICT (name) DO UPDATE SET {changes}",
            values,
        )

    # -- runs ---------------------------------------------------------------------------

    def runs(self, target: str | None = None) -> tuple[RunRow, ...]:
        """Return the runs, oldest first: all of them, or a target's."""
        where = "WHERE target = ?" if target else ""
        query = f"SELECT * FROM runs {where} ORDER BY id"
        rows = self._db.rows(query, (target,) if target else ())
        return tuple(self._read(state_rows.run_of, row) for row in rows)

    def begin_run(self, run: RunRow) -> RunRow:
        """Remember that a run begins, and return it with its id and its own directory.

        Its ``folder`` is at first the directory in which its own will be made.
        """
        values = state_rows.values_of(run)
        del values["id"]
        with self.together():
            names, holes = ", ".join(values), ", ".join(f":{name}" for name in values)
            number = self._db.write(f"INSERT INTO runs ({names}) VALUES ({holes})", values)
            directory = run.folder / run.target / f"{number:06d}"
            self._db.write("UPDATE runs SET folder = ? WHERE id = ?", (str(directory), number))
        return self.run(number)

    def run(self, number: int) -> RunRow:
        """Return the run with an id."""
        (row,) = self._db.rows("SELECT * FROM runs WHERE id = ?", (number,))
        return self._read(state_rows.run_of, row)

    def update_run(self, number: int, **changes: Any) -> RunRow:
        """Change these fields of a run, and no others; return it.

        Another process may have changed others meanwhile: ``respin withdraw`` waits for no night.
        """
        with self.together():
            values = state_rows.values_of(replace(self.run(number), **changes))
            sets = ", ".join(f"{name} = :{name}" for name in changes)
            self._db.write(f"UPDATE runs SET {sets} WHERE id = :id", values)
            run = self.run(number)
            if run.outcome in MADE:
                self._db.write(
                    "INSERT INTO numbers VALUES (?, ?, ?, ?) ON CONFLICT "
                    "(target, version, architecture) "
                    "DO UPDATE SET number = max(number, excluded.number)",
                    (run.target, run.version, run.architecture, run.number),
                )
        return run

    def highest_numbers(self, target: str, version: str) -> dict[str, int]:
        """Return, by architecture, the highest number that our rebuilds of a version ever had."""
        query = "SELECT architecture, number FROM numbers WHERE target = ? AND version = ?"
        rows = self._db.rows(query, (target, version))
        return {row["architecture"]: int(row["number"]) for row in rows}

    def forget(self, runs: Iterable[RunRow]) -> None:
        """Forget runs."""
        with self.together():
            for run in runs:
                self._db.write("DELETE FROM runs WHERE id = ?", (run.id,))

    # -- repositories -------------------------------------------------------------------

    def issued(self, target: str) -> tuple[Issued, ...]:
        """Return what was last published for a target, by serial."""
        query = "SELECT * FROM generations WHERE target = ? ORDER BY serial"
        return tuple(self._read(state_rows.issued_of, r) for r in self._db.rows(query, (target,)))

    def issue(self, target: str, issued: Issued) -> None:
        """Remember what is published for a target."""
        values = {"target": target, **asdict(issued), "placed": int(issued.placed)}
        for name in ("files", "own", "kept", "keys", "offered"):
            values[name] = json.dumps(values[name])
        names, holes = ", ".join(values), ", ".join(f":{name}" for name in values)
        self._db.write(f"INSERT OR REPLACE INTO generations ({names}) VALUES ({holes})", values)

    def forget_issued(self, target: str, but: Collection[str]) -> None:
        """Forget what was published for a target, except these generations."""
        holes = ", ".join("?" for _ in but)
        self._db.write(
            f"DELETE FROM generations WHERE target = ? AND generation NOT IN ({holes})",
            (target, *but),
        )

    # -- notifications ------------------------------------------------------------------

    def told(self) -> dict[str, dict[str, Any]]:
        """Return what the last notification said about each target."""
        rows = self._db.rows("SELECT * FROM told")
        return {row["target"]: self._read(state_rows.told_of, row) for row in rows}

    def needs(self) -> tuple[Need, ...]:
        """Return what needed a person in the last night."""
        rows = self._db.rows("SELECT * FROM told WHERE target = ?", (ATTENTION,))
        return next((self._read(state_rows.needs_of, row) for row in rows), ())

    def tell(self, target: str, value: str, at: int, bodies: Iterable[Mapping[str, Any]]) -> None:
        """Note what is now said about a target, and put the notifications into the outbox."""
        with self.together():
            self._db.write("INSERT OR REPLACE INTO told VALUES (?, ?)", (target, value))
            for body in bodies:
                self.post(at, body)

    def post(self, at: int, body: Mapping[str, Any]) -> None:
        """Put a notification into the outbox."""
        self._db.write("INSERT INTO outbox (at, body) VALUES (?, ?)", (at, json.dumps(body)))

    def outbox(self) -> tuple[Notification, ...]:
        """Return the notifications that still have to go to a receiver, oldest first."""
        query = "SELECT * FROM outbox WHERE webhook IS NULL OR command IS NULL ORDER BY id"
        return tuple(self._read(state_rows.notification_of, row) for row in self._db.rows(query))

    def sent(self, notification: Notification, way: str, at: int) -> None:
        """Note that a notification was sent to ``way``: ``webhook`` or ``command``."""
        assert way in ("webhook", "command")
        self._db.write(f"UPDATE outbox SET {way} = ? WHERE id = ?", (at, notification.id))
