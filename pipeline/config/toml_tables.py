# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Check the values of a configuration file against respin.schema.json; make records of them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import UsageError
from pipeline.files import records, schema
from pipeline.text.address import Address

Record = TypeVar("Record")

TOP = ("fixes", "patches")
"""Keys of the whole file, which TOML gives to a table if they stand below its name."""

UNITS = {"M": 20, "G": 30, "T": 40}


def check(values: Mapping[str, Any], path: Path) -> None:
    """Raise UsageError, naming file, table and key, if the values do not match the schema."""
    try:
        schema.hold(values, "pipeline.config", "respin.schema.json")
    except schema.Wrong as e:
        place = ": ".join(each for each in (str(path), _place(e.path), e.what) if each)
        if not e.unknown:
            raise UsageError(place, hint="respin.toml(5) says what each key takes") from e
        if e.unknown in TOP and e.path:
            raise UsageError(place, hint=f"put {e.unknown} before the first table") from e
        near = difflib.get_close_matches(e.unknown[:80], e.keys, n=1, cutoff=0.0)[0]
        raise UsageError(
            place, details=f"The keys are {', '.join(e.keys)}.", hint=f"did you mean {near!r}?"
        ) from e


def _place(path: tuple[str | int, ...]) -> str:
    """Return the place of a value as in the file: ``[release.acme] uris[0]``."""
    tables = path[:2] if path[:1] == ("release",) else path[:1]
    table = f"[{'.'.join(map(str, tables))}]" if tables else ""
    keys = "".join(f"[{p}]" if isinstance(p, int) else f" {p}" for p in path[len(tables) :])
    return table + keys


def record(kind: type[Record], table: Mapping[str, Any], beside: Path) -> Record:
    """Return the record of a table that matches the schema.

    An empty text or list counts as not given. Paths are relative to the file ``beside``.
    """
    converter = records.converter()

    def path(value: str, _: object) -> Path:
        return (beside.parent / Path(value).expanduser()).absolute()

    def one_or_more(value: Any, kind: Any) -> Any:
        given = value if isinstance(value, list) else [value]
        return tuple(converter.structure(each, kind.__args__[0]) for each in given)

    converter.register_structure_hook(Path, path)
    converter.register_structure_hook(timedelta, lambda value, _: timedelta(days=value))
    converter.register_structure_hook(Address, lambda value, _: Address(value.rstrip("/")))
    converter.register_structure_hook(int, lambda value, _: _number(value))
    converter.register_structure_hook_func(records.is_tuple, one_or_more)
    given = {k.replace("-", "_"): value for k, value in table.items() if value not in ("", [])}
    return converter.structure(given, kind)


def _number(value: int | str) -> int:
    """Return a number, or the bytes of a size such as ``10G``."""
    return int(value[:-1]) << UNITS[value[-1]] if isinstance(value, str) else value
