# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The key that signs repositories and runs: made by respin, or the user's own."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
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
"""How long a key is valid after it is made or renewed, in gpg's notation."""
LONGEST_HOME = 80
"""The path of a socket has at most 107 characters, including gpg-agent's name for it."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A signing key: its identity, and where gpg finds it."""

    fingerprints: tuple[str, ...]
    """More than one while a key is being replaced; all of them sign."""
    home: Path | None
    """None for the user's own GnuPG home, with its agent."""
    passphrase_file: Path | None = None
    ours: bool = False
    """Whether ``init`` made the home; its agent is stopped after signing."""
    expires: int | None = None
    """When the newest expires, in seconds since 1970; None if never, or not asked for."""

    @property
    def name(self) -> str:
        """Return the fingerprints, for people."""
        return " and ".join(self.fingerprints)

    def clearsign(self, data: bytes) -> bytes:
        """Return ``data`` with a cleartext signature (InRelease). Raises PublishError."""
        return self._sign("--clearsign", data)

    def detach(self, data: bytes) -> bytes:
        """Return a signature over ``data`` (Release.gpg). Raises PublishError."""
        return self._sign("--detach-sign", data)

    def signatures(self, texts: Sequence[bytes]) -> list[dict[str, bytes]]:
        """Return for each text the signature of each key, in binary form. Raises PublishError."""
        with _gpg(self.home, ours=self.ours) as gpg:  # one agent for all of them
            return [
                {
                    key: self._signed(gpg, text, "--detach-sign", keys=(key,))
                    for key in self.fingerprints
                }
                for text in texts
            ]

    def _sign(self, how: str, data: bytes) -> bytes:
        with _gpg(self.home, ours=self.ours) as gpg:
            return self._signed(gpg, data, "--armor", how, keys=self.fingerprints)

    def _signed(
        self, gpg: Sequence[command.Arg], data: bytes, *how: str, keys: Sequence[str]
    ) -> bytes:
        argv: list[command.Arg] = ["--digest-algo", "SHA512", "--no-tty"]
        for fingerprint in keys:
            argv += ["--local-user", fingerprint]
        if self.passphrase_file:
            argv += ["--pinentry-mode", "loopback", "--passphrase-file", self.passphrase_file]
        return command.run(
            [*gpg, *argv, *how],
            stdin=data,
            timeout=TIMEOUT,
            error=PublishError,
            brief=f"gpg could not sign with the key {self.name}",
            hint=self._why_not(),
        ).stdout

    def _why_not(self) -> str:
        if self.expires is not None and self.expires <= time.time():
            return "the key has expired; renew it with respin key renew"
        return (
            "if the key has a passphrase, set passphrase-file under [publish], or make the "
            "passphrase known to gpg-agent"
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
                hint="check key and gnupg-home under [publish] in respin.toml",
            )
        return found


@contextlib.contextmanager
def _gpg(home: Path | None, *, ours: bool) -> Iterator[list[command.Arg]]:
    """Yield the command line of gpg for a home; stop an agent that it started in respin's."""
    base: list[command.Arg] = ["gpg", "--batch", "--quiet"]
    if home is None:
        yield base
        return
    if home.exists():  # gpg.conf may name programs that gpg runs
        ownership.check(home, HOME_WHAT, "set another one with gnupg-home under [publish]")
    with contextlib.ExitStack() as stack:
        if ours:  # nobody else may stop the agent meanwhile
            stack.enter_context(own_files.locked(home.resolve(), directory=True))
        short = home
        if len(str(home)) > LONGEST_HOME:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="respin-gpg-"))
            short = Path(directory) / "home"
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
    """A secret key in respin's GnuPG home."""

    fingerprint: str
    created: int
    """Seconds since 1970."""
    expires: int | None
    """The same for its expiry; None if it never expires."""


def init(state: Path, origin: str) -> Key:
    """Make a signing key without a passphrase in the state directory; it is valid for ``EXPIRES``.

    Raises UsageError if there is already one.
    """
    home = state / HOME
    try:
        there = secrets(home) if home.exists() else ()
    except OSError as e:
        raise _cannot(home, e) from e
    if there:
        raise UsageError(
            f"{home} already contains a key: {there[0].fingerprint}",
            hint="clients trust that key; to replace it, use respin key rotate",
        )
    try:
        ownership.directory(state, state_lock.WHAT, state_lock.HINT, mode=ownership.PUBLIC)
        ownership.directory(home, HOME_WHAT, state_lock.HINT)
    except OSError as e:
        raise _cannot(home, e) from e
    generate(home, origin)
    return of_home(home)


def generate(home: Path, origin: str) -> None:
    """Make another key in respin's GnuPG home.

    It is an Ed25519 key, which apt supports since Debian 10 and Ubuntu 20.04. Raises PublishError.
    """
    user = f"{origin} (apt repository)"
    change(home, "--quick-generate-key", user, "ed25519", "sign", EXPIRES, brief="make a key")


def change(home: Path, *argv: str, brief: str) -> None:
    """Change the keys in respin's GnuPG home; ``brief`` completes "gpg could not"."""
    with _gpg(home, ours=True) as gpg:
        command.run(
            [*gpg, "--yes", "--passphrase", "", "--pinentry-mode", "loopback", *argv],
            timeout=TIMEOUT,
            error=PublishError,
            brief=f"gpg could not {brief}",
        )


def _cannot(home: Path, e: OSError) -> UsageError:
    return UsageError(
        f"respin could not create the key's directory {home}: {e.strerror}",
        hint="choose another directory: state = … under [nightly] in respin.toml",
    )


def find(state: Path, settings: Publishing) -> Key:
    """Return the key that signs: the configured one, or else that of ``init``.

    Raises UsageError if there is none.
    """
    if settings.key:
        home = settings.gnupg_home
        return Key(fingerprints=settings.key, home=home, passphrase_file=settings.passphrase_file)
    home = state / HOME
    if not home.is_dir():
        raise no_key()
    return of_home(home)


def there(state: Path) -> bool:
    """Tell whether the state directory has a key of ``init`` that this user may use."""
    return os.access(state / HOME, os.R_OK | os.W_OK | os.X_OK)


def fingerprint(text: str, option: str) -> str:
    """Return a fingerprint as gpg has it. Raises UsageError, naming the option, if it is none."""
    found = text.replace(" ", "").upper()
    if not re.fullmatch(r"[0-9A-F]{40}([0-9A-F]{24})?", found):
        raise UsageError(
            f"{option} needs the fingerprint of a key, 40 hexadecimal digits",
            hint="gpg --list-secret-keys shows it",
        )
    return found


def of_home(home: Path) -> Key:
    """Return the key in respin's GnuPG home: all that have not expired, or else all.

    Raises UsageError if there is none.
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
    """Return the error for a missing key."""
    return UsageError(
        "there is no key to sign the repository and the statements about runs with",
        hint="make one with respin key init, or set key under [publish] to your own",
    )


def secrets(home: Path) -> tuple[Secret, ...]:
    """Return the secret keys in respin's GnuPG home, oldest first, without revoked ones.

    Raises UsageError if the directory belongs to another user, or others may enter it.
    """
    try:
        found = home.lstat()
    except OSError as e:
        raise UsageError(f"respin could not read {home}: {e.strerror}") from e
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise UsageError(
            f"{home} does not belong to this user",
            hint="run respin as the user who owns it",
        )
    if found.st_mode & 0o077:
        raise UsageError(
            f"other users may enter {home}, which contains the key",
            hint=f"close it: chmod 700 {home}",
        )
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
