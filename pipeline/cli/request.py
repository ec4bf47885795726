# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The request that is made from a command's options, and the configuration."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from pipeline.archives import openpgp
from pipeline.cli import terminal
from pipeline.cli.options import ArchiveOptions, SourceOptions
from pipeline.config import config
from pipeline.errors import PublishError, UsageError
from pipeline.fixes import fixes, own_fix, own_patch
from pipeline.fixes.fixes import Fix
from pipeline.fixes.own_patch import OwnPatch
from pipeline.host.cache import Cache
from pipeline.isolation import sandbox
from pipeline.model import Release
from pipeline.publish import keys, trust
from pipeline.releases import releases
from pipeline.runs import lockfile, lockfile_reader
from pipeline.runs.report_reader import read
from pipeline.runs.request import PACKAGE, Request
from pipeline.smoke import own_cases


def configured(path: Path | None) -> config.Config:
    """Return the configuration; print a note if it includes a file in the current directory."""
    found = config.load(path)
    if found.here:
        said = ", ".join(found.here)
        terminal.tell(f"respin: using ./{config.NAME} in the current directory for: {said}")
    return found


def request_of(source: SourceOptions, cache: Path | None) -> Request:
    """Return the request that the options make; raise UsageError."""
    configuration = configured(source.archive.config)
    locked = lockfile_reader.read(source.locked) if source.locked else None
    if locked:
        source = _repeated(source, locked)
    if source.at and source.archive.mirror:
        raise UsageError(
            "--at and --mirror are mutually exclusive: snapshot has the archive of that time",
            hint="name another snapshot under [archives] in respin.toml",
        )
    if sum(given is not None for given in (source.dsc, source.tree, source.version)) > 1:
        raise UsageError("--dsc, --tree and --version are mutually exclusive")
    accepted = [digest.lower() for digest in source.accepted]
    if not all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in accepted):
        raise UsageError(
            "--accept-unsigned-source needs a SHA-256 digest of 64 hexadecimal digits",
            hint="give the digest of the .dsc, which sha256sum FILE.dsc prints",
        )
    release = releases.find(source.release, config=configuration)
    kept = Cache(cache)
    if locked:
        _admit(locked, trust_container=source.trust_container)
    among = lockfile.known_fixes(locked, kept) if locked else ()
    return Request(
        release=release,
        architecture=locked.architecture if locked else "",
        version=source.version,
        dsc=source.dsc,
        tree_dir=source.tree,
        at=source.at,
        locked=locked,
        accepted=(
            ({locked.files[0].sha256: f"named in {locked.path}"} if locked else {})
            | dict.fromkeys(accepted, "accepted by the user")
        ),
        pockets=source.pockets,
        config=configuration,
        mirror=source.archive.mirror,
        keyring=source.archive.keyring,
        fixes=fixes_of(source.fix, configuration, kept, among),
        no_fixes=source.no_fixes,
        patches=lockfile.own_patches(locked)
        if locked
        else patches_of(source, configuration, release),
        number=source.number,
        trust_container=source.trust_container,
        cache=kept,
    )


def _admit(lock: lockfile.Lock, *, trust_container: bool | None) -> None:
    """Raise FetchError if what is beside a lock, which may be anybody's, needs a better wall."""
    if lock.patches or lock.own_fixes:
        what = f"the patches and fixes beside {lock.path}"
        sandbox.admit(what, indexed=False, trust_container=trust_container)


def fixes_of(
    named: Sequence[str], configuration: config.Config, cache: Cache, among: Sequence[Fix] = ()
) -> tuple[Fix, ...]:
    """Return the fixes that are named, or all. Raises UsageError.

    They are the project's, those that are configured, and the directories that are named; or, if
    there are any, those in ``among``.
    """
    given = [Path(each) for each in named if "/" in each]
    known = tuple(among) or own_fix.known(cache, configuration.own.fixes, given)
    own_cases.of(known)
    return fixes.choose([Path(each).name if "/" in each else each for each in named], known)


def patches_of(
    source: SourceOptions, configuration: config.Config, release: Release
) -> tuple[OwnPatch, ...]:
    """Return the user's own patches for a release. Raises UsageError.

    They are those that are configured, and then those that are given as options.
    """
    found = own_patch.read_all(configuration.patches_for(release.codename), source.patches)
    if source.no_fixes and source.fix:
        raise UsageError("--no-fixes and --fix are mutually exclusive")
    if source.no_fixes and not found:
        raise UsageError(
            "with --no-fixes, only patches of your own are applied, and none is given",
            hint="give one with --patch FILE",
        )
    return found


