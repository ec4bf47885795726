# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The stages diagnose and patch of one run, and the check of their results."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.errors import DiagnosisRefused, FetchError, PatchError
from pipeline.fixes import diagnose, own_patches, patch, self_check, versions
from pipeline.fixes.fixes import Fix
from pipeline.model import Fate, Finding, Patched, Source, UserPatch, Verdict
from pipeline.runs.context import RunContext
from pipeline.runs.inputs import Inputs
from pipeline.runs.request import PACKAGE
from pipeline.source import fetch


class Patching:
    """The defects of the source, and the source package without them."""

    def __init__(self, context: RunContext, inputs: Inputs) -> None:
        self._context, self._inputs = context, inputs

    def check_coccinelle(self) -> None:
        """Raise UsageError now if this machine's Coccinelle does not do what the fixes need."""
        self_check.check(self._context.request.cache, self._context.request.fixes)

    def diagnose(self, tree: Path) -> tuple[Finding, ...]:
        """Return the verdict of every fix."""
        fixes = self._context.request.fixes
        with self._context.progress.stage("diagnose") as stage:
            return diagnose.diagnose(tree, fixes, libraries=self._inputs.libraries(), stage=stage)

    def own(self, tree: Path) -> tuple[UserPatch, ...]:
        """Say what comes of the user's own patches on a source that needs no fix."""
        with self._context.progress.stage("patch"):
            work = self._context.scratch / "own"
            try:
                return own_patches.apply(tree, self._context.request.patches, work).fates
            except OSError as e:
                raise PatchError("respin could not edit the source tree", details=str(e)) from e

    def patch(self, source: Source, tree: Path, needed: Sequence[Fix]) -> Patched:
        """Return the new source package; ``tree`` is what ``source`` unpacks to.

        It has the patches of the ``needed`` fixes, and the user's own.
        """
        with self._context.progress.stage("patch") as stage:
            return patch.patch(
                source,
                tree,
                needed,
                self._context.directory.path / "patched",
                own=self._context.request.patches,
                number=self._context.request.number,
                log=self._context.directory.log("patch"),
                stage=stage,
            )

    def check(self, patched: Patched) -> None:
        """Check the new source package against the diagnosis.

        No fix that was applied may still be needed, nor be hidden by a patch of the user's.
        """
        work = self._context.scratch / "checked"
        work.mkdir()
        try:
            copy = work / "patched"
            made = fetch.local(patched.dsc, copy, patched.source.release)
            made = replace(made, indexed=patched.source.indexed)
            tree = self._inputs.unpack(made, "checked/tree", "patch")
            findings = diagnose.diagnose(
                tree, self._context.request.fixes, libraries=self._inputs.libraries()
            )
        except (FetchError, DiagnosisRefused) as e:
            raise PatchError(
                f"the patched source is broken: {e.brief}",
                details=e.details,
                hint="what the source says of how it is packed may be the reason: see its "
                "debian/source/options",
            ) from e
        names = {each.name for each in patched.own if each.fate is Fate.APPLIED}
        own = [each for each in self._context.request.patches if each.name in names]
        own_patches.check_there(tree, own, work / "own")
        left = [f.fix for f in findings if f.verdict not in (Verdict.FIXED, Verdict.ABSENT)]
        if left and not self._context.request.no_fixes:
            raise PatchError(
                f"the patched source still needs {', '.join(left)}"
                + (", or a patch of your own hides that it is fixed" if own else ""),
                hint="leave out of your patch what concerns the BPF loader"
                if own
                else "please report this source as a bug",
            )
        shutil.rmtree(work)

    def check_version(self, patched: Patched) -> None:
        """Check that the version keeps the law among the real versions of the archive."""
        archive = self._inputs.archive
        listed = [each.version for each in archive.versions(PACKAGE)]
        listed += archive.binary_versions(PACKAGE)
        versions.check_against(patched.version, listed, base=patched.source.version)
