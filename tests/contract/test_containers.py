# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""What every container engine must do, run against each of them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from support import engine, fill, real

from pipeline.build import object_files
from pipeline.containers import Container, User, images
from pipeline.containers.base import copy_in, copy_out
from pipeline.containers.host import BUILD, Host
from pipeline.containers.oci import Oci
from pipeline.containers.unshare import Unshare
from pipeline.errors import BuildError, FetchError
from pipeline.host import command

Make = Callable[..., Container]
SUPPORT = Path(real.__file__).parent
KINDS = ["unshare-overlay", "unshare-copy", "docker", "podman", "host"]


@pytest.fixture(scope="module", params=KINDS)
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Return what makes a container of a kind."""
    match request.param:
        case "docker":
            with engine.docker() as docker:
                image = images.imported(docker, real.small(), real.archive().release, real.cache())
                yield partial(Oci, docker, image)
                assert docker.ids("container", "--all") == []
        case "podman":
            with engine.podman() as podman:
                image = images.imported(podman, real.small(), real.archive().release, real.cache())
                yield partial(Oci, podman, image)
                assert podman.ids("container", "--all") == []
        case "host":
            if os.geteuid() != 0:
                pytest.skip("--container host needs root")
            with real.host_alone():
                yield partial(Host)
                assert not BUILD.exists()
        case kind:
            overlay = kind == "unshare-overlay"
            yield partial(Unshare, real.root().tree, real.cache(), overlay=overlay)


@pytest.fixture(scope="module")
def shared_box(make: Make) -> Iterator[Container | None]:
    """Return a container that is started; None for the host, of which there is only one."""
    if getattr(make, "func", None) is Host:
        yield None
        return
    with make() as container:
        yield container


@pytest.fixture
def box(make: Make, shared_box: Container | None) -> Iterator[Container]:
    """Return a container that is started; most tests of a module share it."""
    if shared_box is not None:
        yield shared_box
        return
    with make() as container:
        yield container


def sh(box: Container, script: str, **options: object) -> command.Completed:
    """Run a line of shell in a container, whatever its status."""
    return box.call(["sh", "-c", script], check=False, **options)  # type: ignore[arg-type]


def test_a_file_is_seen_from_outside_while_it_is_written(box: Container) -> None:
    file = box.outside("written")
    if isinstance(box, Oci):
        assert file is None
        return
    assert file is not None
    with command.threads(1) as pool:
        done = pool.submit(sh, box, "echo here >/build/written; sleep 3; rm /build/written")
        seen = ""
        while not seen and not done.done():
            with contextlib.suppress(FileNotFoundError):
                seen = file.read_text()
            time.sleep(0.02)
    assert seen == "here\n"


def running(word: str, first: bytes = b"") -> list[int]:
    """Return the processes that have ``word`` on their command line (and ``first`` first)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
            if word.encode() in words and first in (b"", words[0]):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this never happened"
        time.sleep(0.02)


def test_outputs_are_separate_and_binary(box: Container) -> None:
    done = sh(box, r"printf '\000\377\r\n'; printf 'caf\351' >&2; exit 7")
    assert (done.status, done.stdout, done.stderr) == (7, b"\0\xff\r\n", b"caf\xe9")


