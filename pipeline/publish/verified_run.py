# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run directory proves: its report is read back, and every file checked by hash."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.archives import dsc_file
from pipeline.build import package_checks, uploads
from pipeline.errors import FetchError, NotVerified, PublishError, RespinError, UsageError
from pipeline.files import own_files
from pipeline.fixes import versions
from pipeline.host.cache import file_sha256
from pipeline.model import Seen
from pipeline.proof import check, envelope, signers, statements
from pipeline.proof.check import Proof
from pipeline.publish.keys import Key
from pipeline.runs import lockfile, lockfile_reader
from pipeline.runs.directory import REPORT
from pipeline.runs.report_reader import load
from pipeline.vm.machine import machines

TRUST = (
    "name the key file of whoever made the run as keys under [trust] in respin.toml; get it from "
    "them, not from where you got the run"
)
"""Unlike ``respin verify``, ``respin publish`` takes no key of a run by --key."""

ALL = "all"
"""The architecture of the packages that every architecture takes."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A file that is published."""

    path: Path
    sha256: str
    name: str = ""
    """Of what is beside a package: its path in the run's directory."""


@dataclass(frozen=True, kw_only=True)
class Proven:
    """A version that respin built and proved, with the files to publish."""

    version: str
    base: str
    """The distro's version that it was made from."""
    dsc: str
    """The SHA-256 of the distro's .dsc."""
    codename: str
    architecture: str
    """That of its packages; some may be of the architecture ``all``."""
    distro: str
    number: int
    files: tuple[File, ...]
    """The .debs, and the source package."""
    beside: tuple[File, ...] = ()
    """What is published beside each .deb: the signed statements, the lock, and the user's own
    patches and fixes that the lock names."""


def architecture_of(deb: Path) -> str:
    """Return the architecture in the name of a package's file."""
    return deb.stem.rpartition("_")[2]


def proven(directory: Path, report_sha256: str = "") -> Proven:
    """Return what a run directory has to publish.

    ``report_sha256``, if given, is the hash of the report at the end of the run. Raises UsageError
    if it is not a run directory, PublishError if the run built or proved nothing, or if a file has
    changed.
    """
    report = load(directory, broken=PublishError)
    if report_sha256 and file_sha256(directory / REPORT) != report_sha256:
        raise PublishError(f"{directory / REPORT} has changed since its run", hint="run it again")
    try:
        offer = _proven(directory, report)
        if not report_sha256:
            _hold(directory, report, offer)
        return offer
    except (UsageError, OSError) as e:
        raise PublishError(
            f"{directory} is not complete", details=str(e), hint="run it again"
        ) from e


def vouched(directory: Path, trusted: Sequence[bytes]) -> Proof:
    """Return what a trusted key says that has signed every file of a run's directory.

    Raises PublishError if none has.
    """
    return _vouched(lambda: check.directory(directory, trusted))


def vouched_for(directory: Path, trusted: Sequence[bytes]) -> Proof:
    """Return what a trusted key says of a run's directory, which need not be whole.

    Raises PublishError if none has signed what is said.
    """
    path = directory / envelope.NAME
    return _vouched(lambda: check.of_file(path, trusted))


def _vouched(proof: Callable[[], Proof]) -> Proof:
    try:
        return proof()
    except NotVerified as e:
        raise PublishError(
            f"nobody who is trusted here vouches for this run: {e.brief}",
            details=e.details,
            hint=TRUST if e.hint == signers.TRUST else e.hint,
        ) from e


def sign_late(directory: Path, key: Key) -> bool:
    """Sign the statements of a run of this machine if nobody has, since the key could not then.

    The state vouches for the run's report. Returns whether it did. Raises PublishError if the key
    still cannot sign, or a file is not as it was when the run ended.
    """
    path = directory / envelope.NAME
    if not path.exists():
        return False
    try:
        envelopes = check.envelopes(path)
        if any(each.signatures for each in envelopes):
            return False
        check.held(directory)
    except NotVerified as e:
        raise PublishError(e.brief, details=e.details, hint="run it again") from e
    signed = envelope.sign([each.payload for each in envelopes], key)
    own_files.write(path, envelope.to_bytes(signed))
    return True


def _beside(directory: Path, debs: Collection[str]) -> tuple[File, ...]:
    """Return the statements and the lock of a run, and the user's own patches and fixes.

    Nothing if an older respin made it.

    Clients check who signed the statements. Raises PublishError if they are not about the packages.
    """
    path = directory / envelope.NAME
    if not path.exists():
        return ()
    try:
        named = check.claimed(path).subjects(statements.RUN)
    except NotVerified as e:
        raise PublishError(e.brief, details=e.details, hint="run it again") from e
    lock = file_sha256(directory / lockfile.NAME)
    if not {*debs, lock} <= set(named.values()):
        raise PublishError(f"{path} has changed since its run", hint="run it again")
    own = lockfile.own_names(named)
    for name in own:
        _check(directory, directory / name, named[name])
    return (
        File(path=path, sha256=file_sha256(path), name=envelope.NAME),
        File(path=directory / lockfile.NAME, sha256=lock, name=lockfile.NAME),
        *(File(path=directory / name, sha256=named[name], name=name) for name in own),
    )


