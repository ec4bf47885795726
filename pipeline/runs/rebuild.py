# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the packages of an earlier run again, from its lock, and compare them byte for byte."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import BuildError, NotVerified
from pipeline.host import command
from pipeline.host.progress import Journal
from pipeline.isolation import lent, sandbox
from pipeline.runs import single_stage
from pipeline.runs.request import Request

DIFFOSCOPE = "diffoscope"
TIMEOUT = 900.0
SHOWN = 200
"""Lines of diffoscope's that are shown."""


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """What was made again."""

    files: Mapping[str, str]
    """Name -> SHA-256: the .debs, and the patched .dsc."""
    directory: Path
    """Where the .debs are."""


def again(request: Request, place: Path, journal: Journal | None = None) -> Rebuilt:
    """Patch and build with the inputs of ``request.locked``, in ``place``; prove nothing.

    It compiles everything, without the ccache of other builds.

    Raises the errors of the stages: FetchError if a package of the lock is gone from everywhere,
    and BuildError if the lock does not say what was in the build's root.
    """
    # Whoever put a back door into the run may have put it into the ccache of this machine, too.
    request = replace(request, fresh=True)
    locked = request.locked
    assert locked
    if not locked.root:
        raise BuildError(
            f"{locked.path} does not list the packages of the build's root",
            details="It was an image or a machine, whose packages come from no index.",
            hint="nobody can make these packages again from the lock alone",
        )
    patched = single_stage.patch_only(request, place / "patched", journal).patched
    if patched is None:
        raise NotVerified(
            f"this respin finds nothing to fix in {locked.name} {locked.version}",
            hint="use the version of respin that made the run",
        )
    built = single_stage.build_only(request, place / "patched", place / "built", journal).built
    assert built
    files = {deb.path.name: deb.sha256 for deb in built.debs}
    return Rebuilt(
        files={patched.dsc.name: patched.sha256, **files}, directory=place / "built/debs"
    )


def difference(given: Path, made: Path) -> str:
    """Return in diffoscope's words how two packages differ; a sentence if it is not installed.

    It reads them in the sandbox: they may come from anybody.
    """
    if command.which(DIFFOSCOPE) is None:
        return f"install {DIFFOSCOPE} to see how {given.name} differs"
    with lent.lent(None, "respin-compare-") as work:
        for name, path in (("given", given), ("made", made)):
            (work / name).mkdir()
            shutil.copyfile(path, work / name / path.name)
        done = sandbox.run(
            [
                DIFFOSCOPE,
                "--max-text-report-size=100000",
                "--text=-",
                f"given/{given.name}",
                f"made/{made.name}",
            ],
            directory=work,
            timeout=TIMEOUT,
            check=False,
            error=NotVerified,
            brief=f"{DIFFOSCOPE} could not compare the packages",
        )
    lines = done.text.splitlines()
    more = [f"… and {len(lines) - SHOWN} more lines"] if len(lines) > SHOWN else []
    return "\n".join([*lines[:SHOWN], *more]) or command.tail(done.end)
