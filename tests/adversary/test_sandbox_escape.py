# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A tool of this machine that a source has taken over wants out of the sandbox.

The tests run what the attacker would run in place of dpkg-source, spatch or diff: it must not see
or change anything of the caller's, use up the machine, or outlive the call.
"""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.archives import deb_file
from pipeline.errors import FetchError, RespinError
from pipeline.isolation import lent, sandbox

pytestmark = [pytest.mark.attack, pytest.mark.needs("bwrap")]

ROOT = os.geteuid() == 0
SECRET = "the-secret-outside"


# -- what the caller has --------------------------------------------------------------------


def inside(
    directory: Path, *argv: str, timeout: float = 30, check: bool = False
) -> tuple[int, str]:
    """Run a command where the tools run; return its status and what it said."""
    done = sandbox.run(argv, directory=directory, timeout=timeout, check=check, error=FetchError)
    return done.status, (done.stdout + done.stderr).decode()


@pytest.fixture
def work() -> Iterator[Path]:
    with lent.lent(None, "respin-test-") as directory:
        yield directory


def test_the_caller_s_environment(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESPIN_CANARY", SECRET)
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/home/somebody/config")
    _, said = inside(work, "env")
    names = {line.partition("=")[0] for line in said.splitlines()}
    assert names <= {"PATH", "HOME", "LC_ALL", "TZ", "PWD", "OLDPWD"}
    assert "somebody" not in said and SECRET not in said


def test_the_caller_s_files(work: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o666)
    tmp_path.chmod(0o777)
    home = str(Path.home())
    for path in (str(secret), "/etc/passwd", "/etc/shadow", "/proc/self", "/sys/kernel", home):
        assert inside(work, "ls", path)[0] != 0, path
    assert inside(work, "sh", "-c", f"echo x >{tmp_path}/canary")[0] != 0
    for directory in ("/", "/usr", "/etc", "/dev", "/lib", "/usr/lib"):
        assert inside(work, "sh", "-c", f"echo x >{directory}/canary")[0] != 0, directory
    assert inside(work, "sh", "-c", "echo x >canary && echo x >/tmp/canary")[0] == 0
    assert not Path("/tmp/canary").exists()


def test_the_network(work: Path) -> None:
    connect = "exit(!(socket(S, PF_INET, SOCK_STREAM, 0) && connect(S, sockaddr_in({}, "
    connect += 'inet_aton("127.0.0.1")))))'
    with socket.create_server(("127.0.0.1", 0)) as server:
        line = connect.format(server.getsockname()[1])
        subprocess.run(["perl", "-MSocket", "-e", line], check=True)
        assert inside(work, "perl", "-MSocket", "-e", line)[0] != 0


def test_a_socket_without_a_file(work: Path) -> None:
    """An abstract socket, such as a desktop's programs listen on, is of the network's namespace."""
    name = f"respin-{os.getpid()}"
    line = "exit(!(socket(S, PF_UNIX, SOCK_STREAM, 0) && connect(S, pack_sockaddr_un("
    line += f'"\\0{name}"))))'
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        subprocess.run(["perl", "-MSocket", "-e", line], check=True)
        assert inside(work, "perl", "-MSocket", "-e", line)[0] != 0


def test_the_caller_s_processes(work: Path) -> None:
    assert inside(work, "kill", "-0", str(os.getpid()))[0] != 0


def test_the_caller_s_rights(work: Path) -> None:
    """Nobody's number, no capability, and no way to get one."""
    _, said = inside(work, "setpriv", "--dump")
    told = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)
    assert told["uid"] == told["euid"] == str(sandbox.USER)
    assert told["no_new_privs"] == "1"
    sets = ("Inheritable capabilities", "Ambient capabilities", "Capability bounding set")
    assert {told[name] for name in sets} == {"[none]"}
    assert told["Supplementary groups"] in ("[none]", str(sandbox.USER))
    if ROOT:
        (work / "f").write_text("x")
        line = "stat -c %u . f; touch mine; stat -c %u mine"
        assert inside(work, "sh", "-c", line)[1].split() == [str(sandbox.USER)] * 3
    # And what it made is ours afterwards, with no right that it gave it.
    inside(
        work, "sh", "-c", "cp /bin/sh s; chmod 6755 s; mkdir d; touch d/x; chmod 0 d", check=True
    )
    assert (work / "s").stat().st_uid == (work / "d/x").stat().st_uid == os.geteuid()
    assert stat.S_IMODE((work / "s").stat().st_mode) == 0o755


def test_namespaces_of_its_own(work: Path) -> None:
    """In which it would have all capabilities, and all of the kernel to try them on."""
    assert inside(work, "unshare", "--user", "true")[0] != 0
    assert inside(work, "unshare", "--user", "--map-root-user", "--mount", "true")[0] != 0


# -- what a machine has ---------------------------------------------------------------------


