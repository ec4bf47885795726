# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Building for real: a tiny package for what can go wrong, Debian's iproute2 for the rest."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import real

from pipeline.build import build, ccache
from pipeline.errors import BuildError
from pipeline.host import command
from pipeline.host.cache import Cache
from pipeline.host.progress import QUIET
from pipeline.isolation import ids
from pipeline.model import Artifact, Built

EPOCH = 1420070400
SUPPORT = Path(real.__file__).parent


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    """Return an empty cache; nothing of a build may be left in it in the end."""
    cache = Cache(tmp_path / "cache")
    yield cache
    work = cache.root / "work"
    assert not work.exists() or list(work.iterdir()) == []
    assert str(cache.root) not in Path("/proc/self/mounts").read_text()


def run(tmp_path: Path, cache: Cache, dsc: Path, name: str = "debs") -> Built:
    version = dsc.stem.partition("_")[2]
    return build.build(
        real.root(),
        dsc,
        version,
        EPOCH,
        tmp_path / name,
        cache=cache,
        log_dir=tmp_path / f"{name}-logs",
        stage=QUIET,
    )


def run_and_keep(tmp_path: Path, cache: Cache, dsc: Path, name: str = "debs") -> Built:
    """Build, and keep what ccache has then, as a run does that was proven."""
    root = real.root()
    with build.container(root, cache) as inside:
        built = build.build_in(
            inside,
            root,
            dsc,
            dsc.stem.partition("_")[2],
            EPOCH,
            tmp_path / name,
            log_dir=tmp_path / f"{name}-logs",
            stage=QUIET,
        )
        new = ccache.keep(cache, root.ccache, ccache.take(inside, tmp_path / "ccache.tar"))
    assert (new is None) if built.ccache == {} else new
    (tmp_path / "ccache.tar").unlink()
    return built


def sums(built: Built) -> dict[str, str]:
    return {deb.path.name: deb.sha256 for deb in built.debs}


def said(path: Path, field: str) -> str:
    return command.run(["dpkg-deb", "--field", path, field]).text.strip()


def test_builds_the_same_cold_and_warm_and_wherever(tmp_path: Path, cache: Cache) -> None:
    """The first build does without ccache, the second one fills it, the third one has it."""
    dsc = real.tiny(tmp_path)
    first = run_and_keep(tmp_path, cache, dsc, "first")
    cold = run_and_keep(tmp_path, cache, dsc)
    assert first.ccache == {} and sums(first) == sums(cold)
    assert sorted(sums(cold)) == ["tiny-dbgsym_1.0_amd64.deb", "tiny_1.0_amd64.deb"]
    assert cold.ccache["cache_miss"] >= 1 and "direct_cache_hit" not in cold.ccache
    assert said(cold.debs[-1].path, "Version") == "1.0"
    assert {a.path.parent for a in (*cold.debs, cold.changes, cold.buildinfo)} == {
        tmp_path / "debs"
    }

    elsewhere = tmp_path / "another place, with:odd name"
    elsewhere.mkdir()
    umask = os.umask(0o077)
    try:
        warm = run(elsewhere, cache, dsc)
    finally:
        os.umask(umask)
    assert warm.ccache["direct_cache_hit"] >= 1 and "cache_miss" not in warm.ccache
    assert sums(warm) == sums(cold)


def test_a_fresh_build_does_without_ccache(tmp_path: Path, cache: Cache) -> None:
    """It takes nothing of what is kept, leaves nothing, and makes the same packages."""
    dsc, root = real.tiny(tmp_path), real.root()
    run_and_keep(tmp_path, cache, dsc, "first")
    kept = run_and_keep(tmp_path, cache, dsc)
    with build.container(root, cache, fresh=True) as inside:
        built = build.build_in(
            inside,
            root,
            dsc,
            "1.0",
            EPOCH,
            tmp_path / "fresh",
            log_dir=tmp_path / "fresh-logs",
            stage=QUIET,
        )
        assert ccache.keep(cache, root.ccache, ccache.take(inside, tmp_path / "fresh.tar")) == 0
    assert built.ccache == {}
    assert sums(built) == sums(kept)


def test_another_source_gives_another_package(tmp_path: Path, cache: Cache) -> None:
    first = run(tmp_path, cache, real.tiny(tmp_path))
    text = (real.TINY / "tiny.c").read_text().replace("hello", "goodbye")
    second = run(tmp_path, cache, real.tiny(tmp_path / "2", tiny_c=text), "second")
    assert sums(first).keys() == sums(second).keys()
    assert sums(first) != sums(second)


def test_two_builds_at_once(tmp_path: Path, cache: Cache) -> None:
    dsc = real.tiny(tmp_path)
    built: dict[str, Built] = {}
    threads = [
        threading.Thread(target=lambda n=n: built.update({n: run(tmp_path, cache, dsc, n)}))
        for n in ("one", "two")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums(built["one"]) == sums(built["two"])


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("tiny_c", "int main(void) { return nothing_of_the_kind; }\n", "nothing_of_the_kind"),
        ("Makefile", "tiny:\n\techo a curse; exit 3\n", "Error 3"),
    ],
)
def test_a_source_that_does_not_compile(
    tmp_path: Path, cache: Cache, name: str, text: str, said: str
) -> None:
    with pytest.raises(BuildError) as caught:
        run(tmp_path, cache, real.tiny(tmp_path, **{name: text}))
    assert "the build of tiny 1.0 failed" in caught.value.brief
    assert said in caught.value.details
    log = re.findall(r"The whole log: (.+)", caught.value.details)
    assert len(log) == 1 and said in Path(log[0]).read_text()
    assert not (tmp_path / "debs").exists()


