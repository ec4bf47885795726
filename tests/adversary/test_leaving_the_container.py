# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A hostile source is built, and wants out of its container: to the host, its files, its kernel.

The attacker is the build's user (debian/rules), or root in the container (a maintainer script in a
package from an archive that the user configured). The aim is access to anything on the host.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import real

from pipeline.containers import Container, User
from pipeline.containers.unshare import Unshare
from pipeline.errors import BuildError
from pipeline.isolation import ids

pytestmark = pytest.mark.attack
SOURCE = Path(real.__file__).with_name("breakout.c")
USERS = pytest.mark.parametrize("user", [User.BUILD, User.ROOT], ids=["build", "root"])


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory of the host's that everybody may write to, with a file in it."""
    directory = tmp_path_factory.mktemp("host")
    directory.chmod(0o777)
    (directory / "marker").write_text("of the host")
    (directory / "marker").chmod(0o666)
    return directory


@pytest.fixture(scope="module")
def box() -> Iterator[Container]:
    """Return a container that has the hostile program as /build/breakout."""
    with Unshare(real.root().tree, real.cache()) as box:
        argv = ["gcc", "-x", "c", "-static", "-w", "-o", "/build/breakout", "-"]
        box.call(argv, stdin=SOURCE)
        yield box


def sh(box: Container, script: str, user: User = User.BUILD) -> str:
    """Run a line of shell, whatever its status, and return all that it says."""
    done = box.call(["sh", "-c", script], user=user, check=False, timeout=60)
    return done.text + done.stderr.decode("utf-8", "replace")


REFUSED = {"EPERM", "EACCES", "ENOSYS"}
MISSING = {"sysrq", "kcore", "terminal", "chroot"}
"""Not every kernel has the first two; there is no terminal, and no host behind a chroot."""


@USERS
def test_system_calls(
    box: Container, host: Path, user: User, count: Callable[[str, int], None]
) -> None:
    """Some eighty of them, of 64-bit and 32-bit programs; the kernel refuses each."""
    done = box.call(["/build/breakout", str(host / "marker")], user=user, timeout=60)
    said = dict(line.split() for line in done.text.splitlines())
    control = {name for name in said if name.startswith("control-")}
    assert len(control) == 6
    came_through = {
        name: error
        for name, error in said.items()
        if error not in REFUSED | ({"ENOENT", "ENXIO"} if name in MISSING else set())
    }
    assert came_through == dict.fromkeys(control, "ok")
    count("attack", len(said) - len(control))


def test_root_in_there_is_nobody_out_here(box: Container, host: Path) -> None:
    assert sh(box, "id -u", User.ROOT) == "0\n"
    maps = sh(box, "cat /proc/self/uid_map", User.ROOT).split()
    assert maps[1] == str(ids.mine().owner[0]) and maps[1] != "0"
    if os.geteuid() == 0:
        assert int(maps[1]) >= 65536
    assert "of the host" not in sh(box, f"cat {host}/marker", User.ROOT)


@USERS
def test_the_host_s_files_are_nowhere(box: Container, host: Path, user: User) -> None:
    """Not by a path, not through another process, not by a descriptor that was left open."""
    ways = [str(host), f"/proc/1/root{host}", f"/proc/1/cwd/../../../..{host}", f"/..{host}"]
    script = "; ".join(f"cat {way}/marker; echo written > {way}/marker" for way in ways)
    script += f"; for fd in /proc/*/fd/*; do cat $fd/..{host}/marker $fd/marker; done"
    assert "of the host" not in sh(box, script, user)
    assert (host / "marker").read_text() == "of the host"
    assert sorted(sh(box, "ls /proc/self/fd", user).split()) == ["0", "1", "2", "3"]


