# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who signed a file: gpgv's answer, never our own reading of OpenPGP."""

from __future__ import annotations

import base64
import contextlib
import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.archives import key_packets
from pipeline.errors import UsageError
from pipeline.files import bounded
from pipeline.host import command
from pipeline.isolation import namespaces


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
    """The signers whose keys have expired since."""
    weak: tuple[str, ...] = ()
    """The weak digests (``SHA-1``) of signatures that would otherwise be good."""
    lapsed: tuple[str, ...] = ()
    """Keys of the keyring that signed, but have expired, and do not count for that."""
    revoked: tuple[str, ...] = ()
    """Keys of the keyring that signed, but were revoked."""
    others: tuple[str, ...] = ()
    """Ids or fingerprints of keys that signed and are not in the keyring."""
    made: tuple[int, ...] = ()
    """When each good signature says that it was made, in seconds since 1970."""
    keys: tuple[str, ...] = ()
    """Fingerprints of the keys, or their subkeys, that made the good signatures."""

    @property
    def why(self) -> str:
        """Why nobody counts as a signer, in words."""
        if self.bad:
            return "its signature is bad: it was changed after it was signed"
        if self.weak:
            return f"its signature uses {', '.join(self.weak)}"
        for keys, why in (
            (self.revoked, "was revoked"),
            (self.lapsed, "has expired by this machine's clock"),
            (self.others, "is not in the keyring"),
        ):
            if keys:
                return f"it was signed by {', '.join(keys)}, which {why}"
        return "it has no signature that can be checked"


STRONG = frozenset({"8", "9", "10", "11", "12", "14"})
"""SHA-2 and SHA-3, by number (RFC 9580, 9.5). A signature over another digest does not count:
somebody may have made two texts with the same SHA-1, and had the harmless one signed."""

WEAK = {"1": "MD5", "2": "SHA-1", "3": "RIPEMD-160"}


GPGV = Path("/usr/bin/gpgv")
"""Where its package has it in Debian and Ubuntu, for programs that ask for its path."""