def test_no_network_in_a_build(tmp_path: Path, cache: Cache) -> None:
    """The build fails if anything but loopback is there, or if it can become root."""
    make = (
        "tiny: tiny.c\n\ttest `grep -c : /proc/net/dev` = 1\n\tgrep -q 'lo:' /proc/net/dev\n"
        "\ttest `id -u` -gt 1000\n\t! echo > /etc/x\n\t$(CC) -o $@ tiny.c\n"
        "install:\n\tinstall -D tiny $(DESTDIR)/usr/bin/tiny\nclean:\n\t:\n"
    )
    assert run(tmp_path, cache, real.tiny(tmp_path, Makefile=make)).debs


def test_a_package_that_is_not_what_was_ordered(tmp_path: Path, cache: Cache) -> None:
    dsc = real.tiny(tmp_path)
    other = dsc.with_name("tiny_2.0.dsc")
    other.write_text(dsc.read_text().replace("Version: 1.0", "Version: 2.0"))
    with pytest.raises(BuildError):
        run(tmp_path, cache, other)
    assert not (tmp_path / "debs").exists()


def test_a_damaged_source(tmp_path: Path, cache: Cache) -> None:
    dsc = real.tiny(tmp_path)
    tarball = next(tmp_path.glob("tiny_1.0.tar.*"))
    tarball.write_bytes(tarball.read_bytes()[:-10] + bytes(10))
    with pytest.raises(BuildError, match="could not unpack"):
        run(tmp_path, cache, dsc)


def test_a_build_dependency_that_does_not_exist(tmp_path: Path) -> None:
    dsc = real.tiny(tmp_path, depends="libnothing-of-the-kind-dev")
    with pytest.raises(BuildError, match="libnothing-of-the-kind-dev"):
        build.prepare(real.archive(), dsc, real.cache(), log_dir=tmp_path, stage=QUIET)


def test_a_full_disk_is_said_to_be_full(tmp_path: Path) -> None:
    """On a disk of 24 MiB the tiny package builds; one that writes more does not."""
    disk = tmp_path / "disk"
    disk.mkdir()
    make = (real.TINY / "Makefile").read_text()
    big = make.replace("tiny: tiny.c", "tiny: tiny.c\n\thead -c 60000000 /dev/zero > big")
    for makefile, words in ((make, "built"), (big, "the disk filled up")):
        directory = tmp_path / words
        dsc = real.tiny(directory, Makefile=makefile)
        script = SUPPORT / "build-on.py"
        done = real.on_small_disk(disk, "24m", script, dsc, disk, directory / "logs")
        assert done.text.startswith(words), done


def test_interrupted(tmp_path: Path, cache: Cache) -> None:
    """Ctrl-C in the middle of a build leaves no process, no mount and nothing half-written."""
    word = f"95{os.getpid()}.5"
    dsc = real.tiny(tmp_path, Makefile=f"tiny:\n\tsetsid sleep {word} & sleep {word}\n")
    real.root()
    paths = [str(Path(build.__file__).parents[2]), str(SUPPORT.parent), *sys.path]
    process = subprocess.Popen(
        [sys.executable, SUPPORT / "build-on.py", dsc, cache.root, tmp_path / "logs"],
        env=os.environ | {"PYTHONPATH": ":".join(filter(None, paths))},
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not alive(word):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) != 0
    while alive(word):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not (cache.root / "out").exists()
    assert [p.name for p in cache.root.iterdir() if p.name.startswith(".out")] == []


def alive(word: str) -> bool:
    """Tell whether a process ``sleep word`` is there."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[:2] == [b"sleep", word.encode()]:
                return True
        except OSError:
            continue
    return False


def test_a_root_can_be_removed_like_any_directory() -> None:
    """A cache is safe to delete: rm needs write permission on each directory with something in it.

    Root has it anyway; what root's roots are made of is nobody's.
    """
    mine = ids.mine().owner[0]
    for directory, directories, files in os.walk(real.root().tree):
        assert not (directories or files) or Path(directory).stat().st_uid == mine, directory


@pytest.mark.e2e
def test_builds_debian_s_iproute2(tmp_path: Path) -> None:
    """Debian's 6.1.0-3 builds; what is in the package is what Debian's has, file for file."""
    with build.container(real.root(), real.cache()) as inside:
        built = build.build_in(
            inside,
            real.root(),
            real.dsc(),
            real.VERSION,
            1684958254,
            tmp_path / "debs",
            log_dir=tmp_path / "logs",
            stage=QUIET,
        )
    ours = {a.path.name: a for a in built.debs}[f"iproute2_{real.VERSION}_amd64.deb"]
    assert isinstance(ours, Artifact) and ours.size == ours.path.stat().st_size
    theirs = real.archive().fetch_binary("iproute2", real.VERSION, tmp_path / "theirs").path
    listings = [
        sorted(
            " ".join(line.split()[:2] + line.split()[5:])
            for line in command.run(["dpkg-deb", "--contents", deb]).text.splitlines()
        )
        for deb in (ours.path, theirs)
    ]
    assert listings[0] == listings[1]
    assert said(ours.path, "Depends") == said(theirs, "Depends")
