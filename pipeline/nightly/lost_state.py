# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The state as it is published, and how it is made whole again where SQLite's file is lost.

On machines that are made for one night, STATE/public and STATE/runs are all that stays. So each
night leaves STATE/public/state.json there: the rows of the state, signed. What a mirror says of
itself is not among them: its address may have a password, and it is asked again.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.archives import openpgp
from pipeline.errors import NotVerified, PublishError, UsageError
from pipeline.files import bounded, own_files
from pipeline.nightly.context import RUNS, World
from pipeline.nightly.state import NAME, SCHEMA, State
from pipeline.proof import envelope, signers
from pipeline.proof.envelope import Signer
from pipeline.publish import trust
from pipeline.publish.keys import Key

PUBLISHED = "state.json"
KIND = "state of respin nightly"
LIMIT = 256 << 20
"""Bytes of the file; a run has about 1 kB in it."""
PART = ".state"
"""In STATE: a state that is being made whole."""


def write(world: World, state: State, signer: Signer) -> None:
    """Publish the state. Raises PublishError if it cannot be signed or written."""
    runs = world.directory / RUNS
    tables = state.tables()
    for row in tables["runs"]:
        folder = Path(row["folder"])
        row["folder"] = str(folder.relative_to(runs)) if folder.is_relative_to(runs) else ""
    value = {"kind": KIND, "schema": SCHEMA, "made": world.now(), "tables": tables}
    signed = envelope.sign([envelope.canonical(value)], signer)
    path = world.public / PUBLISHED
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        own_files.write(path, envelope.to_bytes(signed))
    except OSError as e:
        raise PublishError(
            f"respin could not publish its state: {path}: {e.strerror}",
            hint="check who owns it, and whether its disk is full",
        ) from e


def restore(world: World, key: Key | None) -> bool:
    """Make the state whole, if it is lost and was published; return whether it was.

    It has to be signed by the ``key``. Who has none, because he only plans, trusts those under
    [trust], among which may be workers': he must not keep it (``forget``). Raises UsageError if
    what was published is not what was signed.
    """
    path = world.public / PUBLISHED
    if (world.directory / NAME).exists() or not path.exists():
        return False
    trusted = (
        (openpgp.binary(key.public()),)
        if key
        else trust.trusted(world.config, world.config.trust.keys)
    )
    try:
        value = _read(path, trusted)
    except NotVerified as e:
        raise UsageError(
            f"{world.directory / NAME} is lost, and what was published of it is not believed: "
            f"{e.brief}",
            details=e.details,
            hint="name the key that signs the repository as keys under [trust] in respin.toml, or "
            f"move {path} away: the next night then starts from scratch",
        ) from e
    part = world.directory / PART
    shutil.rmtree(part, ignore_errors=True)
    try:
        for row in value["tables"]["runs"]:
            row["folder"] = str(world.directory / RUNS / _inside(row["folder"]))
        with State(part, create=True) as state:
            state.fill(value["tables"])
        (part / NAME).rename(world.directory / NAME)
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise UsageError(
            f"{path} holds no state of this version of respin",
            details=f"{type(e).__name__}: {e}",
            hint="use the version of respin that wrote it",
        ) from e
    finally:
        shutil.rmtree(part, ignore_errors=True)
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(value["made"]))
    world.note("state", f"it was lost, and is made from what was published at {when}")
    return True


def forget(world: World) -> None:
    """Remove a state that was made whole without the key that signs it."""
    for path in world.directory.glob(f"{NAME}*"):
        path.unlink()


def _read(path: Path, trusted: Sequence[bytes]) -> dict[str, Any]:
    """Return what a trusted key has signed. Raises NotVerified."""
    try:
        data = bounded.read(path, LIMIT, follow=False)
    except OSError as e:
        raise NotVerified(f"{path} cannot be read: {e.strerror}") from e
    found = envelope.read(data, str(path))
    if len(found) != 1:
        raise NotVerified(f"{path} is not one state")
    signers.of(found[0], str(path), trusted)
    value = bounded.parse_json(found[0].payload)
    if not isinstance(value, dict) or value.get("kind") != KIND:
        raise NotVerified(f"{path} is something else that was signed")
    if value.get("schema") != SCHEMA:
        raise NotVerified(f"{path} was written by another version of respin")
    return value


def _inside(name: str) -> str:
    if not name or Path(name).is_absolute() or ".." in Path(name).parts:
        return "lost"
    return name
