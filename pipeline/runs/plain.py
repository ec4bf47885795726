# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Patch an upstream tree that has no debian/: leave the patches, and nothing else.

They are the same in every format; it only says where they are put.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.files import bounded, own_files
from pipeline.fixes import diagnose, plain_patch, self_check
from pipeline.fixes.fixes import Fix
from pipeline.fixes.plain_patch import PlainPatch
from pipeline.host.cache import Cache
from pipeline.host.progress import Journal, Progress
from pipeline.isolation import lent, sandbox
from pipeline.model import Finding
from pipeline.source import local_tree, source_tree


class Format(StrEnum):
    """Where the patches are put."""

    GIT = "git"
    """In the directory itself, as by git format-patch."""
    QUILT = "quilt"
    """In patches/, with their names in patches/series."""
    EBUILD = "ebuild"
    """In sys-apps/iproute2/, as in Gentoo's /etc/portage/patches."""


PLACES = {Format.GIT: ".", Format.QUILT: "patches", Format.EBUILD: "sys-apps/iproute2"}


@dataclass(frozen=True, kw_only=True)
class PlainPatches:
    """What came of it."""

    findings: tuple[Finding, ...]
    patches: tuple[Path, ...]
    """Empty if the tree needs no fix."""


def is_plain(tree: Path) -> bool:
    """Return whether a tree is an upstream one, and no package's."""
    return not os.path.lexists(tree / "debian")


def patch(
    tree: Path,
    fixes: Sequence[Fix],
    cache: Cache,
    out: Path,
    form: Format = Format.GIT,
    journal: Journal | None = None,
    *,
    trust_container: bool = False,
) -> PlainPatches:
    """Write the patches of the ``fixes`` that a tree needs below ``out``; it is not changed.

    A fix that depends on how the tree is built counts as needed, with a condition in its finding.
    Raises FetchError if the tree must not be read, DiagnosisRefused if it is not understood,
    PatchError, and UsageError if a patch cannot be written or is there already.
    """
    sandbox.admit(str(tree), indexed=False, trust_container=trust_container)
    diagnose.require_loader(tree)
    self_check.check(cache, fixes)
    progress = Progress(journal)
    with lent.lent(None, "respin-tree-") as work:
        copy = work / "tree"
        source_tree.copy(tree, copy, local_tree.LIMIT)
        source_tree.settle(copy, "")
        with progress.stage("diagnose") as stage:
            findings = diagnose.diagnose(copy, fixes, libraries={}, stage=stage)
        needed = diagnose.needed_fixes(fixes, findings)
        with progress.stage("patch"):
            made = plain_patch.make(copy, needed, work)
    return PlainPatches(findings=findings, patches=_written(made, out / PLACES[form], form))


def _written(made: Sequence[PlainPatch], directory: Path, form: Format) -> tuple[Path, ...]:
    paths = [directory / each.name for each in made]
    there = [path for path in paths if os.path.lexists(path)]
    if there:
        raise UsageError(
            f"{there[0]} already exists", hint="remove it, or name another directory with --out"
        )
    series = directory / "series"
    try:
        if made:
            directory.mkdir(parents=True, exist_ok=True)
        for path, each in zip(paths, made, strict=True):
            own_files.write(path, each.text)
        if made and form is Format.QUILT:
            listed = ""
            if os.path.lexists(series):
                listed = bounded.text(series, bounded.SMALL, errors="surrogateescape")
            listed += "\n" if listed and not listed.endswith("\n") else ""
            own_files.write(series, listed + "".join(f"{each.name}\n" for each in made))
    except OSError as e:
        raise UsageError(
            f"respin could not write {e.filename or directory}: {e.strerror}",
            hint="name another directory with --out",
        ) from e
    return tuple(paths)
