# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The text of a Release: what apt is told of a suite, and for how long.

aptly writes it without an end, and with digests that count for nothing any more.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from debian import deb822

WEAK = ("MD5Sum", "SHA1")


def issued(text: bytes, date: int, valid: timedelta) -> bytes:
    """Return a Release with its ``date``, in seconds since 1970, and an end after ``valid``.

    Without an end, whoever stands between us and a client can show it this state for ever.
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
    """Return a date as the format of Debian's repositories has it, in any locale."""
    return format_datetime(when, usegmt=True).replace("GMT", "UTC")
