# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The attacker writes a line in a list of packages that `make` installs as root, or gives one of
our scripts something to read. The aim is an option, a path, a pattern or a shell word in place of
a package's name, or the removal of a package that this machine needs.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support import project
from support.cli import CHECKOUT

from pipeline.archives import host_apt
from pipeline.host.resources import render
from pipeline.isolation import namespaces

STAND_IN = """\
#!/bin/sh
case ${0##*/} in
dpkg-query) [ "$3" != there ] || echo installed ;;
id) echo 0 ;;
apt-cache) [ "$4" = old-name ] ;;
*) printf '%s\\n' "${0##*/} $*" >>"$LOG" ;;
esac
"""


@pytest.fixture
def listed(tmp_path: Path) -> Callable[[str], tuple[int, str, list[str]]]:
    """Return what tools/install-packages does with a list: status, words, apt-get's calls."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("dpkg-query", "apt-get", "apt-cache", "id", "sudo"):
        (programs / name).write_text(STAND_IN)
        (programs / name).chmod(0o755)
    log = tmp_path / "log"

    def play(text: str) -> tuple[int, str, list[str]]:
        log.write_text("")
        (tmp_path / "packages.txt").write_text(text)
        done = subprocess.run(
            ["sh", CHECKOUT / "tools/install-packages", "packages.txt"],
            cwd=tmp_path,
            env={"PATH": f"{programs}:/usr/bin:/bin", "LOG": str(log)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr, log.read_text().splitlines()

    return play


@pytest.mark.attack
@pytest.mark.parametrize(
    "name",
    [
        *("-oAPT::Update::Pre-Invoke::=reboot", "--allow-unauthenticated", "-y", "iproute2-"),
        *("a/../../evil.deb", "./evil.deb", "/tmp/evil.deb", "http://x/evil.deb", "*", "?name(x)"),
        *("$(reboot)", "`reboot`", "a;reboot", "foo=1.0", "foo/unstable", "foo:i386", "lib.*", "."),
        *("a-name|-y", "a-name|b*", "a-name|", "|a-name", "a-name||b-name", "a-name|$(reboot)"),
        *("^lib", "Upper", "ünï", "x", "a\\b", "'a'", '"a"', "\x1b[2J"),
    ],
)
def test_a_list_with_more_than_names(
    listed: Callable[[str], tuple[int, str, list[str]]], name: str
) -> None:
    status, words, calls = listed(f"there   there   test\n{name}   x   test\n")
    assert status == 2 and "is no package's name" in words
    assert not calls


@pytest.mark.bad_input
def test_a_list_that_is_missing_or_empty(
    listed: Callable[[str], tuple[int, str, list[str]]],
) -> None:
    assert listed("# nothing\n\n")[0] == 2
    argv = ["sh", str(CHECKOUT / "tools/install-packages")]
    for more in ([], ["/nonexistent/list"]):
        assert subprocess.run([*argv, *more], capture_output=True, check=False).returncode == 2


@pytest.mark.attack
def test_a_package_that_would_remove_another(
    listed: Callable[[str], tuple[int, str, list[str]]],
) -> None:
    """`-y` says yes to removals, too: none may be asked for. What is there is left alone."""
    assert listed("there  there  test  # words\n") == (0, "", [])
    status, words, calls = listed("there  there  test\ng++  g++  test\ndocker.io  x  test\n")
    assert status == 0 and "missing here: g++ docker.io" in words
    assert calls[-1] == (
        "apt-get install -q -y --no-install-recommends --no-remove -- g++ docker.io"
    )


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("names", "program", "installed"),
    [
        ("new-name|old-name", "no-such-program", "old-name"),
        ("old-name|new-name", "no-such-program", "old-name"),
        ("new-name|newer-name", "no-such-program", "newer-name"),
        ("new-name|old-name", "sh", ""),
    ],
)
def test_a_package_with_another_name_elsewhere(
    listed: Callable[[str], tuple[int, str, list[str]]], names: str, program: str, installed: str
) -> None:
    """The first name that the distro knows is installed, if the program is missing."""
    status, words, calls = listed(f"{names}  {program}  test\n")
    assert status == 0
    assert (f"missing here: {names}" in words) == bool(installed)
    assert not calls or calls[-1].endswith(f"--no-remove -- {installed}")
    assert bool(calls) == bool(installed)


@pytest.mark.bad_input
def test_a_package_that_only_hosts_of_other_architectures_need(
    listed: Callable[[str], tuple[int, str, list[str]]],
) -> None:
    here = host_apt.architecture()
    status, _, calls = listed(f"one x test {here}\nsome x test mips,{here}\nnone x test x{here}\n")
    assert status == 0
    assert calls[-1].endswith("--no-remove -- one some")


SOURCES = """\
deb http://deb.example.org/debian bookworm main
deb http://deb.example.org/debian-security bookworm-security main
"""


@pytest.mark.attack
@pytest.mark.parametrize(
    ("mirror", "taken"),
    [
        ("http://mirror.example.org:8080/a~b/debian/", True),
        ("http://x/debian bookworm main\ndeb [trusted=yes] http://evil.example/", False),
        ("http://x/debian [trusted=yes]", False),
        ("http://x/&/debian", False),
        ("http://x/#e;reboot", False),
        ("http://x/\\1", False),
        ("http:x", False),
        ("/debian", False),
    ],
)
def test_a_mirror_that_is_more_than_an_address(mirror: str, taken: bool, tmp_path: Path) -> None:
    """Docker's MIRROR goes into apt's lists of an image, which trusts what they say."""
    apt = tmp_path / "apt"
    (apt / "sources.list.d").mkdir(parents=True)
    (apt / "sources.list").write_text(SOURCES)
    script = 'mount --bind "$1" /etc/apt && exec sh "$2" "$3"'
    argv: list[str | Path] = [*namespaces.unshare(), "sh", "-c", script, "sh", apt]
    argv += [CHECKOUT / "tools/docker/mirror.sh", mirror]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    found = (apt / "sources.list").read_text()
    if taken:
        assert done.returncode == 0, done.stderr
        assert found == SOURCES.replace("http://deb.example.org", mirror.rpartition("/debian")[0])
    else:
        assert done.returncode == 2 and "a mirror is an address" in done.stderr
        assert found == SOURCES


@pytest.mark.bad_input
@pytest.mark.needs("shellcheck")
def test_a_shell_script_that_splits_or_expands_what_it_is_given() -> None:
    scripts = [
        path
        for path in project.files()
        if re.match(rb"#!/bin/(ba)?sh\b", path.read_bytes()[:20]) and path.suffix != ".j2"
    ]
    assert len(scripts) > 15
    phases = [
        {"name": "before", "directory": "/f", "installs": False},
        {"name": "after", "directory": "/g h", "installs": True},
    ]
    rendered = render("guest/init.sh.j2", modules=["a", "b'c"], phases=phases, deadline=1)
    # SC1010: there, "done" is a word of the agent's.
    for argv in (["--", *map(str, scripts)], ["--exclude=SC1010", "-"]):
        done = subprocess.run(
            ["shellcheck", *argv],
            cwd=CHECKOUT,  # .shellcheckrc says what is of taste
            input=rendered,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
