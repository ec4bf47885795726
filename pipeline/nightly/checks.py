# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of a run that was made elsewhere, against what can be made or fetched here."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Collection
from pathlib import Path

from pipeline.build import distro_package
from pipeline.errors import PublishError, RespinError
from pipeline.host.cache import digest
from pipeline.nightly import plan
from pipeline.nightly.context import GIVEN, RUNS, World
from pipeline.nightly.state import State, TargetState
from pipeline.publish import verified_run
from pipeline.publish.apt_repository import check_names
from pipeline.publish.verified_run import Proven
from pipeline.runs.report import Outcome, Report
from pipeline.runs.request import Request
from pipeline.source import same_source


def with_fixes(request: Request, named: Collection[str]) -> Request:
    """Return a request with those of its fixes that a run applied."""
    own = tuple(fix for fix in request.fixes if fix.name in named)
    return dataclasses.replace(request, fixes=own or request.fixes, no_fixes=not named)


def names(world: World, state: State, target: TargetState, offer: Proven) -> None:
    """Check that no file of a run has the name of another one that is offered.

    Raises PublishError.
    """
    there = plan.offered(target, state.runs(target.name), world.settings.publish.keep)
    check_names([*(verified_run.proven(r.folder, r.report) for r in there), offer])


def same_patch(world: World, request: Request, offer: Proven | None, directory: Path) -> Report:
    """Check that respin makes the same patched source here; without an offer, that it makes none.

    ``directory`` is the run's: its patches are served beside the package. Returns the report of
    what was made here; its files are gone. Raises PublishError.
    """
    part = world.directory / RUNS / f"{GIVEN}.patch"
    shutil.rmtree(part, ignore_errors=True)
    what = offer.version if offer else "what needs no fix"
    try:
        here = world.patch(request, part)
        differs = _difference(here, offer)
        if not differs and patches(part) != patches(directory):
            differs = "its patches/"
    except RespinError as e:
        raise PublishError(
            f"respin could not repeat the patch of {what} from {request.version}: {e.brief}",
            details=e.details,
            hint=e.hint,
        ) from e
    finally:
        shutil.rmtree(part, ignore_errors=True)
    if differs:
        raise PublishError(
            f"the patched source of {what} is not what this respin makes from "
            f"{request.version}: it differs in {differs}",
            hint="another version of respin, or somebody else, made it; repeat the run here",
        )
    return here


def same_findings(here: Report, there: Report) -> None:
    """Check that a report says of the source what respin finds here. Raises PublishError."""
    mine, theirs = (
        (
            each.findings,
            each.patched.fixes if each.patched else (),
            each.user_patches,
        )
        for each in (here, there)
    )
    if mine != theirs:
        raise PublishError(
            "its report is not what this respin finds in that source",
            details=f"here:  {mine}\nthere: {theirs}"[:2000],
            hint="another version of respin, or somebody else, made it; repeat the run here",
        )


def _difference(here: Report, offer: Proven | None) -> str:
    """Return how what was patched here differs from what was patched elsewhere; empty: not."""
    if here.patched is None or offer is None:
        return "that it is patched at all" if (here.patched is None) != (offer is None) else ""
    dsc = next(f.path for f in offer.files if f.path.suffix == ".dsc")
    return same_source.difference(here.patched.dsc, dsc)


def like_the_distros(world: World, request: Request, offer: Proven) -> tuple[str, ...]:
    """Check that packages have no file and no control field that the distro's do not have.

    Returns the names of those that the archive does not have. Raises PublishError.
    """
    place = world.directory / RUNS / f"{GIVEN}.distro"
    libraries = [f.requires.build_depends.removesuffix("-dev") for f in world.fixes if f.requires]
    missing = []
    try:
        for deb in (f.path for f in offer.files if f.path.suffix == ".deb"):
            name = deb.name.partition("_")[0]
            if name.endswith(distro_package.DEBUG):
                distro_package.hold_debug(deb)
                continue
            shutil.rmtree(place, ignore_errors=True)
            theirs = world.package(request, name, place)
            if theirs is None:
                missing.append(name)
            else:
                distro_package.hold(deb, theirs, libraries)
    except RespinError as e:
        raise PublishError(e.brief, details=e.details, hint=e.hint) from e
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return tuple(missing)


def proven_again(world: World, request: Request, directory: Path, outcome: Outcome) -> None:
    """Smoke-test the packages of a run here, too: it has to end as there. Raises RespinError."""
    place = world.directory / RUNS / f"{GIVEN}.proof"
    shutil.rmtree(place, ignore_errors=True)
    try:
        done = world.prove(dataclasses.replace(request, prove=True), directory, place)
        if done.outcome != outcome:
            raise PublishError(f"its outcome is {outcome} there, and {done.outcome} here")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def patches(directory: Path) -> dict[str, str]:
    """Return the patches of a run without the date, which depends on the rebuild's number."""
    return {
        path.name: digest(
            *(
                line
                for line in path.read_bytes().splitlines()
                if not line.startswith(b"Last-Update:")
            )
        )
        for path in (directory / "patched/patches").glob("*")
    }
