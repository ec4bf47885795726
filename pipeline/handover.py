"""Hand a patched source to a build farm: a signed source upload, by dput(1).

For architectures and volumes that one machine does not serve: a PPA, mini-buildd, debusine.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from pipeline import command, proven
from pipeline.errors import PublishError, UsageError

TIMEOUT = 600.0
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_/+~-]*")
"""No option, and one line: a newline would begin another field of the .changes."""


def dput(folder: Path, host: str, *, key: str = "", distribution: str = "") -> str:
    """Upload the patched source of a run folder to a host of dput's; return its version.

    ``key`` signs it (default: as debsign(1) finds one); ``distribution`` replaces the one of
    the changelog in the .changes. Raises PublishError; nothing was uploaded then, or dput's
    words say what was.
    """
    if not _HOST.fullmatch(host):
        raise UsageError(f"{host!r} is not the name of a host of dput's", hint="see ~/.dput.cf")
    if distribution and not _HOST.fullmatch(distribution):
        raise UsageError(f"{distribution!r} is not the name of a distribution")
    offer = proven.proven(folder)
    dsc = next(f.path for f in offer.files if f.path.suffix == ".dsc")
    with tempfile.TemporaryDirectory(prefix="respin-dput-") as name:
        work = Path(name)
        for file in offer.files:
            if file.path.suffix != ".deb":
                (work / file.path.name).write_bytes(file.path.read_bytes())
        tree = work / "tree"
        _run("dpkg-source", "--no-check", "-x", work / dsc.name, tree, cwd=work)
        stem = dsc.name.removesuffix(".dsc")
        changes = work / f"{stem}_source.changes"
        buildinfo = f"{stem}_source.buildinfo"
        _run("dpkg-genbuildinfo", "--build=source", f"-O../{buildinfo}", cwd=tree)
        # -sa: the farm may never have seen the upstream tarball.
        options = ["--build=source", "-sa", f"-O../{changes.name}"]
        if distribution:
            options.append(f"-DDistribution={distribution}")
        _run("dpkg-genchanges", *options, cwd=tree)
        sign = ["debsign", "--re-sign", *([f"-k{key}"] if key else ()), changes.name]
        _run(*sign, cwd=work, hint="name the key with --key, and let gpg-agent know its passphrase")
        _run("dput", host, changes.name, cwd=work, hint=f"is {host} in ~/.dput.cf?")
    return offer.version


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
