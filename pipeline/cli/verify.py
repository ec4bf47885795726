# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""``respin verify``: who vouches for a run or a package, and what they say of it."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import click

from pipeline import __version__
from pipeline.cli import proof_words, terminal
from pipeline.cli.options import (
    ARCHIVE,
    CACHE,
    CONTAINER,
    FILE,
    VERBOSE,
    ArchiveOptions,
    CommonOptions,
    ContainerOptions,
    SourceOptions,
    takes,
)
from pipeline.cli.request import configured, request_of
from pipeline.cli.run import built
from pipeline.containers.engines import Kind
from pipeline.errors import NotVerified, UsageError
from pipeline.files import bounded
from pipeline.isolation.scratch import scratch
from pipeline.proof import check, envelope, manifest, statements
from pipeline.proof.check import Proof
from pipeline.publish import served, trust
from pipeline.runs import lockfile, lockfile_reader, rebuild
from pipeline.runs.directory import REPORT
from pipeline.runs.request import Request
from pipeline.text.address import Address, scrub


@dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    """The options of ``respin verify``."""

    what: str
    keys: tuple[Path, ...]
    provenance: Path | None
    rebuild: bool
    locked: Path | None
    container: ContainerOptions
    archive: ArchiveOptions
    common: CommonOptions


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What was verified, and where its files are."""

    proof: Proof
    packages: tuple[Path, ...]
    """The .debs that are here."""
    package: str = ""
    """The SHA-256 of the package, if it is about one and not about a run."""
    lock: Path | None


@click.command(name="verify")
@click.argument("what", metavar="RUN|DEB|URL")
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=FILE,
    help="Public key that must have signed; can be repeated [default: the keys under [trust], and "
    "this machine's own].",
)
@click.option(
    "--provenance",
    type=FILE,
    help="The signed statements about a package [default: those beside it].",
)
@click.option(
    "--rebuild",
    is_flag=True,
    help="Make the packages again from the run's respin.lock, and compare them byte for byte.",
)
@click.option(
    "--locked", type=FILE, help="The run's respin.lock, for --rebuild [default: the one beside it]."
)
@CONTAINER
@ARCHIVE
@CACHE
@click.option(
    "--json", "as_json", is_flag=True, help="Write the statements, and who signed them, as JSON."
)
@VERBOSE
@takes(VerifyOptions)
def verify_command(options: VerifyOptions) -> None:
    """Check the signed statements about RUN, the directory of a run, or about a package of one.

    The package is a file, or one in a repository that `publish` made. Says who signed, and what was
    proven. Exits 19 if a statement is missing, is not signed by a trusted key, or does not fit the
    files, or if, with --rebuild, a package comes out different.
    """
    _refuse_unused(options)
    trusted = trust.trusted(configured(options.archive.config), options.keys)
    with tempfile.TemporaryDirectory(prefix="respin-verify-") as place:
        found = _verified(options, trusted, Path(place))
        again = _made_again(options, found, Path(place)) if options.rebuild else None
    if options.common.as_json:
        terminal.say_json(proof_words.to_json(found.proof, again))
        return
    terminal.say(f"{scrub(options.what)}: verified")
    for label, text in proof_words.words(found.proof, again, found.package):
        terminal.say_wrapped(f"  {label:10} ", text)


def _refuse_unused(options: VerifyOptions) -> None:
    """Raise UsageError for an option that says how to rebuild, if nothing is made again."""
    given = {
        "--locked": options.locked,
        "--container": options.container.container is not Kind.AUTO,
        "--image": options.container.image,
        "--force-host": options.container.force_host,
    }
    unused = [name for name, value in given.items() if value]
    if unused and not options.rebuild:
        raise UsageError(
            f"{' and '.join(unused)} cannot be used without --rebuild",
            hint="add --rebuild to make the packages again, or omit what belongs to it",
        )


def _verified(options: VerifyOptions, trusted: tuple[bytes, ...], place: Path) -> Verified:
    """Verify the statements about what the user names, which may be on a server."""
    if served.is_address(options.what):
        return _served(options, trusted, place)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", options.what):
        raise UsageError(
            f"{scrub(options.what)} cannot be fetched",
            hint="an address must begin with http:// or https://",
        )
    what = Path(options.what)
    if what.is_dir():
        if options.provenance or options.locked:
            raise UsageError(
                "a run's directory has its own statements and lock, so --provenance and --locked "
                "cannot be used with it",
                hint="omit them",
            )
        if _lacks(what / envelope.NAME):
            raise _no_statements(what)
        proof = check.directory(what, trusted)
        names = proof.subjects(statements.PROVENANCE)
        debs = tuple(what / name for name in names if name.endswith(".deb"))
        return Verified(proof=proof, packages=debs, lock=what / lockfile.NAME)
    beside = options.provenance or _beside(what, envelope.NAME)
    if beside is None:
        if not what.exists():
            raise UsageError(
                f"{what} does not exist", hint="name a run's directory, or a package of one"
            )
        raise NotVerified(
            f"there are no signed statements about {what}",
            details="respin looked for\n" + "\n".join(map(str, _places(what, envelope.NAME))),
            hint="name the file with --provenance",
        )
    proof = check.package(what, beside, trusted)
    lock = options.locked or _beside(what, lockfile.NAME)
    return _of_one(proof, what, lock)


def _lacks(path: Path) -> bool:
    """Tell whether there is no such file, and not that it cannot be read."""
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def _no_statements(what: Path) -> NotVerified:
    if not _lacks(what / REPORT):
        return NotVerified(
            f"{what} has no {envelope.NAME}: an older respin made it, or the file was removed",
            hint="repeat the run, or get the whole directory from whoever made it",
        )
    return NotVerified(
        f"{what} is not the directory of a run",
        hint="name a directory that respin run left; with several architectures, one of those in "
        "it",
    )


def _served(options: VerifyOptions, trusted: tuple[bytes, ...], place: Path) -> Verified:
    try:
        url = Address(options.what)
    except ValueError as e:
        raise UsageError(f"the address cannot be used: {e}") from None
    beside = options.provenance or served.statements(url, place)
    shown = str(options.provenance or served.beside(url, envelope.NAME))
    check.of_file(beside, trusted, shown=shown)  # before anything larger is fetched
    deb = served.package(url, place)
    proof = check.package(deb, beside, trusted, shown=(str(url), shown))
    lock = options.locked
    if options.rebuild and not lock:
        lock = served.lock(url, place)
        served.own(url, proof, place)
    return _of_one(proof, deb, lock)


def _of_one(proof: Proof, deb: Path, lock: Path | None) -> Verified:
    return Verified(proof=proof, packages=(deb,), package=check.made(proof)[deb.name], lock=lock)


def _places(path: Path, name: str) -> tuple[Path, ...]:
    """Return where a file of the run may be: beside the package, or in the run's directory."""
    return (
        path.with_name(f"{path.stem}.{name}"),
        path.with_name(name),
        path.absolute().parent.parent / name,
    )


