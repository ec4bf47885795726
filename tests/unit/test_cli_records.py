# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each command takes a frozen record, whose fields are its options, of the types that click gives.

mypy checks what a command does with its record; that click fills it as it says is checked here.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest

from pipeline.cli import options
from pipeline.cli.main import cli


def commands(group: click.Command = cli, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its name."""
    if not isinstance(group, click.Group):
        yield before, group
        return
    for name, command in group.commands.items():
        yield from commands(command, f"{before} {name}".strip())


COMMANDS = dict(commands())


def record_of(command: click.Command) -> type[Any]:
    """Return the type of the record that a command takes."""
    assert command.callback is not None
    function = typing.cast(Any, command.callback).__wrapped__
    (kind,) = (hint for name, hint in typing.get_type_hints(function).items() if name != "return")
    assert dataclasses.is_dataclass(kind) and isinstance(kind, type)
    return kind


def types_of(kind: type[Any]) -> dict[str, Any]:
    """Return the types of a record's fields, and of those of the records in it."""
    found: dict[str, Any] = {}
    for name, hint in typing.get_type_hints(kind).items():
        if dataclasses.is_dataclass(hint):
            found |= types_of(typing.cast(type[Any], hint))
        else:
            found[name] = hint
    return found


def fits(value: object, hint: Any) -> bool:
    """Tell whether a value is of a type."""
    inner = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        return any(fits(value, each) for each in inner)
    if typing.get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(fits(each, inner[0]) for each in value)
    return isinstance(value, hint)


def words(parameter: click.Parameter, place: Path) -> list[str]:
    """Return the words of a command line that give a parameter a value."""
    kind = parameter.type
    value = "http://example.org/debian"
    if isinstance(kind, click.Choice):
        value = str(kind.choices[0])
    elif isinstance(kind, click.IntRange):
        value = "1"
    elif parameter.name == "at":
        value = "20230610T000000Z"
    elif isinstance(kind, click.Path):
        value = str(place if kind.dir_okay else place / "file")
    if isinstance(parameter, click.Argument):
        return [value]
    return (
        [parameter.opts[0]]
        if getattr(parameter, "is_flag", False)
        else [
            parameter.opts[0],
            value,
        ]
    )


def parsed(command: click.Command, argv: list[str]) -> Mapping[str, Any]:
    """Return what click makes of a command line."""
    return command.make_context("command", argv).params


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_takes_a_frozen_record(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = COMMANDS[name]
    kind = record_of(command)
    assert typing.cast(Any, kind).__dataclass_params__.frozen
    wanted = types_of(kind)
    given = [p for p in command.params if p.expose_value]
    assert {p.name for p in given} == set(wanted)
    least = [word for p in given if p.required for word in words(p, tmp_path)]
    most = [word for p in given for word in words(p, tmp_path)]
    for argv in (least, most):
        values = parsed(command, argv)
        wrong = {n: v for n, v in values.items() if not fits(v, wanted[n])}
        assert wrong == {}, argv
        made = options.record(kind, values)
        assert isinstance(made, kind)


@pytest.mark.parametrize(
    ("value", "hint", "good"),
    [
        (None, Path | None, True),
        ("x", Path | None, False),
        ((), tuple[str, ...], True),
        ((1,), tuple[str, ...], False),
        ("auto", bool, False),
    ],
)
def test_the_check_tells_types_apart(value: object, hint: Any, good: bool) -> None:
    assert fits(value, hint) is good
