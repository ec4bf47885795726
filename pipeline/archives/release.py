# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A suite's signed Release: who signed it, and what it says about itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from pipeline.archives import openpgp
from pipeline.errors import FetchError
from pipeline.files import bounded

HINT = (
    "use another mirror (--mirror), update the distro's keyring package, or name the keyring of "
    "this archive (--keyring); if none helps, somebody may be tampering with the connection"
)


@dataclass(frozen=True, kw_only=True)
class Stated:
    """The fields of a Release that are checked against the request; empty if missing."""

    origin: str
    label: str
    suite: str
    """``oldstable``, ``noble-security``."""
    codename: str
    """``bookworm``, ``noble``."""
    date: datetime
    valid_until: datetime | None


class SignedRelease:
    """The text that a signature covers, and nothing around it."""

    def __init__(
        self,
        data: bytes,
        *,
        suite: str,
        site: str,
        keyrings: Sequence[Path],
        frozen: bool = False,
        detached: bytes | None = None,
    ) -> None:
        """Check an InRelease, or a Release with its ``detached`` signature, by gpgv.

        It was fetched as that of ``suite`` at ``site``. For a ``frozen`` archive, keys that have
        expired since are accepted. Raises FetchError if it is not signed by a key of the
        ``keyrings``, or does not say when it was made.
        """
        self.suite, self.site = suite, site
        signed = openpgp.check(data, *keyrings, detached=detached, frozen=frozen)
        if detached is None and not openpgp.is_signed(data):
            raise FetchError(
                f"{self} is not signed at all",
                hint="use another mirror (--mirror): without a signature nothing can be verified",
            )
        if not signed.signers:
            ring = f"the keyring {keyrings[0]}" if keyrings else "any keyring that is at hand"
            raise FetchError(
                f"{self} is not signed by a key of {ring}", details=signed.why, hint=HINT
            )
        self.signers, self.expired = signed.signers, signed.expired
        self.text = signed.content.decode("utf-8", "replace")
        self.stated = self._stated()

    def __str__(self) -> str:
        return f"the index of {self.suite} at {self.site}"

    def _stated(self) -> Stated:
        date = self._date("Date")
        if date is None:
            raise FetchError(
                f"{self} has no Date",
                hint="use another mirror: without a date an index cannot be told from an older one",
            )
        names = ("Origin", "Label", "Suite", "Codename")
        origin, label, suite, codename = map(self._field, names)
        return Stated(
            origin=origin,
            label=label,
            suite=suite,
            codename=codename,
            date=date,
            valid_until=self._date("Valid-Until"),
        )

    def _field(self, name: str) -> str:
        match = re.search(rf"^{name}: *(.*)$", self.text, re.MULTILINE)
        return match[1].strip()[:200] if match else ""

    def _date(self, name: str) -> datetime | None:
        said = self._field(name)
        try:
            return utc(said) if said else None
        except (ValueError, OverflowError) as e:
            raise FetchError(
                f"{self} has an invalid {name}: {said!r}", hint="use another mirror (--mirror)"
            ) from e

    @property
    def architectures(self) -> tuple[str, ...]:
        """Return Debian's names of the architectures that it has packages of."""
        return tuple(self._field("Architectures").split())

    def listed(self, name: str) -> tuple[str, int] | None:
        """Return the SHA-256 and the size, in bytes, of a file that it lists."""
        return listed(self.text, name)


def listed(text: str, name: str) -> tuple[str, int] | None:
    """Return the SHA-256 and the size, in bytes, of a file that a Release lists."""
    sums = text.partition("\nSHA256:")[2]
    line = re.search(rf"^ ([0-9a-f]{{64}}) +(\d{{1,12}}) {re.escape(name)}$", sums, re.MULTILINE)
    return (line[1], int(line[2])) if line else None


def utc(text: str) -> datetime:
    """Read a date as archives write it (RFC 5322). Raises ValueError or OverflowError."""
    return parsedate_to_datetime(text).astimezone(UTC)


def beside(path: Path, meta: str) -> tuple[bytes, bytes | None]:
    """Return the signed Release beside one of apt's lists, and its signature if that is detached.

    ``meta`` is the list's name in the archive. Raises FetchError.
    """
    base = str(path).removesuffix(meta.replace("/", "_"))
    try:
        if Path(f"{base}InRelease").exists():
            return bounded.read(Path(f"{base}InRelease"), bounded.LARGE), None
        signature = bounded.read(Path(f"{base}Release.gpg"), bounded.SMALL)
        return bounded.read(Path(f"{base}Release"), bounded.LARGE), signature
    except OSError as e:
        raise FetchError(
            f"{meta} has no signed Release file beside it in apt's lists",
            details=str(e),
            hint="delete the directory apt of the cache and try again",
        ) from e
