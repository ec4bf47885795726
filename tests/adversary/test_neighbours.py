# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Another user of the machine wants to run commands as this user, or to damage this user's files.

They create the cache or state directory first, can write to a directory above it, or lead it
elsewhere by a link; they put links, FIFOs and configurations where respin will look. respin trusts
nothing of theirs: it prints one sentence, exits with code 2, and has changed nothing.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support import cli, packages
from support.archive import Archive, Signer

from pipeline.archives.apt import AptArchive
from pipeline.errors import UsageError
from pipeline.files import own_files, ownership, state_lock
from pipeline.host.cache import Cache
from pipeline.isolation.scratch import scratch, sweep
from pipeline.nightly.state import State
from pipeline.releases import releases
from pipeline.runs import directory as rundirectory

OTHER = 12345
"""Somebody's number; nobody's here."""
SHARED = 100
"""A group that people share: Debian's users."""
NOW = datetime(2026, 1, 1, tzinfo=UTC)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


def directory(path: Path, mode: int = 0o755, *, owner: int = -1, group: int = -1) -> Path:
    path.mkdir()
    path.chmod(mode)
    os.chown(path, owner, group)
    return path


def filled(path: Path) -> Path:
    (path / "something").write_text("")
    return path


def theirs(path: Path) -> Path:
    return directory(path, owner=OTHER, group=OTHER) / "respin"


def theirs_itself(path: Path) -> Path:
    return directory(path, owner=OTHER, group=OTHER)


def link_of_theirs(path: Path) -> Path:
    """They lead us to a directory that is even ours."""
    own = directory(path.with_name("ours"))
    tmp = directory(path, 0o1777)
    (tmp / "respin").symlink_to(own)
    os.lchown(tmp / "respin", OTHER, OTHER)
    return tmp / "respin"


def link_of_ours(path: Path) -> Path:
    """We were so careless as to lead us into a directory of theirs."""
    path.symlink_to(theirs(path.with_name("theirs")).parent)
    return path / "respin"


def written_by_all(path: Path) -> Path:
    return directory(path, 0o777) / "respin"


def written_by_all_further_up(path: Path) -> Path:
    return directory(directory(path, 0o777) / "ours") / "respin"


def written_by_all_itself(path: Path) -> Path:
    return filled(directory(path, 0o777))


def sticky_itself(path: Path) -> Path:
    return filled(directory(path, 0o1777))


def written_by_a_group(path: Path) -> Path:
    return directory(path, 0o775, group=SHARED) / "respin"


def written_by_a_group_itself(path: Path) -> Path:
    return filled(directory(path, 0o2775, group=SHARED))


PLACES = [
    *(pytest.param(f, marks=as_root) for f in (theirs, theirs_itself, link_of_theirs)),
    *(pytest.param(f, marks=as_root) for f in (link_of_ours, written_by_a_group)),
    pytest.param(written_by_a_group_itself, marks=as_root),
    *(written_by_all, written_by_all_further_up, written_by_all_itself, sticky_itself),
]
Place = Callable[[Path], Path]


def tree(top: Path) -> list[tuple[str, os.stat_result]]:
    """Return all that is below a directory, as lstat(2) sees it, without the times."""
    found = []
    for path in sorted(top.rglob("*")):
        its = path.lstat()
        found.append((str(path), (its.st_mode, its.st_uid, its.st_ino, its.st_size)))
    return found  # type: ignore[return-value]


