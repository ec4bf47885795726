# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Is the Coccinelle of this machine one that the semantic patches were written for?

Its versions differ in the syntax of regular expressions and in what they print, and one without
Python scripting reports nothing (docs/facts.md). On a source, all this would look like code that
nobody knows. So each fix has a sample, a tiny source with the defect, in its directory sample/: a
version that was not seen before has to find the defect there, to fix it, and to see that it is
fixed. Most of the time goes into reading the semantic patches, so each is read once; a success is
kept in the cache.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import DiagnosisRefused, PatchError, RespinError, UsageError
from pipeline.files import bounded
from pipeline.fixes import coccinelle, diagnose
from pipeline.fixes.fixes import Fix
from pipeline.host import command
from pipeline.host.cache import Cache, digest
from pipeline.host.resources import project_data
from pipeline.isolation import sandbox
from pipeline.model import Verdict

KNOWN = ("1.1.1", "1.3")
"""The versions of Coccinelle that were seen to work: Debian 12's and 13's (docs/facts.md)."""

KIND = "self-checks"
"""The kind of these cache entries."""

HINT = f"versions {' and '.join(KNOWN)} of Coccinelle are known to work (Debian 12's and 13's)"


def found() -> str:
    """Return what the Coccinelle of this machine says of itself. Raises UsageError if it is none.

    Its first line is ``spatch version 1.1.1 compiled with OCaml version 4.13.1``.
    """
    said = sandbox.run(
        ["spatch", "--version"],
        directory=None,
        timeout=60,
        error=UsageError,
        brief="spatch, of Coccinelle, does not say which version it is",
        hint=f"apt-get install coccinelle libpython3-dev; {HINT}",
    )
    return said.text


def version(said: str) -> str:
    """Return the version of Coccinelle from its own words."""
    match = re.search(r"spatch version (\S+)", said)
    return match[1] if match else "of an unknown version"


def check(cache: Cache, fixes: Sequence[Fix]) -> str:
    """Return the version of Coccinelle; the outcome of its self-check is kept in the cache.

    Raises UsageError, with the version found and the versions known to work, if it does not do what
    these fixes need.
    """
    said = found()
    number = version(said)
    if re.search(r"(?m)^Python scripting support: no", said):
        raise UsageError(
            f"the Coccinelle of this machine (version {number}) was built without Python "
            "scripting, which the diagnosis needs",
            details=said.strip(),
            hint=f"install the distro's: apt-get install coccinelle libpython3-dev; {HINT}",
        )
    files = [p for fix in fixes for p in sorted(fix.directory.rglob("*")) if p.is_file()]
    files.append(project_data("patches", "fixes.iso"))
    contents = [bounded.read(path, bounded.SMALL) for path in files]

    def make(part: Path) -> None:
        with command.threads(len(fixes) or 1) as pool:
            tries = [pool.submit(_try, fix, number) for fix in fixes]
            for done in tries:  # in their order: the first error is the one to show
                done.result()
        part.write_text(said)

    cache.entry(KIND, digest(said, *contents), make)
    return number


def _try(fix: Fix, number: str) -> None:
    """Apply a fix to a copy of its sample, and diagnose both. Raises UsageError."""
    libraries = {fix.requires.build_depends: fix.requires.since} if fix.requires else {}
    with tempfile.TemporaryDirectory(prefix="respin-sample-") as work:
        _, after = trees = [Path(work, name) for name in ("before", "after")]
        for tree in trees:
            _copy(fix.directory / "sample", tree)
        try:
            coccinelle.apply(
                [after], fix.fix_cocci, fix.files, error=PatchError, brief="it could not be fixed"
            )
            found = diagnose.diagnose_all(trees, [fix], libraries=libraries)
        except (DiagnosisRefused, PatchError) as e:
            raise _unknown(fix, number, f"{e.brief}\n{e.details}") from e
    verdicts = [finding.verdict for (finding,) in found]
    if verdicts != [Verdict.NEEDED, Verdict.FIXED]:
        told = (
            f"The fix is needed in its sample, and Coccinelle's verdict is {verdicts[0]}; with the "
            f"fix, it is {verdicts[1]}."
        )
        raise _unknown(fix, number, told)


def _copy(sample: Path, tree: Path) -> None:
    for path in sample.rglob("*"):
        if path.is_file():
            copy = tree / path.relative_to(sample)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(bounded.read(path, bounded.SMALL))


def _unknown(fix: Fix, number: str, details: str) -> RespinError:
    if fix.own:
        return UsageError(
            f"the fix {fix.name} does not do in its own sample what it says",
            details=details.strip(),
            hint="try diagnose.cocci and fix.cocci on the sample with spatch; docs/fixes.md says "
            "what they have to do",
        )
    return UsageError(
        f"the Coccinelle of this machine (version {number}) fails the self-check of the fix "
        f"{fix.name}, so its verdicts on a source would be wrong",
        details=details.strip(),
        hint=f"{HINT}; if it cannot run Python, apt-get install libpython3-dev",
    )
