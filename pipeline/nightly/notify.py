# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Notifications about changes: a new package, a failure, a recovery.

A notification is written to the state in one transaction with what it says of the target, and
then sent. So a kill loses nothing, and the same failure is sent once. Addresses and tokens come
from files or the environment, and never appear in an error or a log.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pipeline.archives import host_apt
from pipeline.archives.wire_errors import Failed, TooSlow
from pipeline.config import limits
from pipeline.config.nightly import Notifying
from pipeline.errors import PublishError, RespinError, UsageError
from pipeline.files import bounded
from pipeline.host import command
from pipeline.nightly import attention, status
from pipeline.nightly.state import ATTENTION, Need, Notification, State
from pipeline.nightly.status import Failure, TargetStatus
from pipeline.text import visible

SCHEMA = 1
TIMEOUT = 30.0
OLDEST = 7 * 24 * 3600
"""Seconds after which respin gives up on a notification that it could not send."""

NEW, GONE, FAILURE, RECOVERY, END = "new-package", "withdrawn", "failure", "recovery", "ended"
TAMPERED, KEY_EXPIRES, NEEDS_PERSON = "tampered", "key-expires", "needs-person"
KEY = "/key"
"""Stands for the key where a target's name would be, which has no slash."""
BAD = ("failed", "unknown", status.PROBLEM)


def note_changes(state: State, rows: Sequence[TargetStatus], now: int, url: str) -> None:
    """Put a notification about each change since the last time into the outbox."""
    told = state.told()
    first = status.of_targets(rows)
    for row in rows:
        if row.outcome in (status.PROBLEM, status.ENDED) and row not in first:
            continue  # it is the same for all architectures, and said once
        native = row.architecture == host_apt.architecture()
        about = row.target if native else f"{row.target} {row.architecture}"
        before = told.get(about, {})
        standing = {
            "bad": _bad(row),
            "ours": row.ours,
            "ended": row.outcome == status.ENDED,
            "older": [f.version for f in row.older],
        }
        if standing == before:
            continue
        events = list(_events(row, before, standing))
        value = json.dumps(standing)
        bodies = [_body(row, event, now, url) for event in events]
        bodies += [
            _body(_older(row, failure), FAILURE, now, url)
            for failure in row.older
            if failure.version not in before.get("older", [])
        ]
        state.tell(about, value, now, bodies)


def note_repair(state: State, row: TargetStatus, text: str, now: int, url: str) -> None:
    """Put into the outbox that somebody else changed what was published."""
    bad = replace(row, outcome=status.PROBLEM, why=text, code=PublishError.exit_code)
    state.post(now, _body(bad, TAMPERED, now, url))


def note_key(state: State, expires: int, text: str, now: int, url: str) -> None:
    """Put into the outbox, once, that the signing key expires."""
    standing = {"expires": expires}
    if state.told().get(KEY) == standing:
        return
    state.tell(KEY, json.dumps(standing), now, [_of_no_release(KEY_EXPIRES, text, now, url)])


def note_needs(state: State, needs: Sequence[Need], now: int, url: str) -> None:
    """Put into the outbox, once, what needs a person; what a release or the key says, does so."""
    before = {need.about for need in state.needs()}
    bodies = [
        _of_no_release(NEEDS_PERSON, f"{need.text}: {need.remedy}", now, url)
        for need in needs
        if need.about not in before and need.about != attention.KEY and not need.waiting
    ]
    if bodies or tuple(needs) != state.needs():
        state.tell(ATTENTION, json.dumps({"needs": [asdict(each) for each in needs]}), now, bodies)


def _of_no_release(event: str, text: str, now: int, url: str) -> dict[str, Any]:
    """Return a notification that belongs to no release."""
    nothing = dict.fromkeys(("target", "architecture", "distro", "release", "pocket"))
    nothing |= dict.fromkeys(("distro_version",))
    nothing |= dict.fromkeys(("our_version", "outcome", "code", "next_retry"))
    return nothing | {
        "schema": SCHEMA,
        "tool": "iproute2-respin",
        "event": event,
        "at": status.iso(now),
        "why": visible.line(text),
        "needs_person": True,
        "status": f"{url}/index.html",
    }


def _bad(row: TargetStatus) -> list[Any] | None:
    """Return what two reports of the same failure have in common."""
    if row.outcome not in BAD:
        return None
    return [row.outcome, row.code, row.version if row.outcome != status.PROBLEM else None]


