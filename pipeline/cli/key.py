# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands that manage the key that signs the repository."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli import terminal
from pipeline.cli.options import configured
from pipeline.nightly import key_change, status
from pipeline.publish import keys
from pipeline.publish.keys import Key

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_config = click.option(
    "--config",
    "path",
    type=_FILE,
    help="Configuration [default: $RESPIN_CONFIG or the user's own].",
)
_json = click.option("--json", "as_json", is_flag=True, help="Write JSON to standard output.")


@click.group(name="key")
def key_group() -> None:
    """Manage the key that signs the repository."""


@key_group.command(name="init")
@_config
@_json
def key_init(path: Path | None, as_json: bool) -> None:
    """Create the key that signs the repository, in the state directory, without a passphrase.

    The key expires after two years unless you renew it.
    """
    settings = configured(path).nightly
    _show_key(keys.init(settings.state_folder(), settings.publish.origin), as_json)


@key_group.command(name="renew")
@_config
@_json
def key_renew(path: Path | None, as_json: bool) -> None:
    """Set the key to expire two years from now.

    Clients need the renewed key before the old date of expiry. The next night publishes it.
    """
    _show_key(key_change.renew(configured(path).nightly), as_json)


@key_group.command(name="rotate")
@_config
@_json
@click.option(
    "--finish", is_flag=True, help="Stop signing with the old key: clients have the new one."
)
def key_rotate(path: Path | None, as_json: bool, finish: bool) -> None:
    """Replace the key by a new one: from the next night on both sign, until --finish.

    Meanwhile clients receive the new key. A client that has only the old key can use the repository
    until --finish, and one that has only the new key can use it from the next night on.
    """
    change = key_change.finish if finish else key_change.rotate
    _show_key(change(configured(path).nightly), as_json)


def _show_key(key: Key, as_json: bool) -> None:
    until = status.iso(key.expires)
    if as_json:
        terminal.say_json({"fingerprints": list(key.fingerprints), "expires": until})
        return
    for fingerprint in key.fingerprints:
        terminal.say(fingerprint)
    terminal.tell(
        f"The key expires {until or 'never'}. The next `respin nightly` signs with it. Keep a "
        f"backup of {key.home}."
    )
