# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The key that signs the repository: made here, or the user's own, or one behind gpg-agent."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.nightly import Publishing
from pipeline.errors import PublishError, UsageError
from pipeline.files import own_files, ownership, state_lock
from pipeline.host import command

HOME = "gnupg"
HOME_WHAT = "the GnuPG home"
TIMEOUT = 120.0
EXPIRES = "2y"
"""From when a key is made or renewed; as gpg says it."""
LONGEST_HOME = 80
"""A path of a socket has at most 107 characters, gpg-agent's name among them."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A signing key: who it is, and where gpg finds it."""

    fingerprints: tuple[str, ...]
    """More than one while it is being changed for another: all of them sign."""
    home: Path | None
    """None: the user's own GnuPG home, with its agent."""
    passphrase_file: Path | None = None
    ours: bool = False
    """It is the one of ``init``: its agent is stopped when it has signed."""
    expires: int | None = None
    """When the newest of them expires, in seconds since 1970; None: never, or nobody asked."""

    @property
    def name(self) -> str:
        """The fingerprints, for people."""
        return " and ".join(self.fingerprints)

    def clearsign(self, data: bytes) -> bytes:
        """Return ``data`` in a clear-text signature (InRelease). Raises PublishError."""
        return self._sign("--clearsign", data)

    def detach(self, data: bytes) -> bytes:
        """Return a signature over ``data`` (Release.gpg). Raises PublishError."""
        return self._sign("--detach-sign", data)

    def _sign(self, how: str, data: bytes) -> bytes:
        argv: list[command.Arg] = ["--armor", "--digest-algo", "SHA512", "--no-tty"]
        for fingerprint in self.fingerprints:
            argv += ["--local-user", fingerprint]
        if self.passphrase_file:
            argv += ["--pinentry-mode", "loopback", "--passphrase-file", self.passphrase_file]
        with _gpg(self.home, ours=self.ours) as gpg:
            return command.run(
                [*gpg, *argv, how],
                stdin=data,
                timeout=TIMEOUT,
                error=PublishError,
                brief=f"gpg could not sign with the key {self.name}",
                hint=self._why_not(),
            ).stdout

    def _why_not(self) -> str:
        if self.expires is not None and self.expires <= time.time():
            return "it has expired: respin key renew"
        return (
            "has it a passphrase? Then name passphrase-file under [publish], or let gpg-agent "
            "know it"
        )

    def public(self) -> bytes:
        """Return the public key, in ASCII armour. Raises PublishError."""
        with _gpg(self.home, ours=False) as gpg:
            found = command.run(
                [*gpg, "--armor", "--export", *self.fingerprints],
                timeout=TIMEOUT,
                error=PublishError,
                brief=f"gpg could not export the key {self.name}",
            ).stdout
        if not found:
            raise PublishError(
                f"there is no key {self.name} in {self.home or 'your GnuPG home'}",
                hint="see key and gnupg-home under [publish] in respin.toml",
            )
        return found