def _beside(path: Path, name: str) -> Path | None:
    return next((place for place in _places(path, name) if place.is_file()), None)


def _lock_of(found: Verified, place: Path) -> Path:
    """Copy the lock of the run to ``place``, and return the copy, which is the signed one.

    The patches and the fixes of the user's own beside it are copied, too.

    Raises UsageError if there is none, NotVerified if it is that of another run.
    """
    if found.lock is None:
        raise UsageError(
            "--rebuild needs the lock of the run, and there is none beside the package",
            hint=f"name it with --locked {lockfile.NAME}",
        )
    copy = place / "locked"
    try:
        copy.write_bytes(bounded.read(found.lock, lockfile_reader.LIMIT))
        for name in (lockfile.PATCHES, lockfile.FIXES):
            # In a repository, all of them have the package's name before their own.
            first = found.lock.name.removesuffix(lockfile.NAME)
            for own in (found.lock.with_name(f"{first}{name}"), found.lock.with_name(name)):
                if own.is_dir() and not (place / name).exists():
                    bounded.copy_tree(own, place / name, bounded.LARGE)
    except OSError as e:
        which = e.filename or found.lock
        raise NotVerified(f"{which} cannot be read: {e.strerror}", hint=envelope.HINT) from e
    if manifest.sha256(copy) != found.proof.subjects(statements.RUN).get(lockfile.NAME):
        raise NotVerified(
            f"{found.lock} is not the lock of the run that made this",
            hint="use the file that the run left, or that the repository has beside the package",
        )
    return copy


