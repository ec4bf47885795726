"""What builds packages in a CI of the user's, with the Dockerfile: GitHub, GitLab."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import date

from pipeline import catalogue
from pipeline.config import Config
from pipeline.data import render
from pipeline.distroinfo import Support
from pipeline.errors import UsageError
from pipeline.model import Release

PATHS = {"github": ".github/workflows/iproute2.yml", "gitlab": ".gitlab-ci.yml"}
"""Where each CI looks for its workflow, below a repository's top."""

_REPOSITORY = re.compile(r"(https?|ssh|git)://[\w.@:-]+/[\w./~@:+-]+|[\w.-]+@[\w.-]+:[\w./~+-]+")
_REF = re.compile(r"[\w][\w./+-]{0,254}")


def affected(config: Config, on: date) -> tuple[Release, ...]:
    """Return the releases that are supported on a day and are known to have a defect."""
    return tuple(
        row.release
        for row in catalogue.listing(config, on)
        if row.support in (Support.SUPPORTED, Support.LTS)
        and row.release.version
        and catalogue.HAS in row.defects.values()
    )


def workflow(ci: str, repository: str, ref: str, releases: Sequence[Release]) -> str:
    """Return the workflow of a CI (a key of PATHS), as YAML.

    ``repository`` is where git fetches respin from, ``ref`` the branch, tag or commit.
    Raises UsageError for what cannot stand in a shell's line, or if there is no release.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise UsageError(
            f"{repository!r} is not an address that git fetches from",
            hint="give one such as https://git.example.org/iproute2-respin.git",
        )
    if not _REF.fullmatch(ref) or ".." in ref:
        raise UsageError(f"{ref!r} is not the name of a branch, a tag or a commit")
    if not releases:
        raise UsageError("there is no release to build for", hint="name one with --release")
    digest = hashlib.sha256(repository.encode()).digest()
    return render(
        f"ci/{ci}.yml.j2",
        repository=repository,
        ref=ref,
        releases=releases,
        minute=digest[0] % 60,
        hour=1 + digest[1] % 4,
    )
