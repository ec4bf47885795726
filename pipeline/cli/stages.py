# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands fetch, patch, build, prove and diagnose: a stage or a few alone."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import click

from pipeline.cli import summaries, terminal
from pipeline.cli.options import (
    ARCHITECTURES,
    ARCHIVE,
    COMMON,
    CONTAINER,
    DIRECTORY,
    FILE,
    FIX,
    OUT,
    SIGN,
    SOURCE,
    TRUST,
    ArchiveOptions,
    CommonOptions,
    ContainerOptions,
    SourceOptions,
    takes,
)
from pipeline.cli.request import (
    configured,
    continued_by,
    fixes_of,
    patches_of,
    refuse_beside,
    request_again,
    request_of,
    signed_by,
)
from pipeline.cli.run import built, go, go_each
from pipeline.config.config import Config
from pipeline.errors import RespinError, UsageError
from pipeline.fixes import diagnose
from pipeline.fixes.fixes import Fix
from pipeline.host.cache import Cache
from pipeline.host.progress import Journal
from pipeline.releases import releases
from pipeline.runs import plain, report, single_stage
from pipeline.runs.report import Report
from pipeline.runs.request import PACKAGE, Request
from pipeline.vm.machine import machines


@dataclass(frozen=True, kw_only=True)
class FetchOptions:
    """The options of ``respin fetch``."""

    source: SourceOptions
    everything: bool
    sign_with: str | None
    common: CommonOptions


@click.command(name="fetch")
@SOURCE
@click.option(
    "--everything",
    is_flag=True,
    help="With --locked, fetch into the cache all that respin run --locked --offline needs.",
)
@SIGN
@COMMON
@takes(FetchOptions)
def fetch_command(options: FetchOptions) -> None:
    """Fetch only: leave the verified source package in a directory."""
    if options.everything and not options.source.locked:
        raise UsageError(
            "--everything needs a lock, which says what everything is",
            hint="give the respin.lock of an earlier run with --locked",
        )
    what = single_stage.fetch_everything if options.everything else single_stage.fetch_only
    request = signed_by(request_of(options.source, options.common.cache), options.sign_with)
    go(what, request, options.source.out, options.common)


@dataclass(frozen=True, kw_only=True)
class PatchOptions:
    """The options of ``respin patch``."""

    earlier: Path | None
    source: SourceOptions
    form: plain.Format | None
    sign_with: str | None
    common: CommonOptions


@click.command(name="patch")
@click.argument("earlier", metavar="[RUN]", type=DIRECTORY, required=False)
@SOURCE
@click.option(
    "--format",
    "form",
    type=click.Choice([f.value for f in plain.Format]),
    callback=lambda _, __, value: value and plain.Format(value),
    help="For a tree without debian/: where its patches are put [default: git].",
)
@SIGN
@COMMON
@takes(PatchOptions)
def patch_command(options: PatchOptions) -> None:
    """Fetch and patch: leave the patched source package in a directory; build nothing.

    With RUN, a directory that `fetch` or `run` made, patch the source in it. For a --tree without
    debian/, write only the patches, below --out [default: the current directory].
    """
    source, earlier = options.source, options.earlier
    if earlier is None and source.tree and plain.is_plain(source.tree):
        _patch_plain(options, source.tree)
        return
    if options.form:
        raise UsageError(
            "--format is for a --tree without debian/", hint="omit it: a package has one format"
        )
    if earlier is None:
        request = signed_by(request_of(source, options.common.cache), options.sign_with)
        go(single_stage.patch_only, request, source.out, options.common)
        return
    refuse_beside(f"{earlier} already contains a source", source)
    request = request_again(
        earlier,
        source.archive,
        options.common.cache,
        trust_container=source.trust_container,
    )
    request = replace(
        request,
        fixes=fixes_of(source.fix, request.config, request.cache),
        no_fixes=source.no_fixes,
        patches=patches_of(source, request.config, request.release),
        number=source.number,
        trust_container=source.trust_container,
    )
    what = functools.partial(single_stage.patch_only, earlier=earlier)
    go(what, continued_by(request, options.sign_with), source.out, options.common)


def _patch_plain(options: PatchOptions, tree: Path) -> None:
    """Write the patches for an upstream tree; refuse what is about packages and archives."""
    source = options.source
    refuse_beside(
        f"{tree} has no debian/",
        source,
        but=("--tree",),
        more={
            "--mirror": source.archive.mirror,
            "--keyring": source.archive.keyring,
            "--number": source.number > 1,
            "--patch": source.patches,
            "--no-fixes": source.no_fixes,
            "--sign-with": options.sign_with,
        },
        hint="omit it, or give the tree of a Debian package",
    )
    cache = Cache(options.common.cache)
    with terminal.Terminal(verbose=options.common.verbose) as shown:
        done = plain.patch(
            tree,
            fixes_of(source.fix, configured(source.archive.config), cache),
            cache,
            source.out or Path(),
            options.form or plain.Format.GIT,
            shown,
            trust_container=source.trust_container,
        )
    if options.common.as_json:
        paths = [str(path.absolute()) for path in done.patches]
        terminal.say_json({**report.diagnosis_json(done.findings), "patches": paths})
        return
    summaries.show_findings(done.findings)
    for path in done.patches:
        terminal.say(path)


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """The options of ``respin build``."""

    earlier: Path
    architectures: tuple[str, ...]
    container: ContainerOptions
    archive: ArchiveOptions
    out: Path | None
    sign_with: str | None
    common: CommonOptions


