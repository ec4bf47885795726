# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/fixes.md, from an empty directory to a proven package, as it stands there."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from support import cli, fixpage, real

pytestmark = pytest.mark.e2e


def test_the_walk(tmp_path: Path) -> None:
    files, commands = fixpage.walk()
    assert {Path(name).parts[0] for name in files} == {fixpage.NAME} and len(files) == 6
    first, *calls = commands
    subprocess.run(shlex.split(first), cwd=tmp_path, check=True)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    said = []
    for line in calls:
        program, *words = shlex.split(line)
        assert program == "respin"
        said.append(cli.respin(*words, cache=real.cache().root, cwd=tmp_path))
        assert said[-1].status == 0, said[-1].err
    diagnosed, _ = said
    assert "section-or-name: needed if it is built with libbpf-dev" in diagnosed.err
    report = json.loads((tmp_path / "proven/report.json").read_text())
    assert report["outcome"] == "fixed" and report["patched"]["fixes"] == [fixpage.NAME]
    seen = {
        case["case"]: (case["before"]["seen"], case["after"]["seen"])
        for case in report["smoke"]["cases"]
    }
    assert seen["function-as-section"] == ("refused", "loads")
    # What it is not about stays as it was.
    assert seen["btf-maps"] == ("loads", "loads") and seen["pinned-hash"] == ("refused", "refused")
    patch = tmp_path / "proven/patched/patches/respin-section-or-name.patch"
    assert "+\t\t       !strcmp(bpf_program__name(prog), section);" in patch.read_text()
    kept = tmp_path / "proven/user-fixes" / fixpage.NAME
    assert all((kept.parent / name).read_text() == text for name, text in files.items())
