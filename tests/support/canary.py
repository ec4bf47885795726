# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A secret that must not appear anywhere, and the search for it.

with Canary() as canary:
    …                          # the arguments of all processes are read all the time
canary.nowhere(said.out, directory)
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import stat
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Self
from urllib.parse import quote

EVERY = 0.01
"""Seconds between two looks at the processes."""


class Canary:
    """A user and a password, made for one test."""

    def __init__(self) -> None:
        """Make them; the password needs to be quoted in an address."""
        mark = secrets.token_hex(6)
        self.user, self.password = f"us3r{mark}", f"c4n4ry{mark}/@#"
        self.seen: list[str] = []
        """The command lines that contained it."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    @property
    def pair(self) -> str:
        """The user and the password in the form that a server expects."""
        return f"{self.user}:{self.password}"

    def into(self, url: str) -> str:
        """Return an address with both."""
        return url.replace("://", f"://{self.user}:{quote(self.password, safe='')}@", 1)

    @property
    def forms(self) -> tuple[bytes, ...]:
        """All forms in which it would be given away."""
        words = (self.user, self.password.rstrip("/@#"))
        return (*(w.encode() for w in words), base64.b64encode(self.pair.encode()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(EVERY):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    said = path.read_bytes()
                    if any(form in said for form in self.forms):
                        self.seen.append(said.replace(b"\0", b" ").decode("utf-8", "replace"))

    def nowhere(self, *places: str | Path, but: Collection[str] = ()) -> None:
        """Check that it is in none of these texts, directories or files, by name or by content.

        Files with the names ``but`` may contain it if only their owner may read them.
        """
        for place in places:
            if isinstance(place, str):
                assert not self._in(place.encode()), place
                continue
            for path in [place, *place.rglob("*")]:
                assert not self._in(os.fsencode(path)), path
                if path.is_symlink() or not path.is_file() or not self._in(path.read_bytes()):
                    continue
                assert path.name in but, f"{path} has it"
                assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert not self.seen, self.seen[0]

    def _in(self, data: bytes) -> bool:
        return any(form in data for form in self.forms)
