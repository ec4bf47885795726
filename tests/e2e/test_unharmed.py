# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Without a fix, whatever the distro's package loads of the whole matrix must load afterwards."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import breakages, real
from support.filled import filled

from pipeline.errors import SmokeFailed
from pipeline.fixes import fixes
from pipeline.host import command
from pipeline.host.progress import Progress
from pipeline.model import GOOD, Artifact, Built, Finding, SmokeReport, Verdict, VerifiedFile
from pipeline.runs.proving import Proving
from pipeline.runs.request import Request
from pipeline.smoke import cases, smoke

BROKEN = "no-map"
"""A case that Debian's package loads, and that is not in the short set."""
TC = f"""#!/bin/sh
case "$*" in
*/{BROKEN}-tc.o*) echo 'a patch that went wrong' >&2; exit 1 ;;
esac
exec /sbin/tc.sound "$@"
"""


def prove(after: str, directory: Path) -> SmokeReport:
    """Prove Debian's package against itself with another tc, as a run without fixes does."""
    distro = real.archive().fetch_binary("iproute2", None, directory / "deb")
    tree = directory / "tree"
    command.run(["dpkg-deb", "--raw-extract", distro.path, tree])
    if after:
        (tree / "sbin/tc").rename(tree / "sbin/tc.sound")
        (tree / "sbin/tc").write_text(after)
        (tree / "sbin/tc").chmod(0o755)
    deb = breakages.repack(tree, f"{real.VERSION}+bpf1", directory / "iproute2_test.deb")
    request = filled(Request, fixes=fixes.all_fixes(), no_fixes=True, cache=real.cache())
    place = SimpleNamespace(path=directory, logs=directory, log=lambda name: directory / name)
    context: Any = SimpleNamespace(request=request, directory=place, progress=Progress())
    coming: Future[Built] = Future()
    coming.set_result(filled(Built, debs=(filled(Artifact, path=deb),)))
    return Proving(context, None).smoke(  # type: ignore[arg-type]
        smoke.prepare(real.archive(), real.cache(), log_dir=directory),
        [filled(VerifiedFile, path=distro.path)],
        coming,
        (),
        [filled(Finding, fix="libbpf-legacy-maps", verdict=Verdict.NEEDED)],
    )


def test_one_case_that_is_not_in_the_short_set(tmp_path: Path) -> None:
    assert not any(case.default for case in cases.select([BROKEN]))
    with pytest.raises(SmokeFailed) as failed:
        prove(TC, tmp_path)
    assert failed.value.exit_code == 14
    lines = failed.value.details.splitlines()
    assert [line for line in lines if ", before: " in line or ", after: " in line] == [lines[0]]
    assert lines[0].startswith(f"{BROKEN} (tc), after: expected: loads (so does the distro's")
    assert lines[-1] == "a patch that went wrong"


def test_the_same_tc(tmp_path: Path) -> None:
    """The control."""
    seen = prove("", tmp_path)
    assert len(seen.cases) == len(cases.select(None, whole=True))
    good = [row for row in seen.cases if row.before.seen in GOOD]
    assert all(row.after and row.after.seen is row.before.seen for row in good)
    short = {case.id for case in cases.select(None)}
    more = {f"{row.case}-{row.way}" for row in good} - short
    assert seen.kept == len(good) and f"{BROKEN}-tc" in more
