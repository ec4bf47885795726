# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Somebody got into the cache all the same, and wants respin to use what they changed there.

This may be a build that broke out of its container, a neighbour with the same engine, or a failing
disk. Or it is nobody: the user's own keys once vouched for what a run with the distro's keys now
finds. respin checks each entry against what it was when it was made, and names it by its content
and by the keys that vouched for it.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.archives import keyrings
from pipeline.build import ccache
from pipeline.containers import images, roots
from pipeline.containers.oci_engine import OciEngine
from pipeline.host import command, compilers
from pipeline.host.cache import Cache
from pipeline.model import AptSource, Package, Release
from pipeline.smoke import guest_image
from pipeline.text.address import Address
from pipeline.vm import guest_programs

RELEASE = Release(distro="debian", codename="bookworm", version="12")


# -- what a run made --------------------------------------------------------------------


def make(part: Path) -> None:
    (part / "bin").mkdir(parents=True)
    (part / "bin/tool").write_text("genuine")
    (part / "bin/tool").chmod(0o755)
    (part / "bin/link").symlink_to("tool")


def other_bytes(entry: Path) -> None:
    (entry / "bin/tool").write_text("evil!!!")


def other_mode(entry: Path) -> None:
    (entry / "bin/tool").chmod(0o4755)


def one_more(entry: Path) -> None:
    (entry / "bin/more").write_text("evil")


def one_less(entry: Path) -> None:
    (entry / "bin/tool").unlink()


def another_name(entry: Path) -> None:
    (entry / "bin/tool").rename(entry / "bin/loot")


def other_link(entry: Path) -> None:
    (entry / "bin/link").unlink()
    (entry / "bin/link").symlink_to("/etc/passwd")


def link_for_a_file(entry: Path) -> None:
    (entry / "bin/tool").rename(entry.parent / "elsewhere")
    (entry / "bin/tool").symlink_to(entry.parent / "elsewhere")


def fifo_for_a_file(entry: Path) -> None:
    (entry / "bin/tool").unlink()
    os.mkfifo(entry / "bin/tool", 0o755)


def a_link_for_it_all(entry: Path) -> None:
    shutil.copytree(entry, entry.parent / "evil", symlinks=True)
    (entry.parent / "evil/bin/tool").write_text("evil")
    shutil.rmtree(entry)
    entry.symlink_to(entry.parent / "evil")


def no_seal(entry: Path) -> None:
    (entry / "bin/tool").write_text("evil")
    (entry.parent / ".seals" / entry.name).unlink()


def seal_without_end(entry: Path) -> None:
    seal = entry.parent / ".seals" / entry.name
    seal.unlink()
    seal.symlink_to("/dev/zero")


