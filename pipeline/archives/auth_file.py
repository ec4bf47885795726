# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The file with a user's logins for archives (``auth-file`` in respin.toml), like auth.conf.

    machine esm.ubuntu.com/infra login bearer password SECRET

Its form is that of apt_auth.conf(5). What it says becomes a part of the addresses, whose text does
not have it (text/address.py); archives/credentials.py gives it to apt and to our own client.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from pipeline.archives import credentials
from pipeline.config import config_file
from pipeline.errors import UsageError
from pipeline.files import bounded
from pipeline.text.address import Address, Credentials

FORM = "write it as apt_auth.conf(5) says: machine HOST/PATH login USER password PASSWORD"


def add(path: Path, addresses: Iterable[Address]) -> dict[Address, Address]:
    """Return each address with the credentials that a file has for it.

    Those that an address itself has stay, and one for which the file has nothing stays as it is.
    Raises UsageError for a file that cannot be read, that is somebody else's, that others may read,
    or that is not in the form; its sentence has nothing of the content.
    """
    entries = _entries(path)
    found = {}
    for address in addresses:
        own = next((c for name, c in entries if credentials.serves(name, address)), None)
        found[address] = address if address.credentials else Address(address, own)
    return found


def _entries(path: Path) -> list[tuple[str, Credentials]]:
    """Return the logins of a file with their machines, in the order in which apt tries them."""
    lines = _text(path).splitlines()
    words = [w for line in lines if not line.lstrip().startswith("#") for w in line.split()]
    found: list[dict[str, str]] = []
    for key, value in zip(words[::2], words[1::2], strict=False):
        if key == "machine":
            found.append({"machine": value})
        elif key in ("login", "password") and found and key not in found[-1]:
            found[-1][key] = value
        else:
            raise _bad(path)
    if len(words) % 2 or any(len(entry) < 3 for entry in found):
        raise _bad(path)
    return [(e["machine"], Credentials(user=e["login"], password=e["password"])) for e in found]


def _bad(path: Path) -> UsageError:
    return UsageError(f"{path} does not have the form of a file with logins", hint=FORM)


def _text(path: Path) -> str:
    try:
        with bounded.open_regular(path) as file:
            _check(path, os.fstat(file.fileno()))  # checks the same file that is read
            return file.read(bounded.SMALL).decode("utf-8")
    except OSError as e:
        raise UsageError(
            f"{path} cannot be read: {e.strerror}",
            hint="check auth-file under [release.NAME] in respin.toml",
        ) from e
    except UnicodeDecodeError:
        raise _bad(path) from None


def _check(path: Path, found: os.stat_result) -> None:
    """Raise UsageError for a file with passwords that is not this user's alone."""
    if found.st_uid not in config_file.trusted():
        raise UsageError(
            f"{path} has passwords, but belongs to another user",
            hint=f"make it yours: chown {os.geteuid()} FILE",
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise UsageError(
            f"{path} has passwords, but other users may read it or write to it",
            hint=f"make it private: chmod 600 {path}; "
            "change the passwords if others may have read them",
        )
