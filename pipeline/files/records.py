# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Records of JSON values, by cattrs: no value passes for one of another type."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import cattrs

Record = TypeVar("Record")


def _exactly(value: Any, kind: type[Any]) -> Any:
    if issubclass(kind, Enum):  # a StrEnum is a str, too
        return kind(value)
    if type(value) is kind or (kind is float and type(value) is int):
        return value
    raise TypeError(f"{str(value)[:80]!r} is no {kind.__name__}")


def is_tuple(kind: Any) -> bool:
    """Tell whether a type is a tuple of others."""
    return typing.get_origin(kind) is tuple


def converter() -> cattrs.Converter:
    """Return a converter by which no value passes for one of another type."""
    # With detailed validation it would raise an ExceptionGroup of what a hook raises.
    made = cattrs.Converter(detailed_validation=False)

    def a_tuple(value: Any, kind: Any) -> Any:
        inner = typing.get_args(kind)[0]
        return tuple(made.structure(each, inner) for each in _exactly(value, list))

    def a_record(kind: type[Any]) -> Callable[[Any, Any], Any]:
        """Return a hook that calls by keywords: cattrs 22.2 calls a dataclass by position."""
        hints = typing.get_type_hints(kind)
        names = [field.name for field in dataclasses.fields(kind)]

        def make(value: Any, _: object) -> Any:
            given = {name: value[name] for name in names if name in value}
            return kind(**{name: made.structure(v, hints[name]) for name, v in given.items()})

        return make

    for kind in (bool, float, int, str):
        made.register_structure_hook(kind, _exactly)
    made.register_structure_hook(Path, lambda value, _: Path(_exactly(value, str)))
    made.register_structure_hook(
        datetime, lambda value, _: datetime.fromisoformat(_exactly(value, str)).astimezone(UTC)
    )
    made.register_structure_hook_func(is_tuple, a_tuple)
    made.register_structure_hook_factory(dataclasses.is_dataclass, a_record)
    return made


_converter = converter()


def structure(value: object, kind: type[Record]) -> Record:
    """Return a record, or another value of type ``kind``, from its JSON form.

    Keys that the record lacks are ignored. Raises ValueError, KeyError, TypeError or
    AttributeError if the value is not of that type.
    """
    return _converter.structure(value, kind)
