# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Options that several commands share, and the request that is made from them."""

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
    """An existing directory; click would also accept a FIFO."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path of a directory."""
        path = super().convert(value, param, ctx)
        if not Path(os.fsdecode(path)).is_dir():
            self.fail(f"{str(path)!r} is not a directory.", param, ctx)
        return path


FOLDER = _Folder(path_type=Path, exists=True, file_okay=False)


def address(_: click.Context, __: click.Parameter, value: str | None) -> Address | None:
    """Return an address that is shown without its credentials from now on."""
    try:
        return None if value is None else Address(value)
    except ValueError as e:
        raise click.BadParameter(str(e)) from None


Command = Callable[..., Any]


trust_option = click.option(
    "--trust-container",
    is_flag=True,
    help="Read a source of your own even if no sandbox can be made in this container.",
)


def source_options(function: Command) -> Command:
    """Add the options that choose the source and the output directory."""
    for option in reversed(
        [
            click.option(
                "--release", help="Codename or number of the release [default: this machine's]."
            ),
            click.option(
                "--version", help="Version to fetch [default: the newest in the pockets]."
            ),
            click.option("--dsc", type=FILE, help="Use a local source package instead."),
            click.option("--tree", type=FOLDER, help="Use a source tree with debian/ instead."),
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
            trust_option,
            click.option(
                "--pocket",
                "pockets",
                multiple=True,
                type=click.Choice([p.value for p in releases.Pocket]),
                help="Pocket to look in [default: release, updates, security].",
            ),
            click.option(
                "--config",
                type=FILE,
                help="Configuration [default: $RESPIN_CONFIG or the user's own].",
            ),
            click.option(
                "--mirror",
                metavar="URI",
                callback=address,
                help="Archive to fetch from [default: the one that apt uses here].",
            ),
            click.option(
                "--keyring",
                type=FILE,
                help="Keyring with the keys that may sign the archive's index.",
            ),
            click.option(
                "--fix", "fix", multiple=True, metavar="NAME", help="Look for this fix only."
            ),
            click.option("--out", type=PATH, help="Output directory [default: respin-RELEASE]."),
            click.option(
                "--number",
                type=click.IntRange(1, 999),
                default=1,
                help="Number of this rebuild of the distro's version: the N in +bpfN [default: 1].",
            ),
        ]
    ):
        function = option(function)
    return function


def container_options(function: Command) -> Command:
    """Add the options that choose where the package is built."""
    for option in reversed(
        [
            click.option(
                "--container",
                type=click.Choice([k.value for k in Kind]),
                default=Kind.AUTO.value,
                help="Container to build in [default: auto, the first that works here].",
            ),
            click.option(
                "--image",
                metavar="NAME",
                help="Image for docker and podman [default: the official one].",
            ),
            click.option(
                "--force-host",
                is_flag=True,
                help="Allow --container host on a machine that is not a container.",
            ),
        ]
    ):
        function = option(function)
    return function


def again_options(function: Command) -> Command:
    """Add the options of commands that continue from an earlier run."""
    for option in reversed(
        [
            click.option(
                "--config",
                type=FILE,
                help="Configuration [default: $RESPIN_CONFIG or the user's own].",
            ),
            click.option(
                "--mirror",
                metavar="URI",
                callback=address,
                help="Archive to fetch from [default: the one that apt uses here].",
            ),
            click.option(
                "--keyring",
                type=FILE,
                help="Keyring with the keys that may sign the archive's index.",
            ),
            click.option("--out", type=PATH, help="Output directory [default: respin-RELEASE]."),
        ]
    ):
        function = option(function)
    return function


def common_options(function: Command) -> Command:
    """Add the options that every command has."""
    for option in reversed(
        [
            click.option(
                "--cache",
                type=PATH,
                help="Cache directory [default: $RESPIN_CACHE or ~/.cache/respin].",
            ),
            click.option(
                "--json",
                "as_json",
                is_flag=True,
                help="Write the report to standard output as JSON.",
            ),
            click.option("--verbose", "-v", is_flag=True, help="Print what each stage does."),
        ]
    ):
        function = option(function)
    return function


def configured(path: Path | None) -> config.Config:
    """Return the configuration; print a note if it includes a file in the current directory."""
    found = config.load(path)
    if found.here:
        said = ", ".join(found.here)
        terminal.tell(f"respin: using ./{config.NAME} in the current directory for: {said}")
    return found


def order_of(options: dict[str, Any], **more: Any) -> Order:
    """Return the request that the options of ``source_options`` make; raise UsageError."""
    configuration = configured(options["config"])
    options = dict(options)
    locked = lockfile_reader.read(options["locked"]) if options["locked"] else None
    if locked:
        _repeat(options, locked)
    if sum(options[k] is not None for k in ("dsc", "tree", "version")) > 1:
        raise UsageError("--dsc, --tree and --version are mutually exclusive")
    accepted = [a.lower() for a in options["accepted"]]
    if not all(re.fullmatch(r"[0-9a-f]{64}", a) for a in accepted):
        raise UsageError(
            "--accept-unsigned-source needs a SHA-256 digest of 64 hexadecimal digits",
            hint="give the digest of the .dsc, which sha256sum FILE.dsc prints",
        )
    return Order(
        release=releases.find(options["release"], config=configuration),
        version=options["version"],
        dsc=options["dsc"],
        tree_dir=options["tree"],
        locked=locked,
        accepted=(
            ({locked.files[0].sha256: f"named in {locked.path}"} if locked else {})
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
    """Return the request to continue from an earlier run's directory."""
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
    """Set options from a lock file; raise UsageError for an option given beside the lock file."""
    own = ("release", "version", "dsc", "tree", "fix", "pockets")
    both = [f"--{name.removesuffix('s')}" for name in own if options[name]]
    if both:
        raise UsageError(
            f"--locked already says what to use, so {', '.join(both)} cannot be used with it",
            hint="omit one of them",
        )
    if locked.name != PACKAGE:
        raise UsageError(f"{locked.path} is a lock file of {locked.name}, not of {PACKAGE}")
    options["release"] = locked.codename
    options["version"] = locked.version if locked.kind == "archive" else None
    options["fix"], options["number"] = locked.fixes, locked.number
    options["pockets"] = locked.pockets
