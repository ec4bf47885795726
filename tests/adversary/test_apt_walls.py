# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A mirror's answer takes over the program that reads it: one of apt's methods, or gpgv.

Or a package has a hostile maintainer script, and a root is made from it. The attacker controls
that process; the aim is the caller's rights and files. The mirror looks in /proc at what such a
process has, while it waits for an answer.
"""

from __future__ import annotations

import contextlib
import http.server
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import real

from pipeline.archives import openpgp
from pipeline.archives.apt import AptArchive
from pipeline.errors import FetchError
from pipeline.host import command
from pipeline.host.cache import Cache
from pipeline.isolation import ids, namespaces
from pipeline.isolation.scratch import scratch
from pipeline.model import AptSource
from pipeline.releases import releases
from pipeline.text.address import Address

pytestmark = pytest.mark.attack
RELEASE = releases.find("bookworm")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True, kw_only=True)
class Process:
    """What was seen of a process."""

    name: str
    status: dict[str, str]
    root: tuple[str, ...]
    secret: bool
    """Whether it could come to a file of the caller's."""


def look(process: Path, secret: Path) -> Process:
    """Look at a process that is there yet."""
    lines = (process / "status").read_text().splitlines()
    return Process(
        name=(process / "comm").read_text().strip(),
        status=dict(line.split(":\t", 1) for line in lines if ":\t" in line),
        root=tuple(sorted(path.name for path in (process / "root").iterdir())),
        secret=(process / f"root{secret}").exists(),
    )


def with_socket(port: int) -> Path:
    """Return the directory in /proc of the process that connects from a port of loopback."""
    inodes = {
        words[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if int((words := line.split())[1].partition(":")[2], 16) == port
    }
    for fd in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if str(fd.readlink()) in {f"socket:[{inode}]" for inode in inodes}:
                return fd.parents[1]
    raise AssertionError("nobody connects from there")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("of the host")
    return path


@pytest.fixture
def mirror(secret: Path) -> Iterator[tuple[str, list[Process]]]:
    """Yield the address of a mirror that has nothing, and what it saw of those who asked it."""
    seen: list[Process] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            seen.append(look(with_socket(self.client_address[1]), secret))
            self.send_error(404)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/debian", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def walled(process: Process) -> None:
    """Hold what a process has against what it may have."""
    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert int(process.status[name], 16) == 0, name
    assert process.status["NoNewPrivs"] == "1" and process.status["Seccomp"] == "2"
    assert set(map(int, process.status["Uid"].split())) == {ids.mine().owner[0]}
    assert os.geteuid() != 0 or ids.mine().owner[0] >= 65536
    assert not process.secret
    assert not {"sys", "boot", "opt", "srv"} & set(process.root)


def archive(uri: str, cache: Path) -> AptArchive:
    source = AptSource(
        uri=Address(uri), suites=("bookworm",), components=("main",), keyring=KEYRING
    )
    return AptArchive(RELEASE, [source], Cache(cache))


def test_the_method_that_fetches_the_indexes(
    mirror: tuple[str, list[Process]], tmp_path: Path
) -> None:
    uri, seen = mirror
    with pytest.raises(FetchError):
        archive(uri, tmp_path / "cache").update()
    assert seen and {process.name for process in seen} == {"http"}
    for process in seen:
        walled(process)


def test_the_method_that_fetches_packages(
    mirror: tuple[str, list[Process]], tmp_path: Path
) -> None:
    """apt-helper, with an address of its own beside the indexes that are known."""
    uri, seen = mirror
    root = archive(uri, tmp_path / "cache")._root
    root._write(root.sources)
    into = tmp_path / "into"
    into.mkdir()
    argv = ["/usr/lib/apt/apt-helper", "download-file", f"{uri}/x.deb", str(into / "x")]
    with pytest.raises(FetchError):
        root.apt(*argv, into=into)
    assert seen
    for process in seen:
        walled(process)
    assert into.stat().st_uid == os.geteuid()


def test_gpgv(secret: Path) -> None:
    """It reads what nobody has vouched for yet."""
    text = b"a line of a text that is as long as it likes\n" * 300_000
    data = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n" + text
    data += b"-----BEGIN PGP SIGNATURE-----\n\niQ==\n=aaaa\n-----END PGP SIGNATURE-----\n"
    seen: list[Process] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set() and not seen:
            for path in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    if b"\0--homedir\0/nonexistent\0" in (path / "cmdline").read_bytes():
                        process = look(path, secret)
                        if process.name == "gpgv":
                            seen.append(process)
            time.sleep(0.002)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        for number in range(20):
            assert openpgp.check(data + b"\n" * number, KEYRING).signers == ()
            if seen:
                break
    finally:
        over.set()
        thread.join()
    walled(seen[0])


HOSTILE = r"""
try() { "$@" >/dev/null 2>&1 && echo "came through: $*"; }
cat "$1/secret" /root/* /home/*/* 2>/dev/null
sh -c 'echo written > "$0/secret"' "$1" 2>/dev/null
try sh -c 'echo written > /etc/respin-was-here'
try sh -c 'echo written > /usr/respin-was-here'
try sh -c 'echo > /proc/sys/kernel/core_pattern'
try sh -c 'read -r line < /etc/shadow'
try mknod /tmp/disk b 8 0
try unshare --user true
try nsenter --target 1 --mount --net ls /root
try mount -o remount,rw,bind /usr
try umount -l /usr
mkdir -p /tmp/jail
perl -e 'opendir(D, "/"); chroot("/tmp/jail"); chdir(*D); chdir("..") for 1 .. 64; chroot(".");
	print "came through: chroot\n" if -e "/var/lib/dpkg"' "$1"
echo ours > "$2/file" && mount -t tmpfs none "$2" && echo control
"""


def test_a_maintainer_script(secret: Path, tmp_path: Path) -> None:
    """It runs as root while mmdebstrap makes a root, with all that mmdebstrap may do."""
    with scratch(Cache(tmp_path / "cache"), "root", remove=namespaces.remove_tree) as work:
        namespaces.given(work)
        done = command.run(
            ["sh", "-c", HOSTILE, "sh", secret.parent, work],
            begin=namespaces.maker(work),
            env=namespaces.ENVIRONMENT,
            check=False,
        )
        assert done.text == "control\n"
        assert (work / "file").read_text() == "ours\n"
    assert secret.read_text() == "of the host"


def test_what_a_root_is_made_of_is_nobody_s() -> None:
    """Whatever maintainer scripts made, they made as ids that are nobody's out here."""
    mine = ids.mine()
    ranges = [range(first, first + count) for _, first, count in mine.uid]
    for directory, _, names in os.walk(real.small()):
        for path in (Path(directory), *(Path(directory) / name for name in names)):
            uid = path.lstat().st_uid
            assert any(uid in each for each in ranges), path
            assert uid != 0, path


def test_apt_s_own_user_downloads_while_a_root_is_made() -> None:
    """Of mmdebstrap's apt the methods run as _apt, which may not even write what root may."""
    real.small()
    if not real.small_log().exists():
        pytest.skip("the cache of the tests has this root from another time")
    log = real.small_log().read_text()
    assert "success" in log and "unsandboxed" not in log
