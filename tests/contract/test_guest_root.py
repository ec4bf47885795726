# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's root: dpkg finds the packages installed, and none of their programs was started."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
from pathlib import Path

import pytest
from support import packages

from pipeline.archives import host_apt
from pipeline.errors import SmokeImpossible
from pipeline.vm import guest_root

NATIVE = host_apt.architecture()
SCRIPTS = ("preinst", "postinst", "prerm", "postrm", "config")


def made(directory: Path, *debs: Path) -> Path:
    """Return the tree of a root of these packages."""
    (directory / "work").mkdir()
    guest_root.write(debs, directory / "root.tar", work=directory / "work", log=None)
    assert list((directory / "work").iterdir()) == []
    (directory / "root").mkdir()
    with tarfile.open(directory / "root.tar") as tar:
        assert {(member.uid, member.gid) for member in tar.getmembers()} == {(0, 0)}
    subprocess.run(["tar", "-xpf", directory / "root.tar", "-C", directory / "root"], check=True)
    return directory / "root"


def query(root: Path, *argv: str) -> str:
    """Return what dpkg-query says of a root."""
    asked = ["dpkg-query", f"--admindir={root / 'var/lib/dpkg'}", *argv]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout


@pytest.mark.attack
def test_no_program_of_a_package_runs(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {mark}\n")
    script.chmod(0o755)
    programs = {f"DEBIAN/{name}": script for name in SCRIPTS}
    deb = packages.make_deb(tmp_path, "marks", programs=programs)
    root = made(tmp_path, deb)
    assert not mark.exists()
    # It is recorded as if it had run: the guest's dpkg calls these when the package is replaced.
    for name in SCRIPTS:
        kept = root / f"var/lib/dpkg/info/marks.{name}"
        assert kept.read_text() == script.read_text() and kept.stat().st_mode & 0o111
    # The same script, called, leaves the mark.
    subprocess.run([kept], check=True)
    assert mark.exists()


def test_a_directory_comes_before_what_is_in_it(tmp_path: Path) -> None:
    """The kernel makes none of its own, and /bin of a package is in /usr here."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    deb = packages.make_deb(
        tmp_path, "early", programs={"bin/early": script, "usr/bin/late": script}
    )
    made(tmp_path, deb)
    with tarfile.open(tmp_path / "root.tar") as tar:
        names = [member.name for member in tar.getmembers()]
    assert "usr/bin/early" in names
    for n, name in enumerate(names):
        above = name.rpartition("/")[0]
        assert not above or above in names[:n], name


def test_dpkg_finds_the_packages_installed(tmp_path: Path) -> None:
    fields = {"Multi-Arch": "same"}
    text = "a = 1\n"
    has: dict[str, dict[str, str]] = {
        "tool": {"bin/tool": "x", "etc/tool.conf": text, "DEBIAN/conffiles": "/etc/tool.conf\n"},
        "library": {"lib/l/a.so": "a"},
        "more": {"usr/lib/l/b.so": "b"},
    }
    for own in has.values():
        own["DEBIAN/md5sums"] = ""  # dpkg --audit misses them
    made_of = [
        packages.make_deb(
            tmp_path,
            "tool",
            "1:2.0-1",
            architecture=NATIVE,
            fields={"Depends": "library (>= 1)"},
            files=has["tool"],
        ),
        packages.make_deb(
            tmp_path, "library", architecture=NATIVE, fields=fields, files=has["library"]
        ),
        packages.make_deb(tmp_path, "more", files=has["more"], compress="xz"),
    ]
    root = made(tmp_path, *made_of)
    form = "${binary:Package} ${Version} ${Architecture} ${Status}\n"
    assert sorted(query(root, "-W", f"--showformat={form}").splitlines()) == [
        f"library:{NATIVE} 1.0-1 {NATIVE} install ok installed",
        "more 1.0-1 all install ok installed",
        f"tool 1:2.0-1 {NATIVE} install ok installed",
    ]
    sums = hashlib.md5(text.encode()).hexdigest()
    said = query(root, "-W", "--showformat=${Conffiles}", "tool").split()
    assert said == ["/etc/tool.conf", sums]
    assert "/bin/tool\n" in query(root, "--listfiles", "tool")
    # Everything is in /usr, and where it was before by the links.
    assert (root / "lib").readlink() == Path("usr/lib")
    assert {p.name for p in (root / "lib/l").iterdir()} == {"a.so", "b.so"}
    assert (root / "usr/bin/tool").is_file() and (root / "bin/tool").is_file()
    audit = ["dpkg", f"--admindir={root / 'var/lib/dpkg'}", "--audit"]
    assert subprocess.run(audit, check=True, capture_output=True, text=True).stdout == ""


def test_what_some_packages_do_when_they_are_configured(tmp_path: Path) -> None:
    master = "usr/share/base-passwd/{}.master"
    users = {master.format("passwd"): "root:*:0:0::/root:/bin/sh\n", master.format("group"): "g\n"}
    root = made(
        tmp_path,
        packages.make_deb(tmp_path, "base-passwd", files=users),
        packages.make_deb(tmp_path, "mawk", files={"usr/bin/mawk": "x"}),
        packages.make_deb(tmp_path, "dash", files={"bin/dash": "x", "bin/sh": "own"}),
    )
    assert (root / "etc/passwd").read_text() == users[master.format("passwd")]
    assert (root / "etc/group").read_text() == "g\n"
    assert (root / "usr/bin/awk").readlink() == Path("mawk")
    # What a package has itself stays.
    assert (root / "bin/sh").read_text() == "own"


def test_a_file_that_is_no_package(tmp_path: Path) -> None:
    bad = tmp_path / "bad.deb"
    bad.write_bytes(b"!<arch>\n")
    with pytest.raises(SmokeImpossible, match="could not read the packages of the guest's root"):
        made(tmp_path, bad)
