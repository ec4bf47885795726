"""Who vouches for a .dsc, where no signed index lists it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.archives import control, openpgp
from pipeline.errors import FetchError


def changed(where: str) -> FetchError:
    """Return the error of a .dsc whose signature does not fit."""
    return FetchError(
        f"{where} was changed after it was signed: its signature does not fit",
        hint="get it again, or remove the signature if the change is yours",
    )


def signers(data: bytes, where: str, keyrings: Sequence[Path]) -> tuple[str, ...]:
    """Return the fingerprints of those who signed a .dsc, as far as the keyrings know them.

    Raises FetchError if it was changed after it was signed, or says other than what the
    signature covers.
    """
    if not openpgp.is_signed(data):
        return ()
    there = [path for path in keyrings if path.exists()]
    if not there:
        return ()
    # A developer's key may have expired long after an upload that is as old.
    signed = openpgp.check(data, *there, frozen=True)
    if signed.bad:
        raise changed(where)
    if signed.signers and control.parse(signed.content, where) != control.parse(data, where):
        raise FetchError(
            f"{where} says other than what its signature covers",
            hint="get it again from where it came",
        )
    return signed.signers


def vouched(data: bytes, where: str, keyrings: Sequence[Path], accepted: Mapping[str, str]) -> str:
    """Say in words why a .dsc that no signed index lists is trusted.

    By a signature whose key is in one of the keyrings; or because its SHA-256 is ``accepted``,
    with words that say by whom. Raises FetchError otherwise.
    """
    by = signers(data, where, keyrings)
    if by:
        return f"{where}, signed by {', '.join(by)} (debian-keyring)"
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 in accepted:
        return f"{where}, not verified: {accepted[sha256]} by its SHA-256 {sha256}"
    here = any(path.exists() for path in keyrings)
    why = "its signature is by no key at hand" if openpgp.is_signed(data) else "it is not signed"
    hint = "" if here else "apt-get install debian-keyring, which may have the key; or, "
    raise FetchError(
        f"nothing vouches for {where}: no signed index lists it, and {why}",
        details=f"its SHA-256 is {sha256}",
        hint=f"{hint}if you know this file by other means: --accept-unsigned-source {sha256}",
    )
