# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The address of an archive, a service or a proxy, whose text has no credentials.

    https://user:secret@apt.example.org/debian

is ``https://apt.example.org/debian`` wherever it is printed, formatted, compared, stored, logged or
made a part of a file's name: that is all that this string holds. Only what needs the rest gets it:
apt in a file (archives/credentials.py), requests through ``auth``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import unquote

_USER = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^/?#]*)@(?P<rest>[^@]*)", re.S)
_ANYWHERE = re.compile(r"(?<=://)[^\s/?#'\"<>]*@")


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A user and a password; its text has neither."""

    user: str = field(repr=False)
    password: str = field(repr=False)

    def pair(self) -> tuple[bytes, bytes]:
        """Return both as they are sent: in UTF-8, as apt does."""
        return self.user.encode(), self.password.encode()


class Address(str):
    """An address. Neither its text, nor anything made from its text, has credentials."""

    credentials: Credentials | None

    def __new__(cls, text: str, credentials: Credentials | None = None) -> Self:
        """Take an address as the user writes it, with or without ``user:password@``.

        Raises ValueError, with a sentence that contains nothing of it, if it is not clear which
        part of it would be secret.
        """
        if isinstance(text, Address):
            credentials = credentials or text.credentials
        match = _USER.fullmatch(text)
        if match is None and "@" in text.partition("://")[2]:
            raise ValueError("write an @ or a / in a password, or an @ in a path, as %40 and %2F")
        made = super().__new__(cls, f"{match['scheme']}{match['rest']}" if match else text)
        made.credentials = credentials
        if match and match["user"]:
            user, _, password = match["user"].partition(":")
            made.credentials = Credentials(user=unquote(user), password=unquote(password))
        return made

    def __truediv__(self, path: str) -> Address:
        """Return the address of what lies below this one; the credentials go with it."""
        return self.like(f"{self.rstrip('/')}/{path}")

    def like(self, text: str) -> Address:
        """Return another address of the same service, with the same credentials."""
        return Address(text, self.credentials)

    # A copy that is written somewhere (pickle, a checkpoint) is the text alone.

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how the text is restored."""
        return str, (str(self),)

    def __copy__(self) -> Address:
        """Return this very one: it does not change."""
        return self

    def __deepcopy__(self, _: object) -> Address:
        """Return this very one."""
        return self


def scrub(text: str) -> str:
    """Return a text of others, such as an exception's, with no credentials in its addresses."""
    return _ANYWHERE.sub("", text)
