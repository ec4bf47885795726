# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Upload a patched source to a build farm: a signed source upload, by dput(1).

This serves architectures and volumes beyond one machine: a PPA, mini-buildd, debusine.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import PublishError, UsageError
from pipeline.files import bounded
from pipeline.host import command
from pipeline.isolation import lent, sandbox
from pipeline.proof import manifest
from pipeline.publish import verified_run
from pipeline.publish.verified_run import Proven

TIMEOUT = 600.0
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_/+~-]*")
"""Not an option, and a single line: a newline would begin another field of the .changes."""


def dput(
    directory: Path,
    host: str,
    *,
    trusted: Sequence[bytes],
    key: str = "",
    distribution: str = "",
) -> str:
    """Upload the patched source in a run directory to a host of dput's; return its version.

    One of the ``trusted`` keys, in binary keyrings, must have signed the run. ``key`` signs the
    upload (default: as debsign(1) finds one); ``distribution`` replaces the one of the changelog in
    the .changes. Raises PublishError; then nothing was uploaded, or dput's output says what was.
    """
    if not _HOST.fullmatch(host):
        raise UsageError(
            f"{host!r} is not a valid name of a dput host", hint="use a name from ~/.dput.cf"
        )
    if distribution and not _HOST.fullmatch(distribution):
        raise UsageError(f"{distribution!r} is not a valid name of a distribution")
    verified_run.proven(directory)
    verified_run.vouched(directory, trusted)
    with tempfile.TemporaryDirectory(prefix="respin-offer-") as place:
        # The directory may be another one by now; nobody else writes to the copy.
        copy = Path(place) / "run"
        try:
            bounded.copy_tree(directory, copy, manifest.BYTES)
        except OSError as e:
            raise PublishError(f"{e.filename} cannot be copied: {e.strerror}") from e
        offer = verified_run.proven(copy)
        verified_run.vouched(copy, trusted)
        _upload(offer, host, key, distribution)
    return offer.version


def _upload(offer: Proven, host: str, key: str, distribution: str) -> None:
    """Sign and send the source package of a run that was verified, which nobody else can change."""
    dsc = next(f.path for f in offer.files if f.path.suffix == ".dsc")
    with lent.lent(None, "respin-dput-") as work:
        for file in offer.files:
            if file.path.suffix != ".deb":
                (work / file.path.name).write_bytes(file.path.read_bytes())
        _read(work, "dpkg-source", "--no-check", "-x", dsc.name, "tree")
        stem = dsc.name.removesuffix(".dsc")
        changes = work / f"{stem}_source.changes"
        buildinfo = f"{stem}_source.buildinfo"
        _read(work, "dpkg-genbuildinfo", "--build=source", f"-O../{buildinfo}", at="tree")
        # -sa: the build farm may never have seen the upstream tarball.
        options = ["--build=source", "-sa", f"-O../{changes.name}"]
        if distribution:
            options.append(f"-DDistribution={distribution}")
        _read(work, "dpkg-genchanges", *options, at="tree")
        sign = ["debsign", "--re-sign", *([f"-k{key}"] if key else ()), changes.name]
        _run(
            *sign,
            cwd=work,
            hint="name the key with --key, and make its passphrase known to gpg-agent",
        )
        _run("dput", host, changes.name, cwd=work, hint=f"check that {host} is in ~/.dput.cf")


def _read(directory: Path, *argv: str, at: str = ".") -> None:
    """Run a program that reads the source in the sandbox."""
    sandbox.run(
        argv,
        directory=directory,
        at=at,
        reads=[Path("/var/lib/dpkg")],  # the list of packages, for the .buildinfo
        timeout=TIMEOUT,
        error=PublishError,
        brief=f"the source upload failed at {argv[0]}",
    )


def _run(*argv: command.Arg, cwd: Path, hint: str = "") -> None:
    command.run(
        argv,
        cwd=cwd,
        env=command.environment(),
        timeout=TIMEOUT,
        error=PublishError,
        brief=f"the source upload failed at {argv[0]}",
        hint=hint,
    )
