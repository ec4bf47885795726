# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The text of a Release file: what apt learns about a suite, and until when it is valid.

aptly writes it without an expiry, and with digests that are no longer secure.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from debian import deb822

WEAK = ("MD5Sum", "SHA1")


def issued(text: bytes, date: int, valid: timedelta) -> bytes:
    """Return a Release with its ``date``, in seconds since 1970, and an expiry after ``valid``.

    Without an expiry, anyone between the server and a client could show it this state forever.
    """
    fields = deb822.Deb822(text)
    for name in WEAK:
        fields.pop(name, None)
    made = datetime.fromtimestamp(date, UTC)
    fields["Date"] = _date(made)
    fields["Valid-Until"] = _date(made + valid)
    written: str = fields.dump()
    return written.encode()


def _date(when: datetime) -> str:
    """Return a date in the format of Debian's repositories, in any locale."""
    return format_datetime(when, usegmt=True).replace("GMT", "UTC")
