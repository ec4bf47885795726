# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Engines that divide a night among many machines: each is a directory of templates/engines.

Its engine.toml has `help`, `[files]` (the file to write, relative to --out, and its template below
templates/engines; "-" is printed) and for each option `[option.NAME]` the attributes of ``Option``.
The templates get each option by its name with _ for -, and `architectures`, `hour`, `minute`.
docs/scale.md says how to add an engine.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, make_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError
from pipeline.files import bounded, schema
from pipeline.host.cache import digest
from pipeline.host.resources import project_data, render
from pipeline.vm.machine import machines

ABOUT, PRINTED = "engine.toml", "-"


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option of an engine."""

    name: str
    help: str
    metavar: str | None = None
    required: bool = False
    multiple: bool = False
    flag: bool = False
    plan: bool = False
    """Whether its value is the path of a plan, of which the templates get the content."""
    default: str | None = None
    pattern: str = ".*"
    """What the whole value has to match; ``wrong`` and ``hint`` are said of one that does not."""
    wrong: str = ""
    hint: str = ""
    pinned: str = ".*"
    warning: str = ""
    """What is said of a value that does not match ``pinned``; {value} stands for it."""

    @property
    def key(self) -> str:
        """Its name in the templates."""
        return self.name.replace("-", "_")

    @property
    def kind(self) -> Any:
        """The type of its value."""
        if self.flag:
            return bool
        if self.multiple:
            return tuple[str, ...]
        return str if self.required or self.default is not None else str | None

    def check(self, value: str) -> None:
        """Refuse a value that the templates are not made for. Raises UsageError."""
        if not re.fullmatch(self.pattern, value, re.ASCII):
            raise UsageError(f"{value!r} {self.wrong}", hint=self.hint)

    def once_each(self, values: Sequence[str]) -> None:
        """Refuse two values of the form NAME=… with one name. Raises UsageError."""
        names = [value.partition("=")[0] for value in values]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(
                    f"--{self.name} names {name!r} twice", hint="give each a name of its own"
                )


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine, as its directory describes it."""

    name: str
    help: str
    files: Mapping[str, str]
    options: tuple[Option, ...]

    @property
    def printed(self) -> bool:
        """Whether it is printed, in place of written to files."""
        return PRINTED in self.files

    def record(self) -> type[Any]:
        """Return the type of the record of its options, with ``out`` if it writes files."""
        kinds: list[tuple[str, Any]] = [(option.key, option.kind) for option in self.options]
        kinds += [] if self.printed else [("out", Path)]
        return make_dataclass("Options", kinds, frozen=True, kw_only=True)


@cache
def engines() -> tuple[Engine, ...]:
    """Return the engines, by name."""
    found = sorted(project_data("templates", "engines").glob(f"*/{ABOUT}"))
    return tuple(_engine(path) for path in found)


def _engine(path: Path) -> Engine:
    about = tomllib.loads(path.read_text("utf-8"))
    options = about.get("option", {})
    return Engine(
        name=path.parent.name,
        help=about["help"],
        files=about["files"],
        options=tuple(Option(name=name, **values) for name, values in options.items()),
    )


def texts(engine: Engine, chosen: Mapping[str, Any]) -> dict[str, str]:
    """Return what an engine writes: file -> text. Raises UsageError for a value that cannot be."""
    values: dict[str, object] = {}
    for option in engine.options:
        value = chosen[option.key]
        if not option.flag and value is not None:
            for each in value if option.multiple else [value]:
                option.check(each)
        if option.multiple:
            option.once_each(value)
        values[option.key] = _plan(value) if option.plan and value else value or ""
    # Fixed for one installation, and different between installations.
    seed = digest(*(str(chosen[option.key]).encode() for option in engine.options))
    values |= {"minute": int(seed, 16) % 60, "hour": 1 + int(seed, 16) % 4}
    values["architectures"] = sorted(machines())
    return {name: render(f"engines/{text}", **values) for name, text in engine.files.items()}


def _plan(path: Path | str) -> dict[str, Any]:
    """Return a plan, and as `digest` what tells it from others. Raises UsageError."""
    hint = "give a file that has what respin nightly --plan printed"
    try:
        data = bounded.read(Path(path), bounded.LARGE)
        plan: dict[str, Any] = json.loads(data)
        schema.hold(plan, "pipeline.nightly", "plan.schema.json")
    except OSError as e:
        raise UsageError(f"{path} cannot be read: {e.strerror}", hint=hint) from e
    except (ValueError, schema.Wrong) as e:
        raise UsageError(f"{path} is not a plan: {e}", hint=hint) from e
    if not plan["runs"]:
        raise UsageError(f"the plan {path} has no run", hint="nothing is due")
    names = (run["name"] for run in plan["runs"])
    return {**plan, "digest": digest(*names)[:12]}


def warnings(engine: Engine, chosen: Mapping[str, Any]) -> list[str]:
    """Return what has to be said of the values: of a name that can move."""
    return [
        option.warning.format(value=chosen[option.key], **chosen)
        for option in engine.options
        if option.warning and not re.fullmatch(option.pinned, str(chosen[option.key]))
    ]
