"""The key that signs the repository: made here, or the user's own, or one behind gpg-agent."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline import command
from pipeline.errors import PublishError, UsageError
from pipeline.nightconfig import Publishing

HOME = "gnupg"
TIMEOUT = 120.0
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
                hint="has it a passphrase? Then name passphrase-file under [publish], or let"
                " gpg-agent know it",
            ).stdout

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
    with contextlib.ExitStack() as stack:
        if ours:  # nobody else is to stop the agent meanwhile
            lock = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX)
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


def init(state: Path, origin: str) -> Key:
    """Make a signing key without a passphrase in the state folder.

    Ed25519, for apt has known it since Debian 10 and Ubuntu 20.04. Raises UsageError if there
    is one already.
    """
    home = state / HOME
    try:
        there = _secret(home) if home.exists() else ()
    except OSError as e:
        raise _cannot(home, e) from e
    if there:
        raise UsageError(
            f"there is a key in {home} already: {there[0]}",
            hint="clients trust that one; to use another, name it with key under [publish]",
        )
    try:
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o700)
    except OSError as e:
        raise _cannot(home, e) from e
    argv = ["--passphrase", "", "--pinentry-mode", "loopback", "--quick-generate-key"]
    with _gpg(home, ours=True) as gpg:
        command.run(
            [*gpg, *argv, f"{origin} (apt repository)", "ed25519", "sign", "never"],
            timeout=TIMEOUT,
            error=PublishError,
            brief="gpg could not make a key",
        )
    return Key(fingerprints=_secret(home), home=home, ours=True)


def _cannot(home: Path, e: OSError) -> UsageError:
    return UsageError(
        f"the key's folder {home} cannot be made: {e.strerror}",
        hint="name another folder: state = … under [nightly] in respin.toml",
    )


def find(state: Path, settings: Publishing) -> Key:
    """Return the key that signs: the configured one, else that of ``init``.

    Raises UsageError if there is none.
    """
    if settings.key:
        home = settings.gnupg_home
        return Key(
            fingerprints=(settings.key,), home=home, passphrase_file=settings.passphrase_file
        )
    home = state / HOME
    found = _secret(home) if home.exists() else ()
    if not found:
        raise UsageError(
            "there is no key to sign the repository with",
            hint="respin key init makes one; or name yours with key under [publish]",
        )
    return Key(fingerprints=found, home=home, ours=True)


def _secret(home: Path) -> tuple[str, ...]:
    """Return the fingerprints of the secret keys in a home."""
    if not os.access(home, os.R_OK | os.X_OK):
        raise UsageError(f"{home} cannot be read", hint="run this as the user that it belongs to")
    with _gpg(home, ours=True) as gpg:
        said = command.run(
            [*gpg, "--with-colons", "--list-secret-keys"], check=False, timeout=TIMEOUT
        ).text
    return tuple(re.findall(r"^sec:(?:.*\n)(?:(?!sec:).*\n)*?fpr:+([0-9A-F]{40}):", said, re.M))
