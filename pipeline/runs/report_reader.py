# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Read an earlier run back from its directory, so that a stage can continue from there.

report.schema.json says what a report holds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import RespinError, UsageError
from pipeline.files import bounded, records, schema
from pipeline.runs import report
from pipeline.runs.directory import REPORT
from pipeline.runs.report import SCHEMA, Report


def read(directory: Path) -> Report:
    """Return the report of a run's directory, its paths made absolute.

    Raises UsageError if it is not the directory of a run, or was written by a version of respin
    whose reports have another form.
    """
    values = load(directory)
    if values["patched"]:
        values["patched"]["source"] = values["source"]
        values["patched"]["own"] = values.get("user_patches", [])
    found = records.structure(values, Report)
    for path in _paths(found):
        if path.is_absolute() or ".." in path.parts or "\0" in str(path):
            raise _not_read(directory, f"{str(path)[:200]!r} is not in the directory")
    return report.moved(found, Path(), directory.absolute())


def _paths(value: Any) -> Iterator[Path]:
    """Yield the paths in a record."""
    if isinstance(value, Path):
        yield value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _paths(getattr(value, field.name))
    elif isinstance(value, tuple):
        for each in value:
            yield from _paths(each)


def load(directory: Path, *, broken: type[RespinError] = UsageError) -> dict[str, Any]:
    """Return the report of a run's directory as JSON.

    Raises UsageError like ``read``, and ``broken`` for a report of this form that does not match
    its schema.
    """
    path = directory / REPORT
    try:
        values = bounded.from_json(path, bounded.LARGE)
    except OSError as e:
        raise UsageError(
            f"{directory} is not the directory of a run: {path}: {e.strerror}",
            hint="make one with respin run",
        ) from e
    except ValueError as e:
        raise _not_read(directory, str(e)) from e
    form = (values.get("tool"), values.get("schema")) if isinstance(values, dict) else None
    if form != ("iproute2-respin", SCHEMA):
        raise _not_read(directory, f"expected tool iproute2-respin and schema {SCHEMA}")
    try:
        schema.hold(values, "pipeline.runs", "report.schema.json")
    except schema.Wrong as e:
        raise _not_read(directory, str(e), broken) from e
    return dict(values)


def _not_read(directory: Path, why: str, error: type[RespinError] = UsageError) -> RespinError:
    return error(
        f"this version of respin cannot read {directory / REPORT}",
        details=why,
        hint="repeat the run, or use the version of respin that made it",
    )
