"""Who signed a file: gpgv's answer, never our own reading of OpenPGP."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline import command


@dataclass(frozen=True, kw_only=True)
class Signed:
    """What gpgv says about a signed file."""

    signers: tuple[str, ...]
    """Fingerprints (primary keys) of the good signatures by keys of the keyring."""
    bad: bool
    """A key of the keyring did sign, but not these bytes: the file was changed."""
    content: bytes
    """What the signature covers; empty without a good signature."""
    expired: tuple[str, ...] = ()
    """Those of the signers whose key has expired since."""


def is_signed(data: bytes) -> bool:
    """Tell whether a file carries an OpenPGP clear-text signature."""
    return b"-----BEGIN PGP SIGNED MESSAGE-----" in data


def binary(data: bytes) -> bytes:
    """Return a keyring in binary form; gpgv before 2.4 reads no other, apt does."""
    if not data.startswith(b"-----BEGIN PGP PUBLIC KEY BLOCK"):
        return data
    found = b""
    for block in data.decode("ascii", "replace").split("-----BEGIN PGP PUBLIC KEY BLOCK-----")[1:]:
        body = block.split("-----END", 1)[0].strip().splitlines()
        if "" in body:  # armour headers end with an empty line
            body = body[body.index("") + 1 :]
        # The line that begins with '=' is the armour's CRC-24.
        found += base64.b64decode("".join(line for line in body if not line.startswith("=")))
    return found


def check(
    data: bytes, *keyrings: Path, detached: bytes | None = None, frozen: bool = False
) -> Signed:
    """Ask gpgv who signed ``data`` (clear-signed, or with a ``detached`` signature).

    Only keys of the ``keyrings`` count. An expired or revoked key is no signer; in an
    archive that is ``frozen``, a key that has expired since is one. Raises UsageError if
    gpgv is missing.
    """
    with contextlib.ExitStack() as stack:

        def file(name: str, content: bytes) -> Path:
            return stack.enter_context(_in_memory(name, content))

        # Without a home of its own it would look at the user's.
        argv: list[command.Arg] = ["gpgv", "--homedir", "/nonexistent", "--status-fd", "2"]
        for keyring in keyrings:
            argv += ["--keyring", file("keyring", binary(keyring.read_bytes()))]
        signed = file("signed", data)
        if detached is None:
            argv += ["--output", "-", signed]
        else:
            argv += [file("signature", detached), signed]
        # Status 2 also means that one of several keys is not in the keyring, which is
        # usual while an archive changes its keys; so the status lines decide.
        done = command.run(argv, check=False, timeout=60)
    good: list[str] = []
    expired: list[str] = []
    bad = fresh = old = False
    for line in done.stderr.decode("utf-8", "replace").splitlines():
        words = line.removeprefix("[GNUPG:] ").split()
        if not line.startswith("[GNUPG:] ") or not words:
            continue
        if words[0] in ("NEWSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "ERRSIG"):
            old = frozen and words[0] == "EXPKEYSIG"
            fresh = old
        elif words[0] == "BADSIG":
            bad, fresh = True, False
        elif words[0] == "GOODSIG":
            fresh, old = True, False
        elif words[0] == "VALIDSIG" and fresh:
            good.append(words[-1])
            expired += [words[-1]] if old else []
    content = done.stdout if detached is None else data
    return Signed(
        signers=tuple(good), bad=bad, content=content if good else b"", expired=tuple(expired)
    )


@contextlib.contextmanager
def _in_memory(name: str, content: bytes) -> Iterator[Path]:
    """Yield a path at which programs of this user find a file that lies on no disk.

    Whatever ends this process, nothing of it is left.
    """
    with os.fdopen(os.memfd_create(f"respin-{name}"), "wb") as file:
        file.write(content)
        file.flush()
        # In a process namespace /proc may be that of another, where this process has another id.
        yield Path("/proc/self").resolve() / "fd" / str(file.fileno())
