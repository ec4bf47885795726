# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad input for respin: every command, every option, hundreds of inputs.

Each call ends with one sentence and its exit code. There is no traceback and no waiting, and
nothing is left in the place, in the directory for temporary files or in the cache's work/. The
tables are in tests/support/inputs. If you add an option, add its rows.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from support import cli, real, things  # noqa: E402
from support.inputs import contents, files, words  # noqa: E402
from support.inputs.rows import Row  # noqa: E402

DRIVER = Path(cli.__file__).with_name("everyinput.py")
SECONDS = 60.0
"""After which a call hangs: none takes more than 3 on an idle machine."""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return things.make(tmp_path_factory.mktemp("things"))


def seen(directory: Path) -> list[str]:
    """Return what is in a directory: names, kinds and sizes."""
    found = []
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        found.append(f"{path} {stat.filemode(status.st_mode)} {status.st_size}")
    return found


class Played:
    """A row, and the directories in which it is called."""

    def __init__(self, row: Row, top: Path, given: dict[str, str]) -> None:
        self.row, self.top, self.given = row, top, given
        self.place = top / "place"
        for name in ("place", "home", "tmp"):
            (top / name).mkdir(parents=True)
        real.checked(top / "cache")
        for name, thing in row.here.items():
            (self.place / name).symlink_to(self.fill(thing))
        self.before = seen(self.place)

    def fill(self, text: str) -> str:
        """Put things in the place of their names."""
        for name, thing in self.given.items():
            text = text.replace(f"{{{name}}}", thing)
        return text.replace("{top}", str(self.top))

    def call(self) -> dict[str, object]:
        """Return what the driver is told."""
        own = {
            "HOME": str(self.top / "home"),
            "TMPDIR": str(self.top / "tmp"),
            "RESPIN_CACHE": str(self.top / "cache"),
            "RESPIN_STATE": str(self.top / "state"),
            "RESPIN_CONFIG": None,
            "XDG_CACHE_HOME": None,
            "XDG_CONFIG_HOME": None,
        }
        named = {k: v if v is None else self.fill(v) for k, v in self.row.env.items()}
        return {
            "argv": [self.fill(word) for word in self.row.words],
            "cwd": str(self.place),
            "env": own | named,
            "out": self.row.out or str(self.top / "out"),
            "err": self.row.err or str(self.top / "err"),
            "closed": self.row.closed,
            "limits": dict(self.row.limits),
            "gone": self.row.gone,
            "seconds": SECONDS,
        }

    def faults(self, status: int | None) -> list[str]:
        """Return what is wrong with how it ended."""
        said = (self.top / "err").read_text() if (self.top / "err").exists() else ""
        out = (self.top / "out").read_text() if (self.top / "out").exists() else ""
        wrong = []
        if status is None:
            return ["it hangs"]
        if status != self.row.code:
            wrong.append(f"exit code {status}, not {self.row.code}")
        if "Traceback" in said + out:
            wrong.append("a traceback")
        silent = self.row.err or 2 in self.row.closed
        begins = ("respin: ", self.row.says or "respin: ")
        if self.row.code and not silent and not said.startswith(begins):
            wrong.append("no sentence")
        if self.row.code and out and not self.row.prints:
            wrong.append("words on standard output")
        if self.row.says and self.row.says not in said:
            wrong.append(f"not a word of {self.row.says!r}")
        wrong += self.left()
        return [*wrong, said[-1500:]] if wrong else []

    def left(self) -> list[str]:
        """Return what is left."""
        wrong = []
        if not self.row.gone and seen(self.place) != self.before:
            wrong.append(f"the place is not as it was: {seen(self.place)}")
        if any((self.top / "tmp").iterdir()):
            wrong.append(f"left: {seen(self.top / 'tmp')}")
        work = self.top / "cache/work"
        if work.is_dir() and any(work.iterdir()):
            wrong.append(f"left: {seen(work)}")
        return wrong


def play(rows: list[Row], directory: Path, given: dict[str, str]) -> list[str]:
    """Call respin with every row; return what is wrong, in words."""
    played = [Played(row, directory / f"{n:04}", given) for n, row in enumerate(rows)]
    path = ":".join([str(cli.CHECKOUT), str(cli.CHECKOUT / "tests")])
    done = subprocess.run(
        [sys.executable, "-W", "error", DRIVER],
        input="".join(json.dumps(each.call()) + "\n" for each in played),
        env={**os.environ, "PYTHONPATH": path},
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stderr
    ended = {n: status for n, status, _ in map(json.loads, done.stdout.splitlines())}
    findings = []
    for number, each in enumerate(played):
        if wrong := each.faults(ended[number]):
            findings.append(f"{each.row.name}\n    " + "\n    ".join(wrong))
    return findings


@pytest.mark.bad_input
@pytest.mark.parametrize("table", [files, words, contents], ids=lambda table: table.__name__)
def test_what_cannot_be_taken(
    table: object,
    tmp_path: Path,
    given: dict[str, str],
    count: Callable[[str, int], None],
) -> None:
    rows = list(table.rows())  # type: ignore[attr-defined]
    assert len({row.name for row in rows}) == len(rows)
    findings = play(rows, tmp_path, given)
    faults = sum(row.kind == "fault" for row in rows)
    count("bad_input", len(rows) - faults)
    if faults:
        count("fault", faults + 1)
    assert not findings, f"{len(findings)} of {len(rows)}:\n" + "\n".join(findings)
