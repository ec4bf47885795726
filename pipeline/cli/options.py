# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Options that several commands share, and how a command takes them.

click gives a command its options by name, as values of any type. ``takes`` makes a frozen record
of them, so that mypy checks what a command does with each.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from pipeline.containers.engines import Kind
from pipeline.releases.releases import Pocket
from pipeline.text.address import Address
from pipeline.vm.machine import machines

T = TypeVar("T")
Command = Callable[..., Any]
Decorator = Callable[[Command], Command]

PATH = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


class _Directory(click.Path):
    """An existing directory; click would also accept a FIFO."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path of a directory."""
        path = super().convert(value, param, ctx)
        if not Path(os.fsdecode(path)).is_dir():
            self.fail(f"{str(path)!r} is not a directory.", param, ctx)
        return path


DIRECTORY = _Directory(path_type=Path, exists=True, file_okay=False)


def address(_: click.Context, __: click.Parameter, value: str | None) -> Address | None:
    """Return an address that is shown without its credentials from now on."""
    try:
        return None if value is None else Address(value)
    except ValueError as e:
        raise click.BadParameter(str(e)) from None


def options(*each: Decorator) -> Decorator:
    """Return what adds these options, which ``--help`` then lists in this order."""

    def add(function: Command) -> Command:
        return functools.reduce(lambda done, option: option(done), reversed(each), function)

    return add


def takes(kind: type[T]) -> Callable[[Callable[[T], None]], Command]:
    """Let a function that takes a record of options be a command of click."""

    def decorate(function: Callable[[T], None]) -> Command:
        @functools.wraps(function)
        def call(**values: Any) -> None:
            function(record(kind, values))

        return call

    return decorate


def record(kind: type[T], values: Mapping[str, Any]) -> T:
    """Return a record of options; records inside it are made of the same values."""
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(typing.cast(Any, kind))]
    return kind(
        **{
            name: record(hints[name], values)
            if dataclasses.is_dataclass(hints[name])
            else values[name]
            for name in names
        }
    )


CONFIG = click.option(
    "--config", type=FILE, help="Configuration [default: $RESPIN_CONFIG or the user's own]."
)


def moment(_: click.Context, __: click.Parameter, value: str | None) -> str:
    """Return a time in the form that snapshot has in its addresses. Raises BadParameter."""
    if value is None:
        return ""
    try:
        found = datetime.strptime(value, MOMENT).replace(tzinfo=UTC)
    except ValueError as e:
        raise click.BadParameter("give it in UTC, as in 20230610T000000Z") from e
    if found > datetime.now(UTC):
        raise click.BadParameter("it is in the future")
    return found.strftime(MOMENT)


MOMENT = "%Y%m%dT%H%M%SZ"
CACHE = click.option(
    "--cache", type=PATH, help="Cache directory [default: $RESPIN_CACHE or ~/.cache/respin]."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Write JSON to standard output.")
VERBOSE = click.option("--verbose", "-v", is_flag=True, help="Print what each stage does.")
OUT = click.option("--out", type=PATH, help="Output directory [default: respin-RELEASE].")
FIX = click.option(
    "--fix",
    multiple=True,
    metavar="NAME|DIRECTORY",
    help="Look for this fix only; a directory (with a slash) is a fix of your own.",
)
OWN = options(
    click.option(
        "--patch",
        "patches",
        type=PATH,
        multiple=True,
        metavar="FILE[,optional]",
        help="Patch of your own to apply after the fixes; if optional, only where it applies.",
    ),
    click.option("--no-fixes", is_flag=True, help="Apply only patches of your own, and no fix."),
)
TRUST = click.option(
    "--trust-container",
    is_flag=True,
    help="Read a source of your own even if no sandbox can be made in this container.",
)
ARCHIVE = options(
    CONFIG,
    click.option(
        "--mirror",
        metavar="URI",
        callback=address,
        help="Archive to fetch from [default: the one that apt uses here].",
    ),
    click.option(
        "--keyring", type=FILE, help="Keyring with the keys that may sign the archive's index."
    ),
)
SOURCE = options(
    click.option("--release", help="Codename or number of the release [default: this machine's]."),
    click.option("--version", help="Version to fetch [default: the newest in the pockets]."),
    click.option("--dsc", type=FILE, help="Use a local source package instead."),
    click.option(
        "--tree",
        type=DIRECTORY,
        help="Use a source tree instead; only respin patch takes one without debian/.",
    ),
    click.option(
        "--at",
        metavar="TIME",
        callback=moment,
        help="Use the archive as it was then, from snapshot: YYYYMMDDTHHMMSSZ.",
    ),
    click.option(
        "--locked", type=FILE, help="Use exactly the inputs in an older run's respin.lock."
    ),
    click.option(
        "--accept-unsigned-source",
        "accepted",
        multiple=True,
        metavar="SHA256",
        help="Accept this .dsc although nobody vouches for it.",
    ),
    TRUST,
    click.option(
        "--pocket",
        "pockets",
        multiple=True,
        type=click.Choice([p.value for p in Pocket]),
        callback=lambda _, __, values: tuple(map(Pocket, values)),
        help="Pocket to look in [default: release, updates, security].",
    ),
    ARCHIVE,
    FIX,
    OWN,
    OUT,
    click.option(
        "--number",
        type=click.IntRange(1, 999),
        default=1,
        help="Number of this rebuild of the distro's version: the N in +bpfN [default: 1].",
    ),
)
ARCHITECTURES = click.option(
    "--architecture",
    "architectures",
    multiple=True,
    metavar="NAME",
    shell_complete=lambda _, __, begun: [n for n in (*machines(), "all") if n.startswith(begun)],
    help="Architecture of the packages, by Debian's name, or all; can be repeated [default: this "
    "machine's].",
)
CONTAINER = options(
    click.option(
        "--container",
        type=click.Choice([k.value for k in Kind]),
        default=Kind.AUTO.value,
        callback=lambda _, __, value: Kind(value),
        help="Container to build in [default: auto, the first that works here].",
    ),
    click.option(
        "--image", metavar="NAME", help="Image for docker and podman [default: the official one]."
    ),
    click.option(
        "--force-host",
        is_flag=True,
        help="Allow --container host on a machine that is not a container.",
    ),
)
SIGN = click.option(
    "--sign-with",
    metavar="FINGERPRINT",
    help="OpenPGP key that signs the statements about the run [default: the one that signs your "
    "repositories, if there is one].",
)
COMMON = options(
    CACHE,
    click.option(
        "--json", "as_json", is_flag=True, help="Write the report to standard output as JSON."
    ),
    VERBOSE,
)


@dataclass(frozen=True, kw_only=True)
class ArchiveOptions:
    """Where packages come from: the options of ``ARCHIVE``."""

    config: Path | None
    mirror: Address | None
    keyring: Path | None


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """The source and the output directory: the options of ``SOURCE``."""

    release: str | None
    version: str | None
    dsc: Path | None
    tree: Path | None
    at: str
    locked: Path | None
    accepted: tuple[str, ...]
    trust_container: bool
    pockets: tuple[Pocket, ...]
    archive: ArchiveOptions
    fix: tuple[str, ...]
    patches: tuple[Path, ...]
    no_fixes: bool
    out: Path | None
    number: int


@dataclass(frozen=True, kw_only=True)
class ContainerOptions:
    """Where the package is built: the options of ``CONTAINER``."""

    container: Kind
    image: str | None
    force_host: bool


@dataclass(frozen=True, kw_only=True)
class CommonOptions:
    """The options of ``COMMON``."""

    cache: Path | None
    as_json: bool
    verbose: bool
