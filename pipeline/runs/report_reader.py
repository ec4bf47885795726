# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""An earlier run, read back from its directory, so that a stage can go on from there."""

from __future__ import annotations

import collections.abc
import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError
from pipeline.files import bounded
from pipeline.runs.directory import REPORT
from pipeline.runs.report import SCHEMA, Report


def read(folder: Path) -> Report:
    """Return the report of a run's directory, its paths made absolute.

    Raises UsageError if that is no directory of a run, or was written by a respin whose reports
    have another form.
    """
    values = load(folder)
    try:
        if values["patched"]:
            values["patched"]["source"] = values["source"]
        read: Report = _record(Report, values, folder.absolute())
        for path in _paths(read):
            if ".." in path.relative_to(folder.absolute()).parts:
                raise ValueError(f"{str(path)!r} is not in the directory")
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise _not_read(folder, e) from e
    return read


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


def load(folder: Path) -> dict[str, Any]:
    """Return the report of a run's directory as JSON values; raise UsageError, as ``read`` does."""
    path = folder / REPORT
    try:
        values: dict[str, Any] = bounded.from_json(path, bounded.LARGE)
        if values["tool"] != "iproute2-respin" or values["schema"] != SCHEMA:
            raise ValueError(f"schema {values['schema']} of {values['tool']}")
    except OSError as e:
        raise UsageError(
            f"{folder} is no directory of a run: {path}: {e.strerror}",
            hint="respin run or respin patch writes one",
        ) from e
    except (ValueError, KeyError, TypeError) as e:
        raise _not_read(folder, e) from e
    return values


def _not_read(folder: Path, e: Exception) -> UsageError:
    return UsageError(f"{folder / REPORT} is not a report that this respin reads", details=str(e))


def _record(kind: type[Any], values: Any, folder: Path) -> Any:
    """Return a record of model.py from its JSON form."""
    hints = typing.get_type_hints(kind)
    return kind(
        **{
            field.name: from_json(hints[field.name], values[field.name], folder)
            for field in dataclasses.fields(kind)
            if field.name in values
        }
    )


def from_json(hint: Any, value: Any, folder: Path) -> Any:
    """Return a record, or the value of a field of one, from its JSON form.

    ``hint`` is its type; relative paths are under ``folder``. Raises ValueError, KeyError,
    TypeError or AttributeError if it is none of that type.
    """
    if hint is Any:
        return value
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return from_json(next(i for i in inner if i is not type(None)), value, folder)
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{value!r} is no list")
        return tuple(from_json(inner[0], each, folder) for each in value)
    if origin in (dict, Mapping, collections.abc.Mapping):
        return {str(k): from_json(inner[1], v, folder) for k, v in value.items()}
    if dataclasses.is_dataclass(hint):
        return _record(typing.cast(type[Any], hint), value, folder)
    if hint is Path:
        return folder / value
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if not isinstance(value, (int, float) if hint is float else hint):
        raise ValueError(f"{value!r} is no {hint}")
    return value