def _proven(directory: Path, report: dict[str, Any]) -> Proven:
    if report["outcome"] not in ("fixed", "unharmed"):
        raise PublishError(
            f"{directory} contains nothing to publish: its outcome is {report['outcome']}",
            details="\n".join(f"Not verified: {text}" for text in report["unverified"]),
            hint="respin publishes only what it built and proved: use respin run",
        )
    cells = [c for row in report["smoke"]["cases"] for c in (row["before"], row["after"]) if c]
    loads = any(c["seen"] == Seen.LOADS for row in report["smoke"]["cases"] if (c := row["after"]))
    if not loads or not all(c["ok"] for c in cells):
        raise PublishError(f"the smoke test in {directory} proves nothing", hint="run it again")
    patched, source = report["patched"], report["source"]
    files = [
        File(path=directory / deb["path"], sha256=deb["sha256"])
        for deb in report["built"]["debs"]
        if deb["path"].endswith(".deb")
    ]
    dsc = directory / patched["dsc"]
    files.append(File(path=dsc, sha256=patched["sha256"]))
    architecture = _architecture(directory, files, report)
    for file in files:
        _check(directory, file.path, file.sha256)
    fields = dsc_file.read(dsc)
    for listed in fields.files:
        try:
            dsc_file.check_file(dsc.parent / listed.name, listed, dsc.name)
        except FetchError as e:
            raise PublishError(e.brief, details=e.details, hint="run it again") from e
        files.append(File(path=dsc.parent / listed.name, sha256=listed.sha256))
    if fields.version != patched["version"] or report["built"]["version"] != patched["version"]:
        raise PublishError(f"{directory} holds two versions", hint="run it again")
    return Proven(
        version=patched["version"],
        base=source["version"],
        dsc=source["files"][0]["sha256"],
        codename=source["release"]["codename"],
        architecture=architecture,
        distro=source["release"]["distro"],
        number=lockfile_reader.read(directory / lockfile.NAME).number,
        files=tuple(files),
        beside=_beside(directory, [f.sha256 for f in files if f.path.suffix == ".deb"]),
    )


def _architecture(directory: Path, files: Sequence[File], report: dict[str, Any]) -> str:
    """Return the architecture of a run's packages. Raises PublishError unless it is one.

    It is one that can be proven, and the smoke test was one of it.
    """
    debs = [file.path for file in files if file.path.suffix == ".deb"]
    found = {architecture_of(deb) for deb in debs} - {ALL}
    if len(found) != 1 or not found <= machines().keys():
        raise PublishError(
            f"{directory} has packages of {' and '.join(sorted(found)) or 'no architecture'}, and "
            f"a run has those of one: {', '.join(machines())}",
            hint="run it again; nothing was published",
        )
    (architecture,) = found
    smoke = report["smoke"]
    kernel = smoke["kernel_package"] or {}
    # Older reports name none.
    said = {report.get("architecture"), smoke.get("architecture"), kernel.get("architecture")}
    if said - {architecture, None, ""}:
        raise PublishError(
            f"{directory} has packages of {architecture}, and its report is about "
            f"{' and '.join(sorted(said - {architecture, None, ''}))}",
            hint="run it again; nothing was published",
        )
    return architecture


def _hold(directory: Path, report: dict[str, Any], offer: Proven) -> None:
    """Check a report that nobody vouches for against the files. Raises PublishError."""
    source, built = report["source"], report["built"]
    release = source["release"]
    number, suffix = offer.number, release["suffix"]
    try:
        if versions.rebuilt(offer.base, offer.distro, number, rule=suffix) != offer.version:
            raise PublishError(
                f"{offer.version} is not what respin calls rebuild {number} of {offer.base}"
            )
        given = [directory / file["path"] for file in source["files"]]
        for path, file in zip(given, source["files"], strict=True):
            _check(directory, path, file["sha256"])
        fields = dsc_file.read(given[0])
        if (fields.name, fields.version) != (source["name"], offer.base):
            raise PublishError(f"{given[0]} is not the source package of {offer.base}")
        for listed in fields.files:
            dsc_file.check_file(given[0].parent / listed.name, listed, given[0].name)
        for artifact in (built["changes"], built["buildinfo"]):
            _check(directory, directory / artifact["path"], artifact["sha256"])
        dsc = next(f.path for f in offer.files if f.path.suffix == ".dsc")
        changes = directory / built["changes"]["path"]
        upload = uploads.read(changes)
        if (upload.source, upload.version) != (source["name"], offer.version):
            raise PublishError(f"{changes} does not belong to {source['name']} {offer.version}")
        package_checks.hold(changes.parent, upload, changes.name, dsc)
        there = {f.name: f.sha256 for f in upload.files}
        strange = [f.path for f in offer.files if there.get(f.path.name, f.sha256) != f.sha256]
        strange += [
            f.path for f in offer.files if f.path.suffix == ".deb" and f.path.name not in there
        ]
        if strange:
            raise PublishError(f"{strange[0]} does not match its entry in {changes.name}")
    except PublishError:
        raise
    except RespinError as e:
        raise PublishError(e.brief, details=e.details, hint="run it again") from e


def _check(directory: Path, path: Path, sha256: str) -> None:
    inside = path.resolve().is_relative_to(directory.resolve())
    if not inside or not path.is_file() or file_sha256(path) != sha256:
        raise PublishError(
            f"{path} has changed since its run",
            hint="run it again; nothing was published",
        )
