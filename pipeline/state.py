"""What ``respin nightly`` remembers: SQLite, so that a kill at any moment loses nothing.

Every step is written, and on the disk (synchronous=FULL), before the next begins. Readers
(status, history) do not wait for the night.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from pipeline.archives.conditional import Validators
from pipeline.archives.signedindex import Sighting, SuiteIndex
from pipeline.data import data_path
from pipeline.errors import UsageError

NAME = "state.sqlite"
SCHEMA = 1

FIXED, NOT_NEEDED, FAILED, UNKNOWN = "fixed", "not-needed", "failed", "unknown"
SAME, INTERRUPTED = "same", "interrupted"
"""``same``: a change of ours that does not touch it. ``interrupted``: killed while it ran."""


@dataclass(frozen=True, kw_only=True)
class TargetState:
    """What was last seen of one target."""

    name: str
    distro: str
    codename: str
    version: str | None
    """The distro's newest; None: it has none."""
    dsc: str | None
    pocket: str | None
    versions: tuple[str, ...]
    """All that its pockets list."""
    since: int
    """When that version was first seen; seconds since 1970, as all times here."""
    ended: int | None = None
    problem: str | None = None
    problem_code: int | None = None
    problem_since: int | None = None
    asked: bool = False
    """A run was asked for (``respin retry``)."""


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """A run: why it was made, and what became of it."""

    id: int
    target: str
    version: str
    dsc: str
    number: int
    reason: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    folder: Path
    started: int
    ended: int | None = None
    outcome: str = ""
    ours: str | None = None
    code: int = 0
    brief: str = ""
    details: str = ""
    report: str = ""
    retry_at: int | None = None
    published: int | None = None
    withdrawn: int | None = None
    why: str = ""
    """Why it was withdrawn, or is not tried again."""

    @property
    def bad(self) -> bool:
        """It ended other than well."""
        return self.outcome in (FAILED, UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A notification, and when it went which way."""

    id: int
    at: int
    body: Mapping[str, Any]
    webhook: int | None
    command: int | None


class State:
    """The database of one state folder."""

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        """Open it. Raises UsageError if it is not there, or is none of this version's."""
        path = folder / NAME
        if not create and not path.exists():
            raise UsageError(
                f"there is no state of `respin nightly` in {folder}",
                hint="run respin nightly first, or name its configuration with --config",
            )
        try:
            if create:
                folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=30, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._begin()
        except (sqlite3.Error, OSError) as e:
            raise UsageError(
                f"the state in {folder} cannot be opened: {e}",
                hint="check who owns the folder, and that its disk has room",
            ) from e

    def _begin(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA:
            raise UsageError("this state was written by a newer respin", hint="upgrade respin")
        if version < SCHEMA:
            script = data_path("templates", "state.sql").read_text("utf-8")
            self._db.executescript(f"BEGIN; {script} PRAGMA user_version={SCHEMA}; COMMIT;")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write all of the block, or nothing; inside another such block, with that one."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # -- indexes ------------------------------------------------------------------------

    def indexes(self) -> dict[tuple[str, str], SuiteIndex]:
        """Return what is known of every suite."""
        rows = self._db.execute("SELECT value FROM indexes").fetchall()
        found = [_index(json.loads(row["value"])) for row in rows]
        return {(index.site, index.suite): index for index in found}

    def save_index(self, index: SuiteIndex) -> None:
        """Remember what a suite lists."""
        value = json.dumps(asdict(index), default=lambda when: when.isoformat())
        self._db.execute(
            "INSERT OR REPLACE INTO indexes VALUES (?, ?, ?)", (index.site, index.suite, value)
        )

    # -- targets ------------------------------------------------------------------------

    def targets(self) -> dict[str, TargetState]:
        """Return every target that was ever watched, by name."""
        rows = self._db.execute("SELECT * FROM targets ORDER BY distro, rowid").fetchall()
        return {row["name"]: _target(row) for row in rows}

    def save_target(self, target: TargetState) -> None:
        """Remember what was seen of a target."""
        values = {**asdict(target), "versions": json.dumps(target.versions)}
        values["asked"] = int(target.asked)
        names = ", ".join(values)
        holes = ", ".join(f":{name}" for name in values)
        changes = ", ".join(f"{name}=excluded.{name}" for name in values if name != "name")
        self._db.execute(
            f"INSERT INTO targets ({names}) VALUES ({holes}) "
            f"ON CONFLICT (name) DO UPDATE SET {changes}",
            values,
        )

    # -- runs ---------------------------------------------------------------------------

    def runs(self, target: str | None = None) -> tuple[RunRow, ...]:
        """Return the runs, oldest first: all, or a target's."""
        where = "WHERE target = ?" if target else ""
        query = f"SELECT * FROM runs {where} ORDER BY id"
        return tuple(map(_run, self._db.execute(query, (target,) if target else ())))

    def begin_run(self, run: RunRow) -> RunRow:
        """Remember that a run begins; ``folder`` is the one in which its own will be made.

        Return it with its id and its own folder.
        """
        values = _values(run)
        del values["id"]
        with self.together():
            names, holes = ", ".join(values), ", ".join(f":{name}" for name in values)
            done = self._db.execute(f"INSERT INTO runs ({names}) VALUES ({holes})", values)
            assert done.lastrowid
            folder = run.folder / run.target / f"{done.lastrowid:06d}"
            self._db.execute(
                "UPDATE runs SET folder = ? WHERE id = ?", (str(folder), done.lastrowid)
            )
        return self.run(done.lastrowid)

    def run(self, number: int) -> RunRow:
        """Return the run of an id."""
        return _run(self._db.execute("SELECT * FROM runs WHERE id = ?", (number,)).fetchone())

    def update_run(self, run: RunRow) -> None:
        """Remember what became of a run."""
        values = _values(run)
        changes = ", ".join(f"{name} = :{name}" for name in values if name != "id")
        with self.together():
            self._db.execute(f"UPDATE runs SET {changes} WHERE id = :id", values)
            if run.outcome == FIXED:
                self._db.execute(
                    "INSERT INTO numbers VALUES (?, ?, ?) ON CONFLICT (target, version) "
                    "DO UPDATE SET number = max(number, excluded.number)",
                    (run.target, run.version, run.number),
                )

    def highest_number(self, target: str, version: str) -> int:
        """Return the highest number that our rebuilds of a version ever had; 0: none yet."""
        row = self._db.execute(
            "SELECT number FROM numbers WHERE target = ? AND version = ?", (target, version)
        ).fetchone()
        return int(row["number"]) if row else 0

    def forget(self, runs: Iterable[RunRow]) -> None:
        """Forget runs."""
        with self.together():
            for run in runs:
                self._db.execute("DELETE FROM runs WHERE id = ?", (run.id,))

    # -- notifications ------------------------------------------------------------------

    def told(self) -> dict[str, str]:
        """Return what was last said of each target."""
        return {row["target"]: row["value"] for row in self._db.execute("SELECT * FROM told")}

    def tell(self, target: str, value: str, at: int, bodies: Iterable[Mapping[str, Any]]) -> None:
        """Note what is said of a target now, and put what is to be sent into the outbox."""
        with self.together():
            self._db.execute("INSERT OR REPLACE INTO told VALUES (?, ?)", (target, value))
            for body in bodies:
                self._db.execute(
                    "INSERT INTO outbox (at, body) VALUES (?, ?)",
                    (at, json.dumps(body, ensure_ascii=False)),
                )

    def outbox(self) -> tuple[Letter, ...]:
        """Return what did not go every way yet, oldest first."""
        query = "SELECT * FROM outbox WHERE webhook IS NULL OR command IS NULL ORDER BY id"
        return tuple(
            Letter(**{**dict(row), "body": json.loads(row["body"])})
            for row in self._db.execute(query)
        )

    def sent(self, letter: Letter, way: str, at: int) -> None:
        """Note that a notification went a way: ``webhook`` or ``command``."""
        assert way in ("webhook", "command")
        self._db.execute(f"UPDATE outbox SET {way} = ? WHERE id = ?", (at, letter.id))


def _index(value: dict[str, Any]) -> SuiteIndex:
    until = value["valid_until"]
    return SuiteIndex(
        site=value["site"],
        suite=value["suite"],
        validators=Validators(**value["validators"]),
        codename=value["codename"],
        keys=value["keys"],
        date=datetime.fromisoformat(value["date"]).astimezone(UTC),
        valid_until=datetime.fromisoformat(until).astimezone(UTC) if until else None,
        sources=tuple(value["sources"]),
        sightings=tuple(Sighting(**each) for each in value["sightings"]),
    )


def _target(row: sqlite3.Row) -> TargetState:
    values = dict(row)
    values["versions"] = tuple(json.loads(values["versions"]))
    values["asked"] = bool(values["asked"])
    return TargetState(**values)


def _run(row: sqlite3.Row) -> RunRow:
    values = dict(row)
    return RunRow(
        **{**values, "inputs": json.loads(values["inputs"]), "folder": Path(values["folder"])}
    )


def _values(run: RunRow) -> dict[str, Any]:
    values = {f.name: getattr(run, f.name) for f in fields(RunRow)}
    return {**values, "inputs": json.dumps(dict(run.inputs)), "folder": str(run.folder)}
