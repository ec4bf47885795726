# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of a target after respin has read its archive, or has tried to publish."""

from __future__ import annotations

import dataclasses

from pipeline.errors import PublishError, RespinError
from pipeline.nightly import plan
from pipeline.nightly.state import TargetState
from pipeline.nightly.watch import TargetView
from pipeline.text import visible

PUBLISHING = PublishError.exit_code


def seen(view: TargetView, old: TargetState | None, now: int) -> TargetState:
    """Return what is known of a target after its archive was read."""
    target = view.target
    if view.error is not None:
        base = old or TargetState(
            name=target.name,
            distro=target.release.distro,
            codename=target.release.codename,
            version=None,
            dsc=None,
            pocket=None,
            versions=(),
            architectures=(),
            since=now,
        )
        there = dataclasses.replace(base, ended=None, architectures=target.architectures)
        return with_problem(there, view.error, now)
    versions = tuple(dict.fromkeys(s.version for s in view.sightings))
    best = plan.newest(versions)
    top = next((s for s in view.sightings if s.version == best), None)
    same = old is not None and top is not None and (old.version, old.dsc) == (best, top.dsc)
    new = TargetState(
        name=target.name,
        distro=target.release.distro,
        codename=target.release.codename,
        version=best,
        dsc=top.dsc if top else None,
        pocket=target.pocket(top.suite) if top else None,
        versions=versions,
        architectures=target.architectures,
        since=old.since if old and (same or (old.version is None and best is None)) else now,
        asked=old.asked if old else (),
    )
    if old and old.problem_code == PUBLISHING:  # publish() settles that
        return dataclasses.replace(
            new,
            problem=old.problem,
            problem_code=old.problem_code,
            problem_since=old.problem_since,
        )
    return new


def with_problem(target: TargetState, error: RespinError | None, now: int) -> TargetState:
    """Return a target with a problem, or without; a problem that it did not have begins now."""
    if error is None:
        return without_problem(target)
    same = target.problem_code == error.exit_code
    return dataclasses.replace(
        target,
        problem=visible.line(error.brief),
        problem_code=error.exit_code,
        problem_since=target.problem_since if same else now,
    )


def without_problem(target: TargetState) -> TargetState:
    """Return a target without its problem."""
    return dataclasses.replace(target, problem=None, problem_code=None, problem_since=None)
