# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who signed an envelope, as gpgv says (archives/openpgp.py)."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.archives import openpgp
from pipeline.errors import NotVerified
from pipeline.proof import envelope
from pipeline.proof.envelope import HINT, Envelope

TRUST = (
    "name the key of whoever made the run with --key FILE, or under [trust] in respin.toml; get it "
    "from them, not from where you got the run"
)


def of(each: Envelope, name: str, trusted: Sequence[bytes]) -> tuple[dict[str, int], set[str]]:
    """Return the trusted keys that signed an envelope, with the time, and those now expired.

    A signature of an unknown key counts for nothing; one that is bad is an error, whoever made it.
    Raises NotVerified, also if no trusted key has signed.
    """
    good: dict[str, int] = {}
    expired: set[str] = set()
    why = []
    for key, signature in each.signatures.items():
        text = envelope.encoded(each.payload)
        said = openpgp.check_then(text, trusted, signature) if trusted else None
        if said is None or (said.others and not said.signers and not said.bad):
            why.append(f"it was signed by {key}, which is not trusted here")
        elif len(said.signers) != 1 or said.bad:
            why.append(said.why)
            if said.bad or not (said.lapsed or said.revoked or said.weak):
                raise NotVerified(f"{name} was changed: a signature is not good", hint=HINT)
        elif key not in (*said.signers, *said.keys):
            raise NotVerified(
                f"{name} was changed: it names {key} as a signer of what another key "
                f"signed, {said.signers[0]}",
                hint=HINT,
            )
        else:
            good[said.signers[0]] = said.made[0]
            expired |= set(said.expired)
    if not good:
        raise NotVerified(
            f"no trusted key has signed {name}",
            details="\n".join(why) or "one of its statements is not signed",
            hint=TRUST,
        )
    return good, expired
