# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who vouches for a .dsc, where no signed index lists it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.archives import dsc_file, openpgp
from pipeline.errors import FetchError


def changed(where: str) -> FetchError:
    """Return the error of a .dsc whose signature does not fit."""
    return FetchError(
        f"{where} was changed after it was signed: its signature does not match",
        hint="fetch it again, or remove the signature if you made the change",
    )


def signed(data: bytes, where: str, keyrings: Sequence[Path]) -> openpgp.Signed:
    """Say who signed a .dsc, as far as the keyrings know them.

    Raises FetchError if it was changed after it was signed, or says something else than what
    the signature covers.
    """
    nobody = openpgp.Signed(signers=(), bad=False, content=b"")
    there = [path for path in keyrings if path.exists()]
    if not openpgp.is_signed(data) or not there:
        return nobody
    # A developer's key may have expired long after an old upload.
    found = openpgp.check(data, *there, frozen=True)
    if found.bad:
        raise changed(where)
    if found.signers and dsc_file.parse(found.content, where) != dsc_file.parse(data, where):
        raise FetchError(
            f"{where} contains text that its signature does not cover",
            hint="fetch it again from its origin",
        )
    return found


def nobody(data: bytes, found: openpgp.Signed, of: str) -> str:
    """Say in words why a .dsc's signature vouches for nothing; ``of``: which keys there are."""
    if not openpgp.is_signed(data):
        return "it is not signed"
    if found.weak:
        return f"its signature uses a digest that proves nothing: {', '.join(found.weak)}"
    return f"its signature is not by a key {of}"


def vouched(data: bytes, where: str, keyrings: Sequence[Path], accepted: Mapping[str, str]) -> str:
    """Say in words why a .dsc that no signed index lists is trusted.

    A key in one of the keyrings has signed it; or its SHA-256 is ``accepted``, with words that
    say by whom. Raises FetchError otherwise.
    """
    found = signed(data, where, keyrings)
    if found.signers:
        return f"{where}, signed by {', '.join(found.signers)} (debian-keyring)"
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 in accepted:
        return f"{where}, not verified: {accepted[sha256]} by its SHA-256 {sha256}"
    here = any(path.exists() for path in keyrings)
    hint = "" if here else "apt-get install debian-keyring, which may have the key; or, "
    raise FetchError(
        f"nothing vouches for {where}: no signed index lists it, and"
        f" {nobody(data, found, 'at hand')}",
        details=f"its SHA-256 is {sha256}",
        hint=f"{hint}if you trust this file for another reason, add --accept-unsigned-source "
        f"{sha256}",
    )
