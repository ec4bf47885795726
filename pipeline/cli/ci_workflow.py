# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Workflows that build packages with the Dockerfile in the user's CI: GitHub or GitLab."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from pipeline.cli import catalogue
from pipeline.config.config import Config
from pipeline.errors import UsageError
from pipeline.host.resources import render
from pipeline.model import Release
from pipeline.releases.distroinfo import Support

PATHS = {"github": ".github/workflows/iproute2.yml", "gitlab": ".gitlab-ci.yml"}
"""Where each CI looks for its workflow, relative to the top of a repository."""

# None begins with a dash: git would take it for an option, and ssh would do so with a host.
_REPOSITORY = re.compile(
    r"(https?|ssh|git)://\w[\w.@:-]*/[\w./~@:+-]+|\w[\w.-]*@\w[\w.-]*:[\w./~+-]+", re.ASCII
)
_REF = re.compile(r"\w[\w./+-]{0,254}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_PINNED = re.compile(r"[a-z0-9][\w.:/-]*@sha256:[0-9a-f]{64}", re.ASCII)

DOCKER = (
    "docker.io/library/docker:29.8.2-dind"
    "@sha256:7dcdfc4a20246236f558175182ccace1eb15a41bd3eb119dd2284f393498b7c1"
)
"""Docker's official image with its daemon and git, in which GitLab's jobs run."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """The images that a workflow uses, each pinned by digest (NAME@sha256:…)."""

    base: Mapping[str, str] = field(default_factory=dict)
    """Codename of a release -> the image to build on; by default the tag of that name."""
    tools: str = ""
    """The image respin itself runs in; by default the Dockerfile's own tag."""
    docker: str = DOCKER
    """The image that GitLab's jobs and their daemon run in."""


def moves(ref: str) -> bool:
    """Return whether a Git ref may name another commit tomorrow."""
    return _COMMIT.fullmatch(ref) is None


def affected(config: Config, on: date) -> tuple[Release, ...]:
    """Return the releases that are supported on a given day and known to have a defect."""
    return tuple(
        row.release
        for row in catalogue.listing(config, on)
        if row.support in (Support.SUPPORTED, Support.LTS)
        and row.release.version
        and catalogue.HAS in row.defects.values()
    )


def workflow(
    ci: str, repository: str, ref: str, releases: Sequence[Release], images: Images | None = None
) -> str:
    """Return the workflow of a CI (a key of PATHS), as YAML.

    ``repository`` is where git fetches respin from, ``ref`` the branch, tag or commit. Raises
    UsageError for a text that is not safe in a shell command, if there is no release, for an image
    without a digest, and for the image of a release that is not built.
    """
    images = images or Images()
    if not _REPOSITORY.fullmatch(repository):
        raise UsageError(
            f"{repository!r} is not an address that git can fetch from",
            hint="give one such as https://git.example.org/iproute2-respin.git",
        )
    if not _REF.fullmatch(ref) or ".." in ref:
        raise UsageError(f"{ref!r} is not the name of a branch, a tag or a commit")
    if not releases:
        raise UsageError("there is no release to build for", hint="name one with --release")
    _check(images, releases)
    digest = hashlib.sha256(repository.encode()).digest()
    return render(
        f"ci/{ci}.yml.j2",
        repository=repository,
        ref=ref,
        releases=releases,
        images=images,
        minute=digest[0] % 60,
        hour=1 + digest[1] % 4,
    )


def _check(images: Images, releases: Sequence[Release]) -> None:
    named = [*images.base.values(), images.docker]
    for each in [*named, images.tools] if images.tools else named:
        if not _PINNED.fullmatch(each):
            raise UsageError(
                f"{each!r} is not an image by its digest",
                hint="write NAME@sha256:DIGEST; docker buildx imagetools inspect NAME prints it",
            )
    unused = set(images.base) - {release.codename for release in releases}
    if unused:
        raise UsageError(
            f"an image is given for {', '.join(sorted(unused))}, but that release is not built",
            hint="name the release with --release as well",
        )
