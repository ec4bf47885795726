# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Renew the key of ``respin key init`` before it expires, or replace it by another one.

Clients hold a copy of the public key. So the expiry is moved, or the key is replaced, while the
old copy is still good: both keys sign until clients have the new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pipeline.config.nightly import Nightly
from pipeline.errors import UsageError
from pipeline.files import state_lock
from pipeline.nightly.state import NAME, State
from pipeline.publish import generations, keys
from pipeline.publish.keys import HOME, Key


@contextmanager
def _home(settings: Nightly, doing: str) -> Iterator[Path]:
    """Yield the home of our key while no night is running. Raises UsageError, LockHeld."""
    if settings.publish.key:
        raise UsageError(
            "the signing key is your own, which key under [publish] names",
            hint="renew it with gpg --quick-set-expire; to replace it, list both keys there until "
            "clients have the new one",
        )
    state = settings.state_directory()
    if not (state / HOME).is_dir():
        raise keys.no_key()
    with state_lock.held(state, doing, datetime.now(UTC)):
        yield state / HOME


def renew(settings: Nightly) -> Key:
    """Let the key expire later, or both keys while one replaces the other; return it."""
    with _home(settings, "key renew") as home:
        for secret in keys.secrets(home):
            keys.change(
                home, "--quick-set-expire", secret.fingerprint, keys.EXPIRES, brief="renew the key"
            )
        return keys.of_home(home)


def rotate(settings: Nightly) -> Key:
    """Make a new key beside the present one; return both: from now on both sign.

    Raises UsageError if a key is already being replaced.
    """
    with _home(settings, "key rotate") as home:
        there = keys.secrets(home)
        if len(there) > 1:
            raise UsageError(
                f"{there[-1].fingerprint} is already replacing {there[0].fingerprint}",
                hint="when all clients have the new key, run respin key rotate --finish",
            )
        keys.generate(home, settings.publish.origin)
        return keys.of_home(home)


def finish(settings: Nightly) -> Key:
    """Remove all keys but the newest; return that one.

    Raises UsageError if it is the only one, or if clients have never been shown it.
    """
    with _home(settings, "key rotate --finish") as home:
        there = keys.secrets(home)
        if len(there) < 2:
            raise UsageError("no key is being replaced", hint="begin that with respin key rotate")
        new = there[-1].fingerprint
        _check_shown(settings.state_directory(), new)
        for secret in there[:-1]:
            keys.change(
                home,
                "--delete-secret-and-public-key",
                secret.fingerprint,
                brief="remove the old key",
            )
        return keys.of_home(home)


def _check_shown(directory: Path, new: str) -> None:
    """Raise UsageError if a repository is not yet signed with the new key."""
    if not (directory / NAME).exists():
        return
    with State(directory) as state:
        for name in state.targets():
            standing = generations.standing(state.issued(name))
            if any(new not in issued.keys for issued in standing):
                raise UsageError(
                    f"the repository of {name} is not yet signed with {new}",
                    hint="first run respin nightly, and let clients get the new key",
                )