def _made_again(options: VerifyOptions, found: Verified, place: Path) -> dict[str, str]:
    """Make the packages again; return the SHA-256 of each. Raises NotVerified if one differs."""
    lock = _lock_of(found, place)
    made = found.proof.subjects(statements.PROVENANCE)
    if not any(name.endswith(".deb") for name in made):
        raise NotVerified(
            "no statement says that respin made packages, so there is nothing to make again"
        )
    source = SourceOptions(
        release=None,
        version=None,
        dsc=None,
        tree=None,
        at="",
        locked=lock,
        accepted=(),
        trust_container=False,
        pockets=(),
        archive=options.archive,
        fix=(),
        patches=(),
        no_fixes=False,
        out=None,
        number=1,
    )
    request = built(request_of(source, options.common.cache), options.container)
    assert request.locked
    # Errors name the file that the user knows, and a source of the user's own is beside it.
    request = replace(request, locked=replace(request.locked, path=found.lock))
    _same_fixes(found.proof, request)
    with scratch(request.cache, "rebuild") as place:
        with terminal.Terminal(verbose=options.common.verbose) as shown:
            again = rebuild.again(request, place, shown)
        want = {Path(name).name: sha256 for name, sha256 in made.items()}
        # Another version of dpkg-source writes another .dsc of the same files: Debian 13's has a
        # field more than Debian 12's. What is made of it says whether the source is the same.
        debs = {name: sha256 for name, sha256 in want.items() if not name.endswith(".dsc")}
        wrong = [name for name, sha256 in debs.items() if again.files.get(name) != sha256]
        if wrong:
            raise _differs(found, again, wrong, want)
    return {name: sha256 for name, sha256 in again.files.items() if name in debs}


def _same_fixes(proof: Proof, request: Request) -> None:
    """Raise NotVerified now, not after a build, if this respin has other fixes than the run had."""
    definition = proof.predicate(statements.PROVENANCE)["buildDefinition"]
    theirs = {
        each["name"]: each.get("digest", {}).get("sha256")
        for each in definition["resolvedDependencies"]
        if each["annotations"] == statements.role("fix")
    }
    ours = {f"patches/{fix.name}": lockfile.content_of(fix) for fix in request.applied}
    other = sorted(name for name in {*theirs, *ours} if theirs.get(name) != ours.get(name))
    if other:
        raise NotVerified(
            f"this respin has another {other[0]} than the run had, and would make other packages",
            details="\n".join(
                f"{name}: signed {theirs.get(name)}, here {ours.get(name)}" for name in other
            ),
            hint=f"use the version of respin that made the run, {_maker(proof)}; this is "
            f"{__version__}",
        )


def _differs(
    found: Verified, again: rebuild.Rebuilt, wrong: list[str], want: dict[str, str]
) -> NotVerified:
    details = []
    for name in wrong:
        details.append(f"{name}: signed {want[name]}, made {again.files.get(name, 'nothing')}")
        given = next((path for path in found.packages if path.name == name), None)
        if given and name in again.files and manifest.sha256(given) == want[name]:
            details.append(rebuild.difference(given, again.directory / name))
    maker = _maker(found.proof)
    return NotVerified(
        f"{wrong[0]}, made again from the lock, is another file",
        details="\n".join(details),
        hint="ask whoever signed it: the package is not what this source and these inputs give"
        if maker == __version__
        else f"another version of respin made the run, {maker}, and this is {__version__}: verify "
        "it with that one",
    )


def _maker(proof: Proof) -> str:
    """Return the version of respin that made a run, by its own word."""
    return str(proof.predicate(statements.RUN).get("tool", {}).get("version", ""))
