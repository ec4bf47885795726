# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands that manage the key that signs the repository and the statements about runs."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import click

from pipeline.cli import terminal
from pipeline.cli.options import CONFIG, JSON, takes
from pipeline.cli.request import configured
from pipeline.nightly import key_change, status
from pipeline.publish import keys
from pipeline.publish.keys import Key


@dataclass(frozen=True, kw_only=True)
class KeyOptions:
    """The options of ``respin key init`` and ``respin key renew``."""

    config: Path | None
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class RotateOptions:
    """The options of ``respin key rotate``."""

    config: Path | None
    as_json: bool
    finish: bool


@click.group(name="key")
def key_group() -> None:
    """Manage the key that signs the repository and the statements about runs."""


@key_group.command(name="init")
@CONFIG
@JSON
@takes(KeyOptions)
def key_init(options: KeyOptions) -> None:
    """Create the key that signs the repository and the statements about runs.

    It is in the state directory, and has no passphrase. It expires after two years unless you renew
    it.
    """
    settings = configured(options.config).nightly
    _show_key(keys.init(settings.state_directory(), settings.publish.origin), options.as_json)


@key_group.command(name="renew")
@CONFIG
@JSON
@takes(KeyOptions)
def key_renew(options: KeyOptions) -> None:
    """Set the key to expire two years from now.

    Clients need the renewed key before the old date of expiry. The next night publishes it.
    """
    _show_key(key_change.renew(configured(options.config).nightly), options.as_json)


@key_group.command(name="rotate")
@CONFIG
@JSON
@click.option(
    "--finish", is_flag=True, help="Stop signing with the old key: clients have the new one."
)
@takes(RotateOptions)
def key_rotate(options: RotateOptions) -> None:
    """Replace the key by a new one: from the next night on both sign, until --finish.

    Meanwhile clients receive the new key. A client that has only the old key can use the repository
    until --finish, and one that has only the new key can use it from the next night on.
    """
    change = key_change.finish if options.finish else key_change.rotate
    _show_key(change(configured(options.config).nightly), options.as_json)


def _show_key(key: Key, as_json: bool) -> None:
    until = status.iso(key.expires)
    if as_json:
        terminal.say_json({"fingerprints": list(key.fingerprints), "expires": until})
        return
    for fingerprint in key.fingerprints:
        terminal.say(fingerprint)
    terminal.tell(
        f"The key expires {until or 'never'}. `respin run` and the next `respin nightly` sign with "
        f"it. Keep a backup of {key.home}. This writes the public key, for others who check what "
        "it signed:"
    )
    home = ["--homedir", str(key.home)] if key.home else []
    export = ["gpg", *home, "--armor", "--export", *key.fingerprints]
    terminal.tell_lines(f"{shlex.join(export)} >worker.asc")