def as_if_nothing_was(entry: Path) -> None:
    """Of the same size, with the time of before."""
    before = (entry / "bin/tool").stat()
    (entry / "bin/tool").write_text("evil!!!")
    os.utime(entry / "bin/tool", ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = [
    *(other_bytes, other_mode, one_more, one_less, another_name, other_link, link_for_a_file),
    *(fifo_for_a_file, a_link_for_it_all, no_seal, seal_without_end, as_if_nothing_was),
]


@pytest.mark.attack
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("seal", [None, roots.seal], ids=["files", "tree of a root"])
def test_an_entry_that_was_changed_is_made_anew(
    change: Callable[[Path], None], seal: Callable[[Path], str] | None, tmp_path: Path
) -> None:
    cache = Cache(tmp_path / "cache")

    def entry() -> Path:
        remove = roots.remove_tree if seal else None
        return cache.entry("kind", "key", make, remove=remove, seal=seal)

    before = entry()
    assert entry() == before and not cache.changed
    change(before)
    after = entry()
    assert not after.is_symlink()
    tool = after / "bin/tool"
    assert tool.read_text() == "genuine" and not tool.is_symlink()
    assert stat.S_IMODE(tool.stat().st_mode) == 0o755
    assert (after / "bin/link").readlink() == Path("tool")
    assert sorted(p.name for p in (after / "bin").iterdir()) == ["link", "tool"]
    assert entry() == after


@pytest.mark.attack
def test_a_ccache_that_was_changed_is_not_unpacked(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.put(ccache.KIND, "name", lambda part: part.write_bytes(b"genuine"))
    (cache.root / "ccache/name").write_bytes(b"evil")
    inside = SimpleNamespace(call=lambda *words, **options: pytest.fail("it was"))
    ccache.bring(inside, cache, "name")  # type: ignore[arg-type]


# -- under whose keys -------------------------------------------------------------------


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, AptSource]:
    """Return one archive, as its distro's keys vouch for it, and as the user's own do."""
    found = {}
    for name in ("distro", "mine"):
        (tmp_path / f"{name}.gpg").write_text(f"keys: {name}")
        found[name] = AptSource(
            uri=Address("http://archive.example.org"),
            suites=("bookworm",),
            components=("main",),
            keyring=tmp_path / f"{name}.gpg",
        )
    return found


KEY = (Package(name="dpkg", version="1", architecture="amd64", sha256="0" * 64),)


@pytest.mark.attack
def test_a_root_by_the_user_s_own_keys_does_not_serve_the_distro_s(
    sources: dict[str, AptSource], tmp_path: Path
) -> None:
    """Even where both say that its packages are the same."""
    names = {n: roots.entry_key([s], RELEASE, [], KEY) for n, s in sources.items()}
    assert names["distro"] != names["mine"]
    guests = {n: guest_image.root_key([s], KEY) for n, s in sources.items()}
    assert guests["distro"] != guests["mine"]
    both = keyrings.trust(sources.values())
    assert both not in {keyrings.trust([source]) for source in sources.values()}
    copied = tmp_path / "another-name.gpg"
    copied.write_bytes(sources["distro"].keyring.read_bytes())
    again = AptSource(
        uri=Address("http://mirror.example.org"),
        suites=(),
        components=(),
        keyring=copied,
        frozen=True,
    )
    assert keyrings.trust([again]) == keyrings.trust([sources["distro"]])


# -- the images of an engine that others use, too ----------------------------------------


@dataclass(frozen=True, kw_only=True)
class Shared(OciEngine):
    """An engine with images in it, and names that anybody may give to another of them."""

    name: str = "docker"
    version: str = "20.10"
    ids: dict[str, str] = field(default_factory=dict)  # type: ignore[assignment]

    def call(self, *argv: object, **options: object) -> command.Completed:
        """Answer ``image inspect``."""
        assert argv[:2] == ("image", "inspect")
        found = self.ids.get(str(argv[-1]), "")
        return SimpleNamespace(status=0 if found else 1, text=found)  # type: ignore[return-value]


@pytest.mark.attack
def test_an_image_under_the_name_of_ours(tmp_path: Path) -> None:
    """Another user of the engine has given the name to an image of their own."""
    engine, cache, made = Shared(), Cache(tmp_path / "cache"), []

    def image(*parts: str) -> str:
        def make(name: str) -> str:
            made.append(name)
            number = f"sha256:{len(made):064x}"
            engine.ids.update({number: number, name: number})
            return number

        return images._kept(engine, cache, parts, make)

    genuine = image("what it is made of")
    engine.ids[made[0]] = "sha256:evil"
    assert image("what it is made of") == genuine and len(made) == 1
    assert image("something else") != genuine
    assert made[0] != made[1]
    del engine.ids[genuine]  # cleared away: what has its name now is not ours
    assert image("what it is made of") not in (genuine, "sha256:evil")
    assert len(made) == 3


# -- what compilers of this machine made --------------------------------------------------


@pytest.mark.attack
def test_what_another_compiler_made_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compiler, or a header, with a hole that has been mended since."""
    cache = Cache(tmp_path / "cache")
    compiled = []

    def gcc(argv: list[str | Path], **_: object) -> None:
        compiled.append(Path(argv[argv.index("-o") + 1]).write_text("compiled"))

    identity = ["old"]
    monkeypatch.setattr(compilers, "identity", lambda program: identity[0])
    monkeypatch.setattr(command, "run", gcc)
    old = guest_programs.agent(cache, None)
    assert guest_programs.agent(cache, None) == old and len(compiled) == 1
    identity[0] = "new"
    assert guest_programs.agent(cache, None) != old and len(compiled) == 2


@pytest.mark.attack
@pytest.mark.needs("gcc")
def test_a_compiler_is_known_by_its_version_and_its_headers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is asked of the machine: here of one whose gcc and dpkg-query say what we want."""
    says = {"gcc": "gcc 1", "dpkg-query": "libc6-dev 1"}

    def forget() -> None:
        compilers.identity.cache_clear()
        compilers._words.cache_clear()

    def known() -> str:
        for name, text in says.items():
            (tmp_path / name).write_text(f"#!/bin/sh\necho '{text}'\n")
            (tmp_path / name).chmod(0o755)
        forget()
        return compilers.identity("gcc")

    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    try:
        first = known()
        assert known() == first
        says["dpkg-query"] = "libc6-dev 2"
        second = known()
        says["gcc"] = "gcc 2"
        assert len({first, second, known()}) == 3
    finally:
        forget()
