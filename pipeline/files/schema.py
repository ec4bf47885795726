# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""JSON Schema, by which we read files of ours: an error says what is wrong, and where.

A schema stands beside the module that reads the file. In it, ``title`` says what is expected,
as a noun with an article; the formats ``line`` and ``address`` are our own.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from collections.abc import Iterator
from typing import Any

from pipeline.text.address import Address

LONGEST = 60
"""Characters of a text that are shown."""
LARGEST = 10**20
"""Larger numbers are not written out: that takes time, or Python refuses it."""
TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a table of keys and values",
    "string": "a text",
}


class Wrong(ValueError):
    """A value does not match its schema: the text says where, what was expected, what was found."""

    def __init__(
        self,
        path: tuple[str | int, ...],
        what: str,
        *,
        unknown: str = "",
        keys: tuple[str, ...] = (),
    ) -> None:
        super().__init__(path, what)
        self.path, self.what = path, what
        """The keys and indexes that lead to it; what was expected, and what was found."""
        self.unknown, self.keys = unknown, keys
        """An unknown key, and the known ones."""

    def __str__(self) -> str:
        """Return where it is, and what is wrong: ``source.files[0].name: expected …``."""
        parts = (f"[{p}]" if isinstance(p, int) else f".{p}" for p in self.path)
        return f"{''.join(parts).removeprefix('.')}: {self.what}".removeprefix(": ")


def hold(value: object, package: str, name: str) -> None:
    """Raise Wrong if a value does not match the schema ``name`` of a ``package``."""
    try:
        error = next(_validator(package, name).iter_errors(value), None)
    except RecursionError:
        raise Wrong((), "it is nested too deep") from None
    if error is not None:
        raise _wrong(error)


@functools.cache
def _validator(package: str, name: str) -> Any:
    # This takes 0.1 s, which a command that reads no such file does not need.
    from jsonschema import FormatChecker, validators

    schema = json.loads(importlib.resources.files(package).joinpath(name).read_text("utf-8"))
    base = validators.validator_for(schema)
    types = base.TYPE_CHECKER.redefine_many({"integer": _integer, "number": _number})
    rules = {"pattern": _pattern, "additionalProperties": _additional}
    strict = validators.extend(  # type: ignore[no-untyped-call]
        base, validators=rules, type_checker=types
    )
    formats = FormatChecker(formats=())
    formats.checks("line")(lambda value: not isinstance(value, str) or value.isprintable())
    formats.checks("address", raises=ValueError)(_address)
    return strict(schema, format_checker=formats)


def _address(value: object) -> bool:
    return not isinstance(value, str) or Address(value) is not None


def _integer(_: object, value: object) -> bool:
    """Accept integers that SQLite and C can hold; not 3.0, nor true."""
    return type(value) is int and -(1 << 63) <= value < 1 << 63


def _number(_: object, value: object) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and -1e300 < value < 1e300


def _pattern(_: object, pattern: str, value: object, _schema: object) -> Iterator[Exception]:
    """Match a text with a pattern, whose ``$`` is its end: Python's also precedes a newline."""
    from jsonschema import ValidationError

    if isinstance(value, str) and not re.search(re.sub(r"\$(?=\||\)|$)", r"\\Z", pattern), value):
        yield ValidationError(pattern)


def _additional(validator: Any, rule: Any, value: Any, schema: Any) -> Iterator[Exception]:
    """Stop at the first unknown key: jsonschema names them all, which may be millions."""
    from jsonschema import ValidationError

    known = schema.get("properties", ())
    for key in value if isinstance(value, dict) else ():
        if key not in known and rule is False:
            yield ValidationError(key)
        elif key not in known:
            yield from validator.descend(value[key], rule, path=key)


def _wrong(error: Any) -> Wrong:
    path, value, rule = tuple(error.absolute_path), error.instance, error.validator_value
    if error.validator == "required":
        (lacking, *_) = (key for key in rule if key not in value)
        return Wrong(path, f"the key {lacking!r} is missing")
    if error.validator == "additionalProperties" and rule is False:
        return Wrong(
            path,
            f"there is no key {error.message[:80]!r}",
            unknown=error.message,
            keys=tuple(error.schema["properties"]),
        )
    if error.cause is not None:  # an address may have a password somewhere
        return Wrong(path, str(error.cause))
    if "title" in error.schema and path:
        expected = error.schema["title"]
    elif error.validator == "type":
        kinds = [rule] if isinstance(rule, str) else rule
        expected = " or ".join(TYPES[kind] for kind in kinds)
    elif error.validator == "enum":
        expected = f"one of {', '.join(map(str, rule))}"
    else:
        expected = f"{error.validator} {json.dumps(rule)}"
    if error.schema.get("format") == "address" and isinstance(value, str):
        return Wrong(path, f"expected {expected}")  # it may have a password somewhere
    return Wrong(path, f"expected {expected}, found {_found(value)}")


def _found(value: object) -> str:
    if isinstance(value, dict | list):
        return TYPES["object" if isinstance(value, dict) else "array"]
    if isinstance(value, str) and ("://" in value or "@" in value):
        return "an address"  # which may have a password somewhere
    if isinstance(value, str):
        short = value if len(value) <= LONGEST else f"{value[:LONGEST]}…"
        return json.dumps(short, ensure_ascii=not short.isprintable())
    if isinstance(value, int) and abs(value) > LARGEST:
        return "a number beyond measure"
    return json.dumps(value) if value is None or isinstance(value, int | float) else str(value)
