# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands for the key that signs the repository."""

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
    "--config", "path", type=_FILE, help="[default: $RESPIN_CONFIG or the user's own]"
)
_json = click.option("--json", "as_json", is_flag=True, help="On standard output, as JSON.")


@click.group(name="key")
def key_group() -> None:
    """The key that signs the repository."""


@key_group.command(name="init")
@_config
@_json
def key_init(path: Path | None, as_json: bool) -> None:
    """Make the key that signs the repository, in the state directory, without a passphrase.

    It expires after two years, unless it is renewed.
    """
    settings = configured(path).nightly
    _show_key(keys.init(settings.state_folder(), settings.publish.origin), as_json)


@key_group.command(name="renew")
@_config
@_json
def key_renew(path: Path | None, as_json: bool) -> None:
    """Let the key expire two years from now, in place of when it would.

    Clients need the renewed key before the date on which the old one expires: the next night
    publishes it.
    """
    _show_key(key_change.renew(configured(path).nightly), as_json)


@key_group.command(name="rotate")
@_config
@_json
@click.option("--finish", is_flag=True, help="The old one signs no more: clients have the new.")
def key_rotate(path: Path | None, as_json: bool, finish: bool) -> None:
    """Change the key for a new one: from the next night both sign, until --finish.

    In between clients get the new key. Who has only the old one is served until --finish, who
    has only the new one from the next night on.
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
        f"The key expires {until or 'never'}. The next `respin nightly` signs with it; keep a "
        f"copy of {key.home}."
    )