@contextlib.contextmanager
def _gpg(home: Path | None, *, ours: bool) -> Iterator[list[command.Arg]]:
    """Yield how gpg is called for a home; an agent that it began in a home of ours is stopped."""
    base: list[command.Arg] = ["gpg", "--batch", "--quiet"]
    if home is None:
        yield base
        return
    if home.exists():  # gpg.conf names programs, which gpg runs
        ownership.check(home, HOME_WHAT, "name another one with gnupg-home under [publish]")
    with contextlib.ExitStack() as stack:
        if ours:  # nobody else is to stop the agent meanwhile
            stack.enter_context(own_files.locked(home.resolve(), directory=True))
        short = home
        if len(str(home)) > LONGEST_HOME:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="respin-gpg-"))
            short = Path(folder) / "home"
            short.symlink_to(home)
        try:
            yield [*base, "--homedir", short]
        finally:
            if ours:
                command.run(
                    ["gpgconf", "--homedir", short, "--kill", "gpg-agent"],
                    check=False,
                    timeout=TIMEOUT,
                    cleanup=True,
                )


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A secret key in a home of ours."""

    fingerprint: str
    created: int
    """Seconds since 1970."""
    expires: int | None
    """The same; None: never."""


def init(state: Path, origin: str) -> Key:
    """Make a signing key without a passphrase in the state directory; it expires (``EXPIRES``).

    Raises UsageError if there is one already.
    """
    home = state / HOME
    try:
        there = secrets(home) if home.exists() else ()
    except OSError as e:
        raise _cannot(home, e) from e
    if there:
        raise UsageError(
            f"there is a key in {home} already: {there[0].fingerprint}",
            hint="clients trust that one; respin key rotate changes it for another",
        )
    try:
        ownership.folder(state, state_lock.WHAT, state_lock.HINT, mode=ownership.PUBLIC)
        ownership.folder(home, HOME_WHAT, state_lock.HINT)
    except OSError as e:
        raise _cannot(home, e) from e
    generate(home, origin)
    return of_home(home)


def generate(home: Path, origin: str) -> None:
    """Make another key in a home of ours.

    Ed25519, for apt has known it since Debian 10 and Ubuntu 20.04. Raises PublishError.
    """
    user = f"{origin} (apt repository)"
    change(home, "--quick-generate-key", user, "ed25519", "sign", EXPIRES, brief="make a key")


def change(home: Path, *argv: str, brief: str) -> None:
    """Let gpg change the keys in a home of ours; ``brief`` completes what it could not do."""
    with _gpg(home, ours=True) as gpg:
        command.run(
            [*gpg, "--yes", "--passphrase", "", "--pinentry-mode", "loopback", *argv],
            timeout=TIMEOUT,
            error=PublishError,
            brief=f"gpg could not {brief}",
        )


def _cannot(home: Path, e: OSError) -> UsageError:
    return UsageError(
        f"the key's directory {home} cannot be made: {e.strerror}",
        hint="name another directory: state = … under [nightly] in respin.toml",
    )


def find(state: Path, settings: Publishing) -> Key:
    """Return the key that signs: the configured one, else that of ``init``.

    Raises UsageError if there is none.
    """
    if settings.key:
        home = settings.gnupg_home
        return Key(fingerprints=settings.key, home=home, passphrase_file=settings.passphrase_file)
    home = state / HOME
    if not home.is_dir():
        raise no_key()
    return of_home(home)


def of_home(home: Path) -> Key:
    """Return the key of a home of ours: all that have not expired, or else all.

    Raises UsageError if it has none.
    """
    found = secrets(home)
    if not found:
        raise no_key()
    good = [s for s in found if s.expires is None or s.expires > time.time()]
    return Key(
        fingerprints=tuple(s.fingerprint for s in good or found),
        home=home,
        ours=True,
        expires=found[-1].expires,
    )


def no_key() -> UsageError:
    """Return the error that says so."""
    return UsageError(
        "there is no key to sign the repository with",
        hint="respin key init makes one; or name yours with key under [publish]",
    )


def secrets(home: Path) -> tuple[Secret, ...]:
    """Return the secret keys in a home of ours, the oldest first; not what was revoked.

    Raises UsageError if the directory is another's, or others may enter it.
    """
    try:
        found = home.lstat()
    except OSError as e:
        raise UsageError(f"{home} cannot be read: {e.strerror}") from e
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise UsageError(
            f"{home} is not a directory of this user's",
            hint="run this as the user that it belongs to",
        )
    if found.st_mode & 0o077:
        raise UsageError(f"others may enter {home}, where the key is", hint=f"chmod 700 {home}")
    with _gpg(home, ours=True) as gpg:
        said = command.run(
            [*gpg, "--with-colons", "--list-secret-keys"], check=False, timeout=TIMEOUT
        ).text
    return tuple(sorted(_listed(said), key=lambda s: s.created))


def _listed(said: str) -> Iterator[Secret]:
    """Yield the primary keys of a listing (gnupg's doc/DETAILS, "Format of the colon listings")."""
    primary: list[str] = []
    for line in said.splitlines():
        words = line.split(":")
        if words[0] == "sec":
            primary = words
        elif words[0] == "fpr" and primary:
            if primary[1] != "r":
                yield Secret(
                    fingerprint=words[9],
                    created=int(primary[5] or 0),
                    expires=int(primary[6]) if primary[6] else None,
                )
            primary = []