def signed_by(request: Request, fingerprint: str | None) -> Request:
    """Return the request, signed with the user's key, else with the one that signs repositories.

    If there is neither, nobody signs. Raises UsageError if the key cannot be used.
    """
    settings = request.config.nightly
    state, publish = settings.state_directory(), settings.publish
    if fingerprint is None and not publish.key and not keys.there(state):
        return request
    if fingerprint is not None:
        publish = dataclasses.replace(publish, key=(keys.fingerprint(fingerprint, "--sign-with"),))
    key = keys.find(state, publish)
    try:
        if not key.ours:  # now, not after minutes: it may be missing, or need a passphrase
            key.signatures([b"a trial"])
    except PublishError as e:
        raise UsageError(
            f"the statements about the run cannot be signed: {e.brief}",
            details=e.details,
            hint="name another key with --sign-with, by the fingerprint that gpg "
            "--list-secret-keys shows",
        ) from e
    if key.expires is not None and key.expires <= time.time():
        raise UsageError(
            f"the key {key.name}, which signs the statements about the run, has expired",
            hint="renew it with respin key renew",
        )
    return dataclasses.replace(request, signer=key)


def continued_by(request: Request, fingerprint: str | None) -> Request:
    """Return a request that continues from an earlier run, signed as by ``signed_by``.

    Believed are the earlier runs of whoever signs, and of those who are trusted here.
    """
    request = signed_by(request, fingerprint)
    if not isinstance(request.signer, keys.Key):
        return request
    own = openpgp.binary(request.signer.public())
    return dataclasses.replace(request, trusted=(*trust.trusted(request.config), own))


def request_again(
    earlier: Path,
    archive: ArchiveOptions,
    cache: Path | None,
    *,
    trust_container: bool | None = None,
) -> Request:
    """Return the request to continue from an earlier run's directory, with that run's fixes.

    ``trust_container`` is as for ``sandbox.admit``.
    """
    before = read(earlier)
    configuration = configured(archive.config)
    kept = Cache(cache)
    lock = lockfile_reader.read(earlier / lockfile.NAME)
    names = before.patched.fixes if before.patched else ()
    _admit(lock, trust_container=trust_container)
    return Request(
        release=releases.find(before.source.release.codename, config=configuration),
        architecture=before.architecture,
        cache=kept,
        config=configuration,
        mirror=archive.mirror,
        keyring=archive.keyring,
        fixes=fixes_of(names, configuration, kept, lockfile.known_fixes(lock, kept)),
        no_fixes=before.patched is not None and not before.patched.fixes,
    )


def refuse_beside(
    why: str,
    source: SourceOptions,
    *,
    but: Collection[str] = (),
    more: Mapping[str, object] = MappingProxyType({}),
    hint: str = "omit one of them",
) -> None:
    """Raise UsageError for an option that chooses a source, except those in ``but``, or one of
    ``more`` (name -> what is given), where another source is already chosen: ``why`` says so.
    """
    given = {
        "--release": source.release,
        "--version": source.version,
        "--dsc": source.dsc,
        "--tree": source.tree,
        "--at": source.at,
        "--locked": source.locked,
        "--pocket": source.pockets,
        "--accept-unsigned-source": source.accepted,
        **more,
    }
    both = [name for name, value in given.items() if value and name not in but]
    if both:
        raise UsageError(f"{why}, so {', '.join(both)} cannot be used with it", hint=hint)


def _repeated(source: SourceOptions, locked: lockfile.Lock) -> SourceOptions:
    """Return the options that a lock file stands for; raise UsageError for one given beside it."""
    refuse_beside(
        "--locked already says what to use",
        source,
        but=("--locked", "--accept-unsigned-source"),
        more={"--fix": source.fix, "--patch": source.patches, "--no-fixes": source.no_fixes},
    )
    if locked.name != PACKAGE:
        raise UsageError(f"{locked.path} is a lock file of {locked.name}, not of {PACKAGE}")
    return dataclasses.replace(
        source,
        release=locked.codename,
        version=locked.version if locked.kind == "archive" else None,
        fix=locked.fixes,
        no_fixes=not locked.fixes,
        number=locked.number,
        pockets=locked.pockets,
    )