@USERS
def test_no_capability_reaches_the_host(box: Container, user: User) -> None:
    status = dict(line.split(":\t") for line in sh(box, "cat /proc/self/status", user).splitlines())
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    bound = int(status["CapBnd"], 16)
    assert int(status["CapEff"], 16) == bound
    # SYS_MODULE, SYS_RAWIO, SYS_PTRACE, SYS_ADMIN, SYS_BOOT, SYS_TIME, MKNOD, BPF, NET_ADMIN.
    assert not any(bound >> number & 1 for number in (16, 17, 19, 21, 22, 25, 27, 39, 12))
    assert bound == 0 or user is User.ROOT


@USERS
def test_programs_that_set_the_user_id_give_nothing(box: Container, user: User) -> None:
    script = "cp /usr/bin/id /tmp/id; chmod 6755 /tmp/id; /tmp/id -u"
    sh(box, script, User.ROOT)
    assert sh(box, "/tmp/id -u") == f"{int(User.BUILD)}\n"


def test_a_program_that_sets_the_user_id_is_left_for_a_neighbour(box: Container) -> None:
    """What is written lies in the cache meanwhile; whoever finds it must not become root."""
    box.call(["sh", "-c", "cp /bin/sh /build/rootshell"], user=User.ROOT)
    box.call(["chmod", "6755", "/build/rootshell"], user=User.ROOT)
    work = real.cache().directory("work")
    done = subprocess.run(
        ["find", work, "-name", "rootshell"], stdout=subprocess.PIPE, text=True, check=False
    )
    (found,) = map(Path, done.stdout.split("\n")[:-1])
    assert found.stat().st_mode & stat.S_ISUID
    assert (found.stat().st_uid, found.stat().st_gid) == ids.mine().owner
    assert work.stat().st_mode & 0o077 == 0  # and nobody else gets as far
    if os.geteuid() == 0:
        assert found.stat().st_uid != 0


def test_the_network_and_abstract_sockets(box: Container) -> None:
    """A socket of the host's without a file is known by its network namespace."""
    name = f"respin-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server, socket.create_server(("127.0.0.1", 0)) as tcp:
        server.bind(f"\0{name}")
        server.listen()
        port = tcp.getsockname()[1]
        perl = (
            "use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die 'no socket';"
            f'connect($s, pack_sockaddr_un("\\0{name}")) and print "reached";'
            "socket(my $t, AF_INET, SOCK_STREAM, 0) or die 'no socket';"
            f'connect($t, pack_sockaddr_in({port}, inet_aton("127.0.0.1"))) and print "reached"'
        )
        done = box.call(["perl", "-e", perl], user=User.ROOT)
    assert done.text == ""


def test_signals_to_whoever_started_it(box: Container) -> None:
    """Its process group and its session are its own; so everything it may signal is, too."""
    assert "ended" in sh(box, "trap '' TERM; kill -TERM 0; kill -TERM -1; echo ended", User.ROOT)
    assert sh(box, "kill -KILL 1; echo still here", User.ROOT) == "still here\n"


@pytest.mark.parametrize("place", ["/dev", "/proc", "/etc", "/tmp"])
def test_a_root_that_leads_the_next_mounts_astray(place: str, host: Path) -> None:
    """Root in there replaces what the next command mounts on by links to the host's files."""
    lured = host / "lured"
    with Unshare(real.small(), real.cache()) as box:
        script = f"cd /; umount {place}; mv {place} /was; rm -rf {place}; ln -s {lured} {place}"
        sh(box, script, User.ROOT)
        with contextlib.suppress(BuildError):  # it may be lost; the host must not be
            box.call(["/bin/sh", "-c", "echo > /dev/made"], user=User.ROOT)
    assert not lured.exists() and not lured.is_symlink()
    assert (host / "marker").read_text() == "of the host"


def test_nothing_of_it_outlives_the_command(box: Container) -> None:
    """Not even what left its session, its parent and its user behind."""
    word = f"94{os.getpid()}.5"
    sh(box, f"setsid sh -c 'sleep {word} & sleep {word}' >/dev/null 2>&1 &", User.ROOT)
    running = subprocess.run(["pgrep", "-f", f"sleep {word}"], capture_output=True, check=False)
    assert running.stdout == b""
