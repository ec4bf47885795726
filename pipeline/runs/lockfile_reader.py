# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Read respin.lock, which may have been edited by hand: lock.schema.json says what it holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.files import bounded, records, schema
from pipeline.runs.lockfile import NAME, SCHEMA, Lock

LIMIT = 4 << 20
"""Bytes of a lock."""


def read(path: Path) -> Lock:
    """Read a lock. Raises UsageError, naming what is wrong, where, and what was expected."""
    try:
        value = bounded.from_json(path, LIMIT)
    except OSError as e:
        raise UsageError(
            f"{path} cannot be read: {e.strerror}", hint=f"give the {NAME} of a run's directory"
        ) from e
    except ValueError as e:
        raise _wrong(path, "it is not JSON", str(e)[:400]) from e
    if not isinstance(value, dict) or value.get("tool") != "iproute2-respin":
        raise _wrong(path, "tool: expected iproute2-respin")
    if type(value.get("schema")) is int and value["schema"] != SCHEMA:
        raise UsageError(
            f"{path} is a lock of schema {value['schema']}; this respin reads schema {SCHEMA}",
            hint="repeat the run with the version of respin that wrote the lock",
        )
    try:
        schema.hold(value, "pipeline.runs", "lock.schema.json")
    except schema.Wrong as e:
        raise _wrong(path, str(e)) from e
    names = [file["name"] for file in value["source"]["files"]]
    if len(set(names)) < len(names):
        raise _wrong(path, "source.files: two files have one name")
    flat = {**value, **value["release"], **value["source"]}
    return replace(records.structure(flat, Lock), path=path)


def _wrong(path: Path, what: str, details: str = "") -> UsageError:
    return UsageError(
        f"{path} is not a lock that respin wrote: {what}",
        details=details,
        hint="use the unchanged file from the run's directory, or run without --locked",
    )