@click.command(name="build")
@click.argument("earlier", metavar="RUN", type=DIRECTORY)
@ARCHITECTURES
@CONTAINER
@ARCHIVE
@OUT
@SIGN
@COMMON
@takes(BuildOptions)
def build_command(options: BuildOptions) -> None:
    """Build only: the patched source in RUN, a directory that `patch` or `run` made."""
    request = built(
        request_again(options.earlier, options.archive, options.common.cache), options.container
    )
    request = continued_by(request, options.sign_with)

    def build(request: Request, out: Path, journal: Journal | None) -> Report:
        return single_stage.build_only(request, options.earlier, out, journal)

    def each(
        request: Request, names: tuple[str, ...], out: Path, journal: Journal | None
    ) -> dict[str, Report | RespinError]:
        return single_stage.build_each(request, names, options.earlier, out, journal)

    go_each(build, each, request, options.architectures, options.out, options.common)


@dataclass(frozen=True, kw_only=True)
class ProveOptions:
    """The options of ``respin prove``."""

    earlier: Path
    debs: Path | None
    architecture: str | None
    archive: ArchiveOptions
    out: Path | None
    sign_with: str | None
    common: CommonOptions


@click.command(name="prove")
@click.argument("earlier", metavar="RUN", type=DIRECTORY)
@click.option(
    "--debs",
    type=DIRECTORY,
    help="Directory that dpkg-buildpackage wrote to [default: that in RUN].",
)
@click.option(
    "--architecture",
    metavar="NAME",
    help="Architecture of the packages, by Debian's name [default: as in RUN].",
)
@ARCHIVE
@OUT
@SIGN
@COMMON
@takes(ProveOptions)
def prove_command(options: ProveOptions) -> None:
    """Prove only: the packages in RUN, or those built elsewhere from its source."""
    request = request_again(options.earlier, options.archive, options.common.cache)
    request = continued_by(request, options.sign_with)
    if options.debs:
        # A file whose name is wrong is refused when the packages are checked.
        debs = options.debs.glob(f"{PACKAGE}_*.deb")
        named = {deb.stem.rpartition("_")[2] for deb in debs} & set(machines())
        request = replace(request, architecture=named.pop() if len(named) == 1 else "")
    if options.architecture:
        request = replace(request, architecture=options.architecture)

    def prove(request: Request, out: Path, journal: Journal | None) -> Report:
        return single_stage.prove_only(request, options.earlier, options.debs, out, journal)

    go(prove, request, options.out, options.common)


@dataclass(frozen=True, kw_only=True)
class DiagnoseOptions:
    """The options of ``respin diagnose``."""

    tree: Path | None
    dsc: Path | None
    release: str | None
    archive: ArchiveOptions
    fix: tuple[str, ...]
    trust_container: bool
    common: CommonOptions


@click.command(name="diagnose")
@click.option("--tree", type=DIRECTORY, help="Unpacked source tree.")
@click.option("--dsc", type=FILE, help="Source package.")
@click.option(
    "--release", help="Release with whose libraries it would be built [default: not known]."
)
@ARCHIVE
@FIX
@TRUST
@COMMON
@takes(DiagnoseOptions)
def diagnose_command(options: DiagnoseOptions) -> None:
    """Show which fixes a source tree needs. Exits 11 if a verdict is unknown, else 0.

    Without --release, a verdict that depends on the release's libraries names the condition.
    """
    if (options.tree is None) == (options.dsc is None):
        raise UsageError(
            "diagnose needs exactly one of --tree and --dsc",
            hint="give --tree DIRECTORY or --dsc FILE",
        )
    configuration = configured(options.archive.config)
    cache = Cache(options.common.cache)
    chosen = fixes_of(options.fix, configuration, cache)
    within = _within(options, chosen, configuration, cache)
    with terminal.Terminal(verbose=options.common.verbose) as shown:
        found = single_stage.diagnose_only(
            options.tree,
            options.dsc,
            chosen,
            cache,
            shown,
            trust_container=options.trust_container,
            within=within,
        )
    if options.common.as_json:
        terminal.say_json(report.diagnosis_json(found))
    else:
        summaries.show_findings(found)
        if any(finding.condition for finding in found) and within is None:
            terminal.tell("--release tells whether a condition holds for a release.")
    diagnose.refuse_unknown(found)


def _within(
    options: DiagnoseOptions, chosen: tuple[Fix, ...], configuration: Config, cache: Cache
) -> Request | None:
    """Return the request for the release whose libraries count, if the user names one."""
    archive = options.archive
    if options.release is None:
        if archive.mirror or archive.keyring:
            raise UsageError(
                "--mirror and --keyring are for the archive of a release, and none is named",
                hint="name the release with --release, or omit them",
            )
        return None
    return Request(
        release=releases.find(options.release, config=configuration),
        fixes=chosen,
        cache=cache,
        config=configuration,
        mirror=archive.mirror,
        keyring=archive.keyring,
    )


COMMANDS = (fetch_command, patch_command, build_command, prove_command, diagnose_command)