# Where these get out, they end by themselves: the machine of these tests is to live on.


def test_a_fork_bomb(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sandbox.LIMITS["nproc"] < 4096
    monkeypatch.setitem(sandbox.LIMITS, "nproc", 40)
    mark = f"respin-bomb-{os.getpid()}"
    bomb = (
        "my $n = 0; while ($n < 90 && defined(my $p = fork)) { if (!$p) { sleep 20; exit } $n++ }"
    )
    status, said = inside(work, "perl", "-e", f"{bomb} print $n # {mark}")
    assert status == 0 and 0 < int(said) <= 40
    assert not _running(mark)


def test_what_goes_on_in_the_background(work: Path) -> None:
    """It ends with the tool: nothing of it is there to change what is then looked at."""
    mark = f"respin-background-{os.getpid()}"
    line = (
        f"(: {mark}; sleep 20; :) </dev/null >/dev/null 2>&1 & setsid sh -c ': {mark}; sleep 20; :'"
    )
    begun = time.monotonic()
    assert inside(work, "sh", "-c", f"{line} </dev/null >/dev/null 2>&1 & exit 0")[0] == 0
    assert time.monotonic() - begun < 10
    assert not _running(mark)


def test_what_goes_on_beyond_its_time(work: Path) -> None:
    mark = f"respin-late-{os.getpid()}"
    line = f"trap '' TERM INT HUP; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1; done; : {mark}"
    with pytest.raises(FetchError):
        inside(work, "sh", "-c", line, timeout=1)
    deadline = time.monotonic() + 3
    while _running(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _running(mark)


def _running(mark: str) -> bool:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        except OSError:  # it has ended
            continue
    return any(mark in line for line in lines)


def test_all_of_the_memory(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sandbox.LIMITS["as"] <= 4 << 30
    monkeypatch.setitem(sandbox.LIMITS, "as", 1 << 30)
    assert inside(work, "perl", "-e", '$x = "a" x (200 << 20); print 1')[0] == 0
    assert inside(work, "perl", "-e", '$x = "a" x (1 << 30); print 1')[0] != 0


def test_all_of_the_disk(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert max(sandbox.LIMITS["fsize"], sandbox.TEMPORARY) <= 1 << 30
    monkeypatch.setattr(sandbox, "TEMPORARY", 2 << 20)
    assert inside(work, "sh", "-c", "head -c 3M /dev/zero >/tmp/respin-big")[0] != 0
    assert not Path("/tmp/respin-big").exists()
    monkeypatch.setitem(sandbox.LIMITS, "fsize", 1 << 20)
    assert inside(work, "sh", "-c", "head -c 2M /dev/zero >big")[0] != 0


def test_more_files_than_a_source_has(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lent, "ENTRIES", 1000)
    with pytest.raises(FetchError, match="more than 1000 files"):
        inside(work, "perl", "-e", "for (1..1100) { open my $f, '>', $_ }", check=True)


def test_directories_too_deep_to_remove(tmp_path: Path) -> None:
    line = "for (1..3000) { mkdir 'd'; chdir 'd' } chmod 0, '.'"
    with pytest.raises(FetchError, match="deep"), lent.lent(tmp_path, "x") as directory:
        inside(directory, "perl", "-e", line, check=True)
    assert list(tmp_path.iterdir()) == []


# -- what it leaves --------------------------------------------------------------------------


def test_a_tool_that_was_taken_over(work: Path) -> None:
    """What spatch or clang-format leaves is looked at before respin reads it."""
    (work / "code.c").write_text("int x;\n")
    for line in ("ln -sf /etc/hostname code.c", "rm code.c && mkfifo code.c"):
        with pytest.raises(RespinError, match="it left"):
            sandbox.run(["sh", "-c", line], directory=work, error=FetchError)


def test_links_of_a_package(tmp_path: Path) -> None:
    """A .deb may be anybody's too: what is unpacked of it leads nowhere else."""
    tree = tmp_path / "tree"
    for name in ("DEBIAN", "usr/bin"):
        (tree / name).mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: iproute2\nVersion: 1-1\nArchitecture: all\nMaintainer: A <a@example.org>\n"
        "Description: a test\n"
    )
    (tmp_path / "secret").write_text(SECRET)
    (tree / "usr/bin/tc").symlink_to(tmp_path / "secret")
    (tree / "usr/bin/ip").symlink_to("../../../secret")
    (tree / "usr/bin/ss").symlink_to("tc-real")
    (tree / "usr/bin/tc-real").write_text("x")
    deb = tmp_path / "x.deb"
    subprocess.run(["dpkg-deb", "-b", tree, deb], check=True, stdout=subprocess.DEVNULL)
    deb_file.extract([deb], tmp_path / "out", error=FetchError, log=None)
    assert sorted(p.name for p in (tmp_path / "out/usr/bin").iterdir()) == ["ss", "tc-real"]