_STATES = ("NEWSIG", "GOODSIG", "BADSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "ERRSIG")
_NO_KEY = "9"
"""ERRSIG <key id> <key's algorithm> <digest> <class> <time> <code> [<fingerprint>]: its code if
the key is not in the keyring."""


def is_signed(data: bytes) -> bool:
    """Tell whether a file carries an OpenPGP clear-text signature."""
    return b"-----BEGIN PGP SIGNED MESSAGE-----" in data


def binary(data: bytes) -> bytes:
    """Return a keyring in binary form; gpgv before 2.4 reads no other, while apt does.

    Raises ValueError if its armour holds no base64.
    """
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

    Only keys of the ``keyrings`` count, and only signatures over a STRONG digest. An expired or
    revoked key does not count; in a ``frozen`` archive, a key that has expired since does.
    Raises UsageError if gpgv is missing.
    """
    return _asked(data, tuple(keyring(path) for path in keyrings), detached, frozen)


def check_then(data: bytes, keys: Sequence[bytes], detached: bytes) -> Signed:
    """Ask gpgv who made a detached signature, with binary keyrings.

    Unlike in ``check``, a key that has expired since it signed does count. When it signed is the
    signature's own word. Of several copies of a key each counts: if one was revoked, the key was.
    Raises UsageError if gpgv is missing.
    """
    # Of two copies, gpgv looks only at the first, which may be older than the revocation.
    each = dict.fromkeys(key for ring in keys for key in key_packets.apart(ring))
    return _merged([_asked(data, (key,), detached, frozen=False, then=True) for key in each])


def _merged(said: Sequence[Signed]) -> Signed:
    """Return what gpgv says with all of several keyrings."""
    revoked = {key for each in said for key in each.revoked}
    good = {
        signer: (made, key, signer in each.expired)
        # A copy in which the key was renewed comes last, and counts.
        for each in sorted(said, key=lambda each: not each.expired)
        for signer, made, key in zip(each.signers, each.made, each.keys, strict=True)
        if signer not in revoked
    }
    known = any(
        each.signers or each.bad or each.revoked or each.lapsed or each.weak for each in said
    )
    return Signed(
        signers=tuple(good),
        bad=any(each.bad for each in said),
        content=next((each.content for each in said if each.content), b"") if good else b"",
        expired=tuple(signer for signer, (_, _, expired) in good.items() if expired),
        weak=tuple(dict.fromkeys(each for one in said for each in one.weak)),
        lapsed=tuple(dict.fromkeys(k for one in said for k in one.lapsed if k not in good)),
        revoked=tuple(revoked),
        others=() if known else tuple(dict.fromkeys(k for one in said for k in one.others)),
        made=tuple(made for made, _, _ in good.values()),
        keys=tuple(key for _, key, _ in good.values()),
    )


@functools.lru_cache(maxsize=32)
def _asked(
    data: bytes,
    keys: tuple[bytes, ...],
    detached: bytes | None,
    frozen: bool,
    then: bool = False,
) -> Signed:
    """Ask gpgv only once: each index of a suite is checked against the same InRelease."""
    # gpgv reads what anybody may have made, so it runs behind a wall where there is one.
    walled = namespaces.possible() and command.which("gpgv") is not None
    with contextlib.ExitStack() as stack:
        copies: list[tuple[Path, str]] = []

        def file(name: str, content: bytes) -> str:
            path = stack.enter_context(_in_memory(name, content))
            copies.append((path, f"/{name}-{len(copies)}"))
            return copies[-1][1] if walled else str(path)

        # Without a home directory of its own, gpgv would look at the user's.
        argv = ["gpgv", "--homedir", "/nonexistent", "--status-fd", "2"]
        # As apt does: if this machine's clock is behind, a key made later is not another key.
        argv.append("--ignore-time-conflict")
        for key in keys:
            argv += ["--keyring", file("keyring", key)]
        signed = file("signed", data)
        if detached is None:
            argv += ["--output", "-", signed]
        else:
            argv += [file("signature", detached), signed]
        # Status 2 also means that one of several keys is not in the keyring, which is
        # usual while an archive changes its keys; so the status lines decide.
        done = command.run(
            argv,
            begin=namespaces.apart(copies=copies) if walled else [],
            env=namespaces.ENVIRONMENT,
            check=False,
            timeout=60,
            limit=len(data),
        )
    lines = done.stderr.decode("utf-8", "replace").splitlines()
    told = [line.split()[1:] for line in lines if line.startswith("[GNUPG:] ")]
    content = done.stdout if detached is None else data
    return _judged(told, content, frozen=frozen, then=then)


def _judged(
    told: Sequence[Sequence[str]], content: bytes, *, frozen: bool, then: bool = False
) -> Signed:
    """Read gpgv's status lines (doc/DETAILS of GnuPG): what it says of each signature in turn."""
    good: list[str] = []
    weak: list[str] = []
    others: list[str] = []
    made: list[int] = []
    keys: list[str] = []
    until = 0
    by: dict[str, list[str]] = {"EXPKEYSIG": [], "REVKEYSIG": []}
    bad, state = False, ""
    for words in filter(None, told):
        if words[0] == "NEWSIG":
            until = 0
        elif words[0] == "KEYEXPIRED" and len(words) >= 2 and words[1].isdecimal():
            until = min(filter(None, (until, int(words[1]))), default=0)
        if words[0] in _STATES:
            state = words[0]
            bad |= state == "BADSIG"
            if state == "ERRSIG" and len(words) >= 7 and words[6] == _NO_KEY:
                others.append(words[-1])
        elif words[0] == "VALIDSIG" and len(words) >= 10:
            # VALIDSIG <fingerprint> <date> <time> <expires> <version> <reserved> <key's
            # algorithm> <digest> <class> [<primary key's fingerprint>]
            if state in by:
                by[state].append(words[-1])
            when = int(words[3]) if words[3].isdecimal() else 0
            lasted = frozen or (then and when < until)
            if state == "GOODSIG" or (state == "EXPKEYSIG" and lasted):
                if words[8] in STRONG:
                    good.append(words[-1])
                    made.append(when)
                    keys.append(words[1])
                else:
                    weak.append(WEAK.get(words[8], f"digest {words[8]}"))
    return Signed(
        signers=tuple(good),
        bad=bad,
        content=content if good else b"",
        expired=tuple(key for key in by["EXPKEYSIG"] if key in good),
        weak=tuple(weak),
        lapsed=tuple(key for key in by["EXPKEYSIG"] if key not in good),
        revoked=tuple(by["REVKEYSIG"]),
        others=tuple(others),
        made=tuple(made),
        keys=tuple(keys),
    )


def keyring(path: Path, *, hint: str = "choose another one with --keyring FILE") -> bytes:
    """Return a keyring in binary form. Raises UsageError with the hint if it cannot be read."""
    try:
        return binary(bounded.read(path, bounded.KEYRING))
    except OSError as e:
        raise UsageError(
            f"the keyring {path} cannot be read: {e.strerror}",
            hint=hint,
        ) from e
    except ValueError as e:
        raise UsageError(
            f"{path} is not a keyring",
            details=str(e),
            hint=hint,
        ) from e


@contextlib.contextmanager
def _in_memory(name: str, content: bytes) -> Iterator[Path]:
    """Yield a path at which this user's programs find a file that is on no disk.

    However this process ends, nothing of the file is left.
    """
    with os.fdopen(os.memfd_create(f"respin-{name}"), "wb") as file:
        file.write(content)
        file.flush()
        # In a process namespace, /proc may be another's, in which this process has another id.
        yield Path("/proc/self").resolve() / "fd" / str(file.fileno())