def _events(row: TargetStatus, before: dict[str, Any], standing: dict[str, Any]) -> Iterator[str]:
    bad = before.get("bad")
    if standing["bad"] and standing["bad"] != bad:
        yield FAILURE
    if bad and not standing["bad"] and not standing["ended"]:
        yield RECOVERY
    if standing["ours"] != before.get("ours"):
        withdrawn = row.outcome == status.WITHDRAWN or standing["ours"] is None
        yield GONE if withdrawn else NEW
    if standing["ended"] and not before.get("ended"):
        yield END


def _older(row: TargetStatus, failure: Failure) -> TargetStatus:
    """Return the row that an older version would have."""
    return replace(
        row,
        version=failure.version,
        pocket=None,
        outcome=failure.outcome,
        why=failure.why,
        code=failure.code,
        next_retry=failure.next_retry,
        needs_person=False,
    )


def _body(row: TargetStatus, event: str, now: int, url: str) -> dict[str, Any]:
    body = {
        "schema": SCHEMA,
        "tool": "iproute2-respin",
        "event": event,
        "at": status.iso(now),
        "target": row.target,
        "architecture": row.architecture,
        "distro": row.distro,
        "release": row.release,
        "pocket": row.pocket,
        "distro_version": row.version,
        "our_version": row.ours,
        "outcome": row.outcome,
        "why": row.why,
        "code": row.code,
        "next_retry": status.iso(row.next_retry),
        "needs_person": row.needs_person,
        "status": f"{url}/index.html",
    }
    # The receiver shows it in a mail, in a chat or on a terminal.
    return {k: visible.line(v) if isinstance(v, str) else v for k, v in body.items()}


def send(state: State, settings: Notifying, now: int) -> Iterator[str]:
    """Send what has not been sent yet; yield what went wrong, in words without secrets.

    What could not be sent is tried again each night, for a week.
    """
    address = _secret(settings.webhook_file, "RESPIN_WEBHOOK")
    token = _secret(settings.token_file, "RESPIN_WEBHOOK_TOKEN")
    end = time.monotonic() + limits.LIMITS.hooks
    for notification in state.outbox():
        late = now - notification.at > OLDEST
        if time.monotonic() >= end:
            yield "the receivers are too slow: the next night sends the rest"
            return
        if notification.webhook is None:
            trouble = _post(notification, address, token) if address else ""
            if not trouble or late:
                state.sent(notification, "webhook", now)
            if trouble:
                yield trouble
        if notification.command is None:
            trouble = _run(notification, settings.command) if settings.command else ""
            if not trouble or late:
                state.sent(notification, "command", now)
            if trouble:
                yield trouble


def _secret(path: Path | None, variable: str) -> str:
    """Return a secret from its file, else from the environment, else an empty text."""
    if path is None:
        return os.environ.get(variable, "").strip()
    try:
        return bounded.text(path, bounded.SMALL).strip()
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else "it is not text"
        raise UsageError(
            f"respin could not read {path}: {why}", hint="check [notify] in respin.toml"
        ) from e


def _post(notification: Notification, address: str, token: str) -> str:
    """Post a notification; return what went wrong. The address itself may be the secret."""
    from pipeline.archives.wire import Wire  # imports requests: see wire_errors.py

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        # The body of the answer is not read: the status says enough.
        with Wire().ask(
            address,
            method="POST",
            json=notification.body,
            headers=headers,
            seconds=limits.LIMITS.hook,
            piece=1,
            allow_redirects=False,
        ) as (answer, _):
            return "" if answer.ok else f"the webhook answered with status {answer.status_code}"
    except Failed as e:
        return f"the webhook could not be reached: {type(e.cause).__name__}"
    except (TooSlow, ValueError, UnicodeError) as e:
        return f"the webhook could not be reached: {type(e).__name__}"


def _run(notification: Notification, argv: Sequence[str]) -> str:
    """Give a notification to the user's program; return what went wrong."""
    try:
        done = command.run(
            list(argv),
            stdin=visible.as_json(notification.body).encode(),
            timeout=TIMEOUT,
            check=False,
        )
    except RespinError:
        return f"the notification command {argv[0]} did not finish"
    return "" if done.status == 0 else f"the notification command ended with status {done.status}"
