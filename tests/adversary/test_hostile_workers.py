# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The attacker has a worker of a Buildbot master, and uploads what they like in place of a run. The
aim is to write or read elsewhere on the master, or to fill its disk.

What is in a directory that was unpacked is for `respin nightly --collect` (test_forged_runs).
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from support.engines import Master

UNPACK = """
values["FILES"] = 5
for archive in sorted(Path(basedir).glob("*.tar")):
    try:
        values["unpack"](archive, archive.with_suffix(""))
        print(json.dumps("good"))
    except (OSError, ValueError, values["tarfile"].TarError) as e:
        print(json.dumps(str(e)))
"""


def archive(path: Path, *members: tuple[str, bytes, str]) -> None:
    """Write an archive: name, type, and content or where a link leads."""
    with tarfile.open(path, "w") as tar:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = content
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content.encode()))


FILE = tarfile.REGTYPE
HOSTILE: dict[str, tuple[str, list[tuple[str, bytes, str]]]] = {
    "a path upwards": ("leads out of", [("../evil", FILE, "x")]),
    "an absolute path": ("leads out of", [("/tmp/evil", FILE, "x")]),
    "a link": ("not a plain file", [("a", tarfile.SYMTYPE, "/etc"), ("a/evil", FILE, "x")]),
    "a hard link": ("not a plain file", [("a", tarfile.LNKTYPE, "/etc/passwd")]),
    "a device": ("not a plain file", [("a", tarfile.CHRTYPE, "")]),
    "a FIFO": ("not a plain file", [("a", tarfile.FIFOTYPE, "")]),
    "one file twice": ("File exists", [("a", FILE, "x"), ("a", FILE, "y")]),
    "a file as a directory": ("File exists", [("a", FILE, "x"), ("a/b", FILE, "y")]),
    "too many files": ("more than 5 files", [(f"{n}", FILE, "x") for n in range(6)]),
}


@pytest.mark.attack
def test_an_upload_that_leads_elsewhere(tmp_path: Path) -> None:
    """Of a hostile or broken archive nothing is left, and nothing outside of it has been made."""
    for number, (_, members) in enumerate(HOSTILE.values(), 1):
        archive(tmp_path / f"{number}.tar", *members)
    archive(tmp_path / "cut.tar", ("a", FILE, "x" * 5000))
    (tmp_path / "cut.tar").write_bytes((tmp_path / "cut.tar").read_bytes()[:3000])
    archive(tmp_path / "run.tar", (".", tarfile.DIRTYPE, ""), ("./logs/a", FILE, "x"))
    master = Master(tmp_path)
    before = sorted(tmp_path.iterdir())
    *said, cut, good = map(json.loads, master.call(UNPACK).splitlines())
    for expected, found in zip(HOSTILE.values(), said, strict=True):
        assert expected[0] in found
    assert (cut, good) == ("unexpected end of data", "good")
    assert (tmp_path / "run/logs/a").read_text() == "x"
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "run"])
    assert not Path("/tmp/evil").exists() and not (tmp_path.parent / "evil").exists()
