# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands of the command line share: their options, and the order made of them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pipeline.cli import terminal
from pipeline.config import config
from pipeline.containers.engines import Kind
from pipeline.errors import UsageError
from pipeline.fixes import fixes
from pipeline.host.cache import Cache
from pipeline.releases import releases
from pipeline.runs import lockfile, lockfile_reader
from pipeline.runs.report_reader import read
from pipeline.runs.request import PACKAGE, Order
from pipeline.text.address import Address

PATH = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


class _Folder(click.Path):
    """A directory that is there; click takes a FIFO for one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path of a directory."""
        path = super().convert(value, param, ctx)
        if not Path(os.fsdecode(path)).is_dir():
            self.fail(f"{str(path)!r} is not a directory.", param, ctx)
        return path


FOLDER = _Folder(path_type=Path, exists=True, file_okay=False)


def address(_: click.Context, __: click.Parameter, value: str | None) -> Address | None:
    """Return an address that is shown without its credentials from here on."""
    try:
        return None if value is None else Address(value)
    except ValueError as e:
        raise click.BadParameter(str(e)) from None


Command = Callable[..., Any]


trust_option = click.option(
    "--trust-container",
    is_flag=True,
    help="Where no sandbox can be made in this container: read a source of mine in it.",
)


def source_options(function: Command) -> Command:
    """Add the options that say which source, and where the directory goes."""
    for option in reversed(
        [
            click.option("--release", help="Codename or number [default: this machine's]."),
            click.option("--version", help="Version [default: the newest in the pockets]."),
            click.option("--dsc", type=FILE, help="A local source package instead."),
            click.option("--tree", type=FOLDER, help="A source tree with debian/ instead."),
            click.option(
                "--locked", type=FILE, help="Exactly what an older run had: its respin.lock."
            ),
            click.option(
                "--accept-unsigned-source",
                "accepted",
                multiple=True,
                metavar="SHA256",
                help="Take this very .dsc although nobody vouches for it.",
            ),
            trust_option,
            click.option(
                "--pocket",
                "pockets",
                multiple=True,
                type=click.Choice([p.value for p in releases.Pocket]),
                help="Look here [default: release, updates, security].",
            ),
            click.option("--config", type=FILE, help="[default: $RESPIN_CONFIG or the user's own]"),
            click.option(
                "--mirror",
                metavar="URI",
                callback=address,
                help="Archive [default: as apt uses here].",
            ),
            click.option("--keyring", type=FILE, help="Keys that may sign its index."),
            click.option("--fix", "fix", multiple=True, metavar="NAME", help="Only this fix."),
            click.option("--out", type=PATH, help="The run's directory [default: respin-RELEASE]."),
            click.option(
                "--number",
                type=click.IntRange(1, 999),
                default=1,
                help="Which rebuild of one distro version: the N of +bpfN [default: 1].",
            ),
        ]
    ):
        function = option(function)
    return function


def container_options(function: Command) -> Command:
    """Add the options that say where it is built."""
    for option in reversed(
        [
            click.option(
                "--container",
                type=click.Choice([k.value for k in Kind]),
                default=Kind.AUTO.value,
                help="Where it is built [default: auto, the first that works here].",
            ),
            click.option(
                "--image",
                metavar="NAME",
                help="For docker and podman [default: the official one].",
            ),
            click.option(
                "--force-host", is_flag=True, help="--container host on what is no container."
            ),
        ]
    ):
        function = option(function)
    return function


def again_options(function: Command) -> Command:
    """Add the options of what goes on from an earlier run."""
    for option in reversed(
        [
            click.option("--config", type=FILE, help="[default: $RESPIN_CONFIG or the user's own]"),
            click.option(
                "--mirror",
                metavar="URI",
                callback=address,
                help="Archive [default: as apt uses here].",
            ),
            click.option("--keyring", type=FILE, help="Keys that may sign its index."),
            click.option("--out", type=PATH, help="The new directory [default: respin-RELEASE]."),
        ]
    ):
        function = option(function)
    return function


def common_options(function: Command) -> Command:
    """Add what every command takes."""
    for option in reversed(
        [
            click.option("--cache", type=PATH, help="[default: $RESPIN_CACHE or ~/.cache/respin]"),
            click.option("--json", "as_json", is_flag=True, help="The report on standard output."),
            click.option("--verbose", "-v", is_flag=True, help="Say what each stage does."),
        ]
    ):
        function = option(function)
    return function


def configured(path: Path | None) -> config.Config:
    """Return the configuration; if a file in the current directory is part of it, say so first."""
    found = config.load(path)
    if found.here:
        said = ", ".join(found.here)
        terminal.tell(f"respin: ./{config.NAME} in the current directory is used, for: {said}")
    return found


def order_of(options: dict[str, Any], **more: Any) -> Order:
    """Return the order that the options of ``source_options`` give; raise UsageError."""
    configuration = configured(options["config"])
    options = dict(options)
    locked = lockfile_reader.read(options["locked"]) if options["locked"] else None
    if locked:
        _repeat(options, locked)
    if sum(options[k] is not None for k in ("dsc", "tree", "version")) > 1:
        raise UsageError("--dsc, --tree and --version exclude each other")
    accepted = [a.lower() for a in options["accepted"]]
    if not all(re.fullmatch(r"[0-9a-f]{64}", a) for a in accepted):
        raise UsageError(
            "--accept-unsigned-source wants a SHA-256, 64 hexadecimal digits",
            hint="it is that of the .dsc: sha256sum FILE.dsc",
        )
    return Order(
        release=releases.find(options["release"], config=configuration),
        version=options["version"],
        dsc=options["dsc"],
        tree_dir=options["tree"],
        locked=locked,
        accepted=(
            ({locked.files[0].sha256: f"the one that {locked.path} names"} if locked else {})
            | dict.fromkeys(accepted, "accepted by the user")
        ),
        pockets=tuple(releases.Pocket(p) for p in options["pockets"]),
        config=configuration,
        mirror=options["mirror"],
        keyring=options["keyring"],
        fixes=fixes.choose(options["fix"]),
        number=options["number"],
        trust_container=options["trust_container"],
        cache=Cache(options["cache"]),
        **more,
    )


def order_again(earlier: Path, options: dict[str, Any], **more: Any) -> Order:
    """Return the order to go on from an earlier run's directory."""
    before = read(earlier)
    configuration = configured(options["config"])
    more.setdefault("fixes", fixes.choose(before.patched.fixes if before.patched else ()))
    return Order(
        release=releases.find(before.source.release.codename, config=configuration),
        cache=Cache(options["cache"]),
        config=configuration,
        mirror=options["mirror"],
        keyring=options["keyring"],
        **more,
    )


def _repeat(options: dict[str, Any], locked: lockfile.Lock) -> None:
    """Put what a lock says in the place of options; raise UsageError for both at once."""
    own = ("release", "version", "dsc", "tree", "fix", "pockets")
    both = [f"--{name.removesuffix('s')}" for name in own if options[name]]
    if both:
        raise UsageError(
            f"--locked says what is used; {', '.join(both)} cannot be given as well",
            hint="leave out one of them",
        )
    if locked.name != PACKAGE:
        raise UsageError(f"{locked.path} is of {locked.name}, not of {PACKAGE}")
    options["release"] = locked.codename
    options["version"] = locked.version if locked.kind == "archive" else None
    options["fix"], options["number"] = locked.fixes, locked.number
    options["pockets"] = locked.pockets
