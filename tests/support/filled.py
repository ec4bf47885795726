# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Records with only the fields that a test is about."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")
EMPTY = {str: "", int: 0, float: 0.0, bool: True, tuple: (), dict: {}, Mapping: {}}


def filled(cls: type[T], **given: Any) -> T:
    """Return a record; a field without a default that is not given is empty."""
    types = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        required = field.default is field.default_factory is dataclasses.MISSING
        if field.name not in given and required:
            kind = types[field.name]
            plain = typing.get_origin(kind) or kind
            given[field.name] = EMPTY.get(plain)  # a union: None
    return cls(**given)