def respin(*words: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-W", "error", "-m", "pipeline", *map(str, words)]
    return subprocess.run(argv, cwd=cli.CHECKOUT, capture_output=True, text=True, check=False)


def refused(done: subprocess.CompletedProcess[str] | cli.Said, place: Path) -> None:
    status = done.returncode if isinstance(done, subprocess.CompletedProcess) else done.status
    err = done.stderr if isinstance(done, subprocess.CompletedProcess) else done.err
    said = " ".join(err.split())
    assert status == 2, err
    assert "Traceback" not in err
    assert place.name in said and ("cannot be trusted" in said or "belongs to" in said), err


@pytest.mark.attack
@pytest.mark.parametrize("place", PLACES)
def test_a_cache_where_others_may_write(place: Place, tmp_path: Path) -> None:
    cache = place(tmp_path / "place")
    before = tree(tmp_path)
    with pytest.raises(UsageError) as caught:
        Cache(cache)
    assert str(cache) in caught.value.brief and "--cache" in caught.value.hint
    assert tree(tmp_path) == before


@pytest.mark.attack
@pytest.mark.parametrize("place", PLACES)
def test_a_state_where_others_may_write(place: Place, tmp_path: Path) -> None:
    state = place(tmp_path / "place")
    before = tree(tmp_path)
    for enter in (
        lambda: state_lock.held(state, "test", NOW).__enter__(),
        lambda: State(state, create=True),
    ):
        with pytest.raises(UsageError) as caught:
            enter()
        assert str(state) in caught.value.brief and "RESPIN_STATE" in caught.value.hint
    assert tree(tmp_path) == before


@pytest.mark.attack
@as_root
def test_the_commands_refuse_them(tmp_path: Path) -> None:
    """The exit code and the sentence of the real program."""
    cache = theirs_itself(tmp_path / "cache")
    refused(respin("fetch", "--release", "bookworm", "--cache", cache, "--out", "/nowhere"), cache)
    state = theirs_itself(tmp_path / "state")
    config = tmp_path / "respin.toml"
    config.write_text(f'[nightly]\nstate = "{state}"\nreleases = ["debian:bookworm"]\n')
    for words in (["nightly"], ["key", "init"]):
        refused(respin(*words, "--config", config), state)
    assert list(state.iterdir()) == list(cache.iterdir()) == []


@pytest.fixture
def reached() -> Iterator[Path]:
    """Return a directory that every user reaches."""
    with tempfile.TemporaryDirectory(prefix="respin-neighbours-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.attack
@as_root
def test_an_ordinary_user_does_not_use_root_s(reached: Path) -> None:
    """/var/cache/respin, made by root; and a directory of root's in which everybody may write."""
    for mode in (0o755, 0o777):
        cache = filled(directory(reached / f"cache-{mode:o}", mode))
        said = cli.respin(
            *("fetch", "--release", "bookworm", "--out", "/nowhere"), user="nobody", cache=cache
        )
        refused(said, cache)
        assert "runuser -u root" in " ".join(said.err.split())
        assert [p.name for p in cache.iterdir()] == ["something"]


@pytest.mark.attack
@as_root
def test_a_part_of_the_cache_that_is_another_s(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    directory(cache.root / "work", owner=OTHER)
    (cache.root / "locks").symlink_to(theirs_itself(tmp_path / "theirs"))
    for use in (
        lambda: cache.directory("work"),
        lambda: sweep(cache),
        lambda: scratch(cache, "x").__enter__(),
        lambda: cache.lock("kind", "key").__enter__(),
        lambda: cache.entry("kind", "key", lambda part: part.mkdir()),
    ):
        with pytest.raises(UsageError, match=r"belongs to|cannot be trusted"):
            use()
    assert list((tmp_path / "theirs").iterdir()) == []


# -- what they put where we look --------------------------------------------------------


def to_a_file(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def second_name(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def fifo(path: Path, victim: Path) -> None:
    os.mkfifo(path)


def a_directory(path: Path, victim: Path) -> None:
    path.mkdir()


def nowhere(path: Path, victim: Path) -> None:
    path.symlink_to(victim.with_name("made-by-us"))


@pytest.mark.attack
@pytest.mark.parametrize("trap", [to_a_file, second_name, fifo, a_directory, nowhere])
def test_a_lock_that_is_none(trap: Callable[[Path, Path], None], tmp_path: Path) -> None:
    """What it leads to is neither made nor emptied, and nobody waits for it."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    cache, state = Cache(tmp_path / "cache"), ownership.directory(tmp_path / "state", "it", "no")
    trap(cache.directory("locks") / "kind-key", victim)
    trap(state / state_lock.NAME, victim)
    uses: list[Callable[[], object]] = [
        lambda: cache.lock("kind", "key").__enter__(),
        lambda: cache.entry("kind", "key", lambda part: part.mkdir()),
        lambda: state_lock.held(state, "test", NOW).__enter__(),
    ]
    for use in uses:
        with pytest.raises(UsageError):
            use()
    directories = cache.directory("work")
    trap(directories / "left.lock", victim)
    (directories / "left").mkdir()
    sweep(cache)
    assert (directories / "left").is_dir()
    assert victim.read_text() == "precious"
    assert not victim.with_name("made-by-us").exists()


@pytest.mark.attack
def test_a_file_is_written_over_a_link_and_not_through_it(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "file").symlink_to(victim)
    own_files.write(tmp_path / "file", "ours")
    assert victim.read_text() == "precious"
    assert (tmp_path / "file").read_text() == "ours" and not (tmp_path / "file").is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "victim"]


HOOK = 'APT::Update::Pre-Invoke { "touch OWNED"; }; Dpkg::Pre-Invoke { "touch OWNED"; };\n'


@pytest.mark.attack
def test_a_configuration_that_was_put_into_our_apt(tmp_path: Path) -> None:
    """Commands, archives, keys and pins of theirs: apt reads none of them."""
    release = releases.find("bookworm")
    with (
        Signer("good") as signer,
        Signer("evil") as stranger,
        Archive(tmp_path / "good", signer) as good,
        Archive(tmp_path / "evil", stranger) as evil,
    ):
        for archive, version in ((good, "1.0-1"), (evil, "9.0-1")):
            archive.add_source(packages.make_source(tmp_path / version, version=version))
            archive.add_deb(packages.make_deb(tmp_path, "iproute2", version))
            archive.publish()
        sources = releases.sources(release, mirror=good.url, keyring=good.keyring)
        cache = Cache(tmp_path / "cache")

        def versions() -> tuple[list[str], list[str]]:
            archive = AptArchive(release, sources, cache)
            archive.update()
            found = archive.closure(["iproute2"])
            return [v.version for v in archive.versions("iproute2")], [p.version for p in found]

        assert versions() == (["1.0-1"], ["1.0-1"])
        (root,) = cache.directory("apt").iterdir()
        hook = HOOK.replace("OWNED", str(tmp_path / "owned"))
        stanza = f"deb [trusted=yes] {evil.url} bookworm main\n"
        key = stranger.keyring.read_bytes()
        for name, data in {
            "apt.conf.d/99evil": hook.encode(),
            "apt.conf": hook.encode(),
            "sources.list": stanza.encode(),
            "sources.list.d/evil.list": stanza.encode(),
            "trusted.gpg": key,
            "trusted.gpg.d/evil.gpg": key,
            "preferences": b"Package: *\nPin: version 1.*\nPin-Priority: -1\n",
            "preferences.d/evil": b"Package: *\nPin: version 1.*\nPin-Priority: -1\n",
            "../state/status": b"Package: iproute2\nStatus: install ok installed\nVersion: 1.0-1\n"
            b"Architecture: all\n\n",
        }.items():
            path = root / "etc" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        for path in cache.directory("solutions").glob("[!.]*"):
            path.unlink()
        assert versions() == (["1.0-1"], ["1.0-1"])
    assert not (tmp_path / "owned").exists()


# -- what we leave to them --------------------------------------------------------------


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.fault
@pytest.mark.parametrize("mask", [0, 0o002, 0o077])
def test_nobody_else_may_write_to_what_we_make(mask: int, tmp_path: Path) -> None:
    """Whatever the umask."""
    with umask(mask):
        cache = Cache(tmp_path / "not" / "there" / "cache")
        with cache.lock("kind", "key"), scratch(cache, "work"):
            pass
        state = tmp_path / "state"
        with state_lock.held(state, "test", NOW), State(state, create=True):
            made = [cache.root, *cache.root.rglob("*"), state, *state.rglob("*")]
            above = [path for path in cache.root.parents if path.is_relative_to(tmp_path)][:-1]
            modes = {path: path.stat().st_mode for path in (*made, *above)}
    assert len(modes) > 8
    for path, mode in modes.items():
        assert not mode & (stat.S_IWGRP | stat.S_IWOTH), path
    assert stat.S_IMODE(cache.root.stat().st_mode) == 0o700
    assert stat.S_IMODE(state.stat().st_mode) == 0o755, "a web server goes through it"


@pytest.mark.fault
def test_a_program_of_a_user_without_a_umask_writes_for_that_user_alone(tmp_path: Path) -> None:
    out = tmp_path / "new" / "units"
    words = ["-m", "pipeline", "init", "systemd", "--program", "/respin", "--out", str(out)]
    subprocess.run([sys.executable, *words], cwd=cli.CHECKOUT, check=True, umask=0)
    made = [out.parent, out, *out.iterdir()]
    assert len(made) == 4
    for path in made:
        assert not path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH), path


# -- and what is sound ------------------------------------------------------------------


def sticky(path: Path) -> Path:
    return directory(path, 0o1777) / "respin"


def own_link(path: Path) -> Path:
    path.symlink_to(directory(path.with_name("ours")))
    return path


def fresh_volume(path: Path) -> Path:
    """An empty one is closed to others and used: so some clusters give a pod its volumes."""
    return directory(path, 0o777)


@pytest.mark.fault
@pytest.mark.parametrize("place", [sticky, own_link, fresh_volume])
def test_a_sound_place_is_used(place: Place, tmp_path: Path) -> None:
    path = place(tmp_path / "place")
    Cache(path).directory("kind")
    assert not path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)


# -- the run's own directory ---------------------------------------------------------------


@pytest.mark.attack
def test_a_run_s_directory_where_everybody_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.isolation.namespaces.in_container", lambda: False)
    place = directory(tmp_path / "place", 0o777)
    with pytest.raises(UsageError, match="everybody may write"):
        rundirectory.check(place / "out")
    place.chmod(0o1777)
    rundirectory.check(place / "out")


@pytest.mark.attack
@as_root
def test_a_run_of_root_s_in_a_directory_of_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But where they called sudo for it, or have lent it to root of a container."""
    inside = [False]
    monkeypatch.setattr("pipeline.isolation.namespaces.in_container", lambda: inside[0])
    monkeypatch.delenv("SUDO_UID", raising=False)
    place = theirs_itself(tmp_path / "place")
    with pytest.raises(UsageError, match=f"belongs to user {OTHER}"):
        rundirectory.check(place / "out")
    monkeypatch.setenv("SUDO_UID", str(OTHER))
    rundirectory.check(place / "out")
    monkeypatch.delenv("SUDO_UID")
    inside[0] = True
    rundirectory.check(place / "out")
