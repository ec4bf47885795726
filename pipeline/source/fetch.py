# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stage fetch: get the exact source package of a release, and verify every file.

It comes from the distro's archive, or from a .dsc that the user gives.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from debian.debian_support import Version

from pipeline.archives import dsc_file, openpgp, vouch
from pipeline.archives.apt import AptArchive
from pipeline.archives.history import History
from pipeline.archives.staging import staged
from pipeline.errors import FetchError, UsageError
from pipeline.files import bounded, compressed
from pipeline.host.progress import QUIET, Stage
from pipeline.isolation import lent, sandbox
from pipeline.model import Release, Source, VerifiedFile
from pipeline.source import source_tree

UPLOADERS = (
    Path("/usr/share/keyrings/debian-keyring.gpg"),
    Path("/usr/share/keyrings/debian-maintainers.gpg"),
)
"""The keys of those who may upload to Debian and sign .dsc files (package debian-keyring).
debian-nonupload.gpg is not among them, because these developers may not upload."""

LARGEST = 512 << 20
"""Bytes of an unpacked source; iproute2's has 7 MiB."""


def fetch(
    archive: AptArchive,
    version: str | None,
    dest: Path,
    *,
    name: str = "iproute2",
    elsewhere: History | None = None,
    stage: Stage = QUIET,
) -> Source:
    """Fetch a source package into the directory ``dest``: this version, or the newest.

    A version that the archive no longer has is looked for ``elsewhere``. The archive's indexes are
    those of its last ``update``; if there was none, they are fetched now. Raises FetchError, or
    UsageError for an invalid version; ``dest`` then stays as it was.
    """
    if version is not None and not dsc_file.version_text(version):
        raise UsageError(
            f"{version[:60]!r} is not a valid version",
            hint="give one as `apt-cache showsrc` writes it, such as 6.1.0-3",
        )
    there = archive.versions(name)
    if (
        version is None
        or elsewhere is None
        or any(Version(each.version) == Version(version) for each in there)
    ):
        source = archive.fetch_source(name, version, dest)
    else:
        stage.note(f"{version} is superseded: the release's pockets no longer have it")
        try:
            source = elsewhere.fetch_source(name, version, dest)
        except FetchError as e:
            here = ", ".join(dict.fromkeys(f"{v.version} ({v.suite})" for v in there))
            where = f"{archive.release.distro} {archive.release.codename}"
            lines = (e.details, f"The release's archive has: {here or 'none'}")
            raise FetchError(
                f"{where} does not have, or no longer has, {name} {version}: {e.brief}",
                details="\n".join(filter(None, lines)),
                hint=e.hint,
            ) from e
    stage.note(f"{source.name} {source.version} from {source.origin}")
    stage.note(source.files[0].verified)
    return source


def local(dsc: Path, dest: Path, release: Release, *, name: str = "iproute2") -> Source:
    """Copy a source package of the user's into ``dest``, and check each file.

    Size and SHA-256 of each file must be those in the .dsc. Raises FetchError; ``dest`` then stays
    as it was.
    """
    data = dsc_file.load(dsc)
    fields = dsc_file.parse(data, str(dsc))
    trust = _trust(data, dsc)
    if fields.name != name:
        raise FetchError(
            f"{dsc} is the source of {fields.name}, not of {name}",
            hint=f"give a .dsc of {name}",
        )
    missing = [f.name for f in fields.files if not (dsc.parent / f.name).is_file()]
    if missing:
        raise FetchError(
            f"{dsc} lists files that are not beside it: {', '.join(missing)}",
            hint="put them into the directory of the .dsc",
        )
    first = f"{name}_{fields.version.rpartition(':')[2]}.dsc"
    with staged(dest) as staging:
        (staging.path / first).write_bytes(data)
        for each in fields.files:
            dsc_file.take(dsc.parent / each.name, staging.path / each.name, each, str(dsc))
        staging.keep([*(f.name for f in fields.files), first])
    own = dsc_file.described(dest / first)
    files = [VerifiedFile(path=dest / first, size=own.size, sha256=own.sha256, verified=trust)]
    files += [
        VerifiedFile(
            path=dest / f.name, size=f.size, sha256=f.sha256, verified=f"SHA-256 in {trust}"
        )
        for f in fields.files
    ]
    return Source(
        name=name,
        version=fields.version,
        release=release,
        files=tuple(files),
        origin=str(dsc.absolute()),
    )


def _trust(data: bytes, dsc: Path) -> str:
    """Return what is known about who made a local .dsc. Raises FetchError if it was changed."""
    given = "the .dsc given by the user"
    if not openpgp.is_signed(data):
        return f"{given} (not signed)"
    if not any(path.exists() for path in UPLOADERS):
        return (
            f"{given} (its signature was not checked: the package debian-keyring is not installed)"
        )
    signed = vouch.signed(data, str(dsc), UPLOADERS)
    if signed.signers:
        return f"{given}, signed by {', '.join(signed.signers)} (debian-keyring)"
    return f"{given} ({vouch.nobody(data, signed, 'in the package debian-keyring')})"


def unpack(
    source: Source, dest: Path, *, trust_container: bool = False, log: Path | None = None
) -> Path:
    """Unpack a source with its patches applied into ``dest``, which must not exist.

    The tree is the one that ``dpkg-source -x`` makes. Returns ``dest``. Raises FetchError if it
    cannot be unpacked, would have more than LARGEST bytes, or may not be read here
    (``sandbox.admit``, ``source_tree.settle``); nothing is left then.
    """
    if dest.exists():
        raise FetchError(f"{dest} already exists", hint="choose a directory that does not exist")
    sandbox.admit(source.dsc.name, indexed=source.indexed, trust_container=trust_container)
    form = dsc_file.parse(bounded.read(source.dsc, dsc_file.LIMIT), source.dsc.name).format
    source_tree.check_format(form, source.dsc.name)
    _measure(source)
    dest.parent.mkdir(parents=True, exist_ok=True)
    with lent.lent(dest.parent, ".unpack-") as directory:
        for file in source.files:
            shutil.copyfile(file.path, directory / file.path.name)
        # Every file has been verified; dpkg-source would want a signature by a key it knows.
        sandbox.run(
            ["dpkg-source", "--no-copy", "--no-check", "-x", source.dsc.name, "tree"],
            directory=directory,
            timeout=600,
            log=log,
            error=FetchError,
            brief=f"dpkg-source could not unpack {source.dsc.name}",
            hint="its files are intact, so the source package itself is broken; please report it "
            "to its distro",
        )
        source_tree.settle(directory / "tree", form)
        (directory / "tree").rename(dest)
    return dest


def _measure(source: Source) -> None:
    """Raise FetchError if a source unpacks to more than LARGEST bytes."""
    left = LARGEST
    for file in source.files[1:]:
        if file.path.suffix == ".asc":
            continue
        left -= sum(len(p) for p in compressed.pieces(file.path, file.path.suffix, left))