def test_reads_standard_input_to_its_end(box: Container, tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096
    assert box.call(["sha256sum"], stdin=data).text.split()[0] == hashlib.sha256(data).hexdigest()
    (tmp_path / "f").write_bytes(data)
    assert box.call(["cat"], stdin=tmp_path / "f").stdout == data


def test_standard_input_is_empty_by_default(box: Container) -> None:
    assert box.call(["cat"], timeout=30).stdout == b""


def test_failure_raises_with_command_and_output(box: Container) -> None:
    with pytest.raises(FetchError) as caught:
        box.call(
            ["sh", "-c", "echo why >&2; exit 3"], error=FetchError, brief="it failed", hint="do"
        )
    assert caught.value.brief == "it failed"
    assert "exit status 3" in caught.value.details and "why" in caught.value.details


@pytest.mark.parametrize(
    ("script", "status"), [("kill -9 $$", 137), ("kill -TERM $$", 143), ("kill -SEGV $$", 139)]
)
def test_signal_shows_in_the_status(box: Container, script: str, status: int) -> None:
    assert sh(box, script).status == status


def test_missing_program(box: Container) -> None:
    assert box.call(["no-such-program"], check=False).status == 127


def test_working_directory(box: Container) -> None:
    assert box.call(["pwd"], directory="/usr/bin").stdout == b"/usr/bin\n"
    done = box.call(["touch", "/tmp/ran"], directory="/no such directory", check=False)
    assert done.status != 0
    assert sh(box, "test -e /tmp/ran").status == 1


def test_environment_is_only_what_is_given(box: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    names = {
        line.partition("=")[0]
        for line in box.call(["env"], env={"A B": "1 2", "PATH": "/usr/bin"}).text.splitlines()
    }
    assert names == {"A B", "PATH", "HOME", "LC_ALL", "TZ"}


def test_builds_as_a_user_without_privileges(box: Container) -> None:
    number = str(int(User.BUILD))
    ids = box.call(["sh", "-c", "id -u; id -g; id -G"]).text.split()
    assert ids == [number, number, number]
    status = box.call(["cat", "/proc/self/status"]).text
    assert "CapEff:\t0000000000000000" in status and "NoNewPrivs:\t1" in status
    assert sh(box, "echo x > /etc/passwd").status != 0
    assert box.call(["id", "-u"], user=User.ROOT).text == "0\n"


@pytest.fixture
def reach() -> Iterator[str]:
    """Return a line of bash that succeeds where a server on the host's loopback is reached."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"exec 3<>/dev/tcp/127.0.0.1/{server.getsockname()[1]}"


def test_no_network_by_default(box: Container, reach: str) -> None:
    """A server on the host's loopback stands for all networks."""
    assert box.call(["bash", "-c", reach], check=False).status != 0


def test_network_where_it_was_asked_for(make: Make, reach: str) -> None:
    with make(network=True) as open_box:
        assert open_box.call(["bash", "-c", reach], check=False).status == 0


def test_what_is_written_stays_until_the_container_stops(make: Make, box: Container) -> None:
    box.call(["mkdir", "/build/here"])
    assert sh(box, "test -d /build/here").status == 0
    assert not (real.root().tree / "build").exists()
    if box.name != "host":  # whose root is that of the machine the tests run on
        box.call(["rm", "-rf", "/usr/share/doc"], user=User.ROOT)
        assert sh(box, "test -d /usr/share/doc").status == 1
        assert (real.root().tree / "usr/share/doc").is_dir()


def test_devices(box: Container) -> None:
    script = "echo > /dev/null && head -c1 /dev/urandom | wc -c && : > /dev/shm/x && rm /dev/shm/x"
    assert box.call(["sh", "-c", script]).text.splitlines()[0] == "1"
    assert sh(box, "echo x > /dev/full").status != 0
    if box.name != "host":
        assert not {"sda", "vda", "mem"} & set(sh(box, "ls /dev").text.split())


def test_time_out_kills_everything(box: Container) -> None:
    word = f"98{os.getpid()}.5"
    with pytest.raises(BuildError) as caught:
        box.call(["sh", "-c", f"setsid sleep {word} & sleep {word}; true"], timeout=1)
    assert "1 s" in caught.value.details
    wait_until(lambda: not running(word))


def test_nothing_outlives_its_command(box: Container) -> None:
    word = f"97{os.getpid()}.5"
    box.call(["sh", "-c", f"setsid sleep {word} > /dev/null 2>&1 &"], timeout=60)
    wait_until(lambda: not running(word))


def test_nobody_else_s_processes_are_killed(box: Container) -> None:
    """One that has the number of the build's user, say in the container of another build."""
    if os.geteuid() != 0:
        pytest.skip("an ordinary user cannot take the number of another")
    number = int(User.BUILD)
    argv = ["setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups", "sleep", "300"]
    with subprocess.Popen(argv) as bystander:
        try:
            box.call(["true"])
            with pytest.raises(BuildError):
                box.call(["sleep", "99"], timeout=1)
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_a_killed_container_is_a_failure_not_a_hang(box: Container) -> None:
    word = f"96{os.getpid()}.5"
    outcome: list[int | BuildError] = []

    def call() -> None:
        try:
            outcome.append(box.call(["sleep", word], check=False).status)
        except BuildError as e:
            outcome.append(e)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        wait_until(lambda: bool(running(word, first=b"sleep")))
        os.kill(min(running(word)), 9)  # the oldest is the engine's own process
    finally:
        thread.join(30)
    assert outcome and outcome[0] != 0
    wait_until(lambda: not running(word))
    assert box.call(["echo", "again"]).stdout == b"again\n"


def test_100_megabytes_of_output(box: Container, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w+b") as out:
        box.call(["head", "-c", "100000000", "/dev/zero"], stdout=out)
    assert (tmp_path / "out").stat().st_size == 100_000_000


@pytest.mark.parametrize("name", ["a b", "-rf", "käse", "new\nline", "back\\slash", "*", "$(x)"])
def test_copies_files_of_any_name(box: Container, tmp_path: Path, name: str) -> None:
    data = os.urandom(70_000)
    (tmp_path / name).write_bytes(data)
    copy_in(box, [tmp_path / name], "/build")
    out = tmp_path / "out directory"
    out.mkdir()
    copy_out(box, "/build", [name], out)
    assert (out / name).read_bytes() == data
    assert box.call(["stat", "-c%u", "--", f"/build/{name}"]).text == f"{int(User.BUILD)}\n"


@pytest.mark.parametrize(
    "script",
    ["ln -s /etc/shadow it", "mkdir it", "mkfifo it", "true", "ln -s /proc/self/environ it"],
)
def test_copies_out_nothing_but_regular_files(box: Container, tmp_path: Path, script: str) -> None:
    sh(box, f"rm -rf it; {script}", directory="/build")
    with pytest.raises(BuildError):
        copy_out(box, "/build", ["it"], tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "..", ""])
def test_copies_out_of_no_other_directory(box: Container, tmp_path: Path, name: str) -> None:
    with pytest.raises(BuildError):
        copy_out(box, "/build", [name], tmp_path)


def test_copies_the_object_files_of_a_build(box: Container, tmp_path: Path) -> None:
    script = "rm -rf tree; mkdir -p tree/lib/deep; echo one >tree/lib/one.o; echo two >tree/two.o"
    # Neither a link to a file of the host nor another file is an object file of the build.
    more = "ln -s /etc/shadow tree/lib/link.o; mkdir tree/lib/dir.o; echo >tree/lib/text.c"
    sh(box, f"{script}; {more}; echo three >tree/lib/deep/three.o", directory="/build")
    object_files.copy_out(box, "/build/tree", tmp_path / "objects")
    found = object_files.names(tmp_path / "objects")
    assert {name: path.read_text() for name, path in found.items()} == {
        "two.o": "two\n",
        "lib/one.o": "one\n",
        "lib/deep/three.o": "three\n",
    }


@pytest.mark.parametrize("name", ["a b.o", "a@b.o", "new\nline.o", f"{'long' * 30}.o", "a..b.o"])
def test_takes_no_object_file_with_a_strange_name(
    box: Container, tmp_path: Path, name: str
) -> None:
    sh(box, "rm -rf tree; mkdir tree", directory="/build")
    box.call(["touch", f"/build/tree/{name}"])
    with pytest.raises(BuildError) as caught:
        object_files.copy_out(box, "/build/tree", tmp_path / "objects")
    assert "is not a plain name" in caught.value.details
    assert not (tmp_path / "objects").exists()


def test_a_stopped_container_runs_nothing_and_leaves_nothing(make: Make) -> None:
    directory = real.cache().directory("work")
    name = f"closed-{os.getpid()}"  # other tests have containers there at the same time

    def left() -> bytes:
        return subprocess.run(
            ["find", directory, "-name", name], stdout=subprocess.PIPE, check=False
        ).stdout

    container = make()
    with container:
        container.call(["mkdir", "-m", "0", f"/build/{name}"])
        assert left() or container.name != "unshare"
    assert not left()
    assert str(directory) not in Path("/proc/self/mounts").read_text()
    with pytest.raises(BuildError, match="has been stopped"):
        container.call(["true"])


def test_full_disk_is_the_command_s_own_failure(box: Container, tmp_path: Path) -> None:
    """On a small disk a small file fits and a big one does not, and the rest goes on."""
    if box.name in ("docker", "podman"):
        # Their disk is the machine's own; the file system in memory that they give is small.
        said = fill.fill(box, "/dev/shm", 300)
    else:
        argv: list[str | Path] = [box.name, real.root().tree, tmp_path]
        done = real.on_small_disk(tmp_path, "8m", SUPPORT / "fill.py", *argv)
        assert done.status == 0, done
        said = json.loads(done.text)
    assert said == [0, 1, True, 0]


def test_a_container_that_was_removed_is_said_to_be_lost(make: Make) -> None:
    """An administrator, or a daemon that is stopped, takes it away in the middle."""
    if getattr(make, "func", None) is not Oci:
        pytest.skip("there is nothing to take away but the processes")
    with make() as container:
        assert isinstance(container, Oci)
        names = container.engine.ids("container", "--latest")
        container.engine.call("container", "rm", "--force", names[0])
        with pytest.raises(BuildError, match="was lost"):
            container.call(["true"])
