# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A source is to be read where no sandbox is possible, or by a tool started without one.

On a machine that allows none, nothing is read or even downloaded. In the user's own container,
that container is the wall, which is enough for what the signed index of an archive lists; what an
attacker may have given the user is read there only if the user says so.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import fixpage, hostilesource, inprocess, ownpatches
from support.archive import Archive, Signer
from support.cli import Said
from support.packages import make_deb
from support.real import checked

import pipeline
from pipeline.errors import UsageError
from pipeline.fixes import own_fix, own_patch
from pipeline.host import command
from pipeline.host.cache import Cache
from pipeline.isolation import namespaces, sandbox
from pipeline.isolation.sandbox import Wall
from pipeline.runs import lockfile, lockfile_reader
from pipeline.runs.lockfile import LockedFix, LockedPatch

pytestmark = pytest.mark.attack

ROOT = os.geteuid() == 0
PACKAGE = Path(pipeline.__file__).parent
NO_RIGHTS = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
"""Root without CAP_SYS_ADMIN, as in a step of docker build."""

READERS = {
    *("dpkg-source", "dpkg-parsechangelog", "dpkg-genchanges", "dpkg-genbuildinfo", "dpkg-deb"),
    *("spatch", "clang-format", "diff", "patch", "quilt", "git", "debdiff", "tar", "gzip", "zstd"),
    *("dpkg-buildpackage", "make", "xz", "ar", "tc", "ip"),
}
"""What reads a source, or a package that was built of one."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    directory = tmp_path_factory.mktemp("archive")
    with Signer("distro") as signer, Archive(directory, signer) as serving:
        serving.add_source(hostilesource.make(directory / "listed"))
        serving.add_deb(make_deb(directory, "libbpf-dev", "1:1.1.0-1"))
        serving.publish()
        yield serving


def options(archive: Archive, directory: Path) -> list[str | Path]:
    where = ["--release", "bookworm", "--mirror", archive.url, "--keyring", str(archive.keyring)]
    return [*where, "--cache", directory / "cache", "--out", directory / "out"]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path) -> None:
    checked(tmp_path / "cache")


@pytest.fixture
def here() -> Iterator[None]:
    """What was found out of this machine is forgotten, before and after."""
    for each in (sandbox.wall, namespaces.trouble):
        each.cache_clear()
    yield
    for each in (sandbox.wall, namespaces.trouble):
        each.cache_clear()


# -- somebody's container -------------------------------------------------------------------


def confined(directory: Path, *args: str | Path) -> subprocess.CompletedProcess[str]:
    """Call respin as root in a container whose engine allows no namespaces."""
    return subprocess.run(
        [*NO_RIGHTS, sys.executable, "-m", "pipeline", *map(str, args)],
        cwd=directory,
        env={**os.environ, "container": "docker", "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.needs("spatch")
@pytest.mark.needs("bwrap")
@pytest.mark.skipif(not ROOT, reason="an ordinary user has no rights to give up")
class TestContainer:
    @pytest.mark.parametrize("command", ["patch", "run", "diagnose"])
    @pytest.mark.parametrize("kind", ["dsc", "tree"])
    def test_a_source_that_nobody_vouches_for(
        self, archive: Archive, tmp_path: Path, kind: str, command: str
    ) -> None:
        dsc, tree = hostilesource.make(tmp_path / "in"), hostilesource.tree(tmp_path / "tree")
        given = [f"--{kind}", str(dsc if kind == "dsc" else tree)]
        before = len(archive.answers)
        words = [] if command == "diagnose" else options(archive, tmp_path)
        said = confined(tmp_path, command, *words, *given)
        assert said.returncode == 10, said.stderr
        assert "no signed index vouches for" in " ".join(said.stderr.split())
        assert "--trust-container" in said.stderr
        assert len(archive.answers) == before and not (tmp_path / "out").exists()

    def test_a_run_directory_that_says_it_is_vouched_for(
        self, archive: Archive, tmp_path: Path
    ) -> None:
        words = options(archive, tmp_path)
        assert inprocess.respin("fetch", *words).status == 0
        report = json.loads((tmp_path / "out/report.json").read_text())
        assert report["source"]["indexed"] is True
        (tmp_path / "out").rename(tmp_path / "earlier")
        more = [word for word in words if word not in ("--release", "bookworm")]
        said = confined(tmp_path, "patch", tmp_path / "earlier", *more)
        assert said.returncode == 10 and "--trust-container" in said.stderr, said.stderr

    def test_the_user_says_so(self, archive: Archive, tmp_path: Path) -> None:
        given = ["--dsc", str(hostilesource.make(tmp_path / "in")), "--trust-container"]
        said = confined(tmp_path, "patch", *options(archive, tmp_path), *given)
        assert said.returncode == 0, said.stderr
        assert "inside this container" in " ".join(said.stderr.split())
        assert json.loads((tmp_path / "out/report.json").read_text())["sandbox"] == "container"

    def test_what_the_signed_index_lists(self, archive: Archive, tmp_path: Path) -> None:
        """The control; and the same bytes as in the sandbox."""
        said = confined(tmp_path, "patch", *options(archive, tmp_path))
        assert said.returncode == 0, said.stderr
        report = json.loads((tmp_path / "out/report.json").read_text())
        assert (report["sandbox"], report["source"]["indexed"]) == ("container", True)
        other = tmp_path / "other"
        other.mkdir()
        assert inprocess.respin("patch", *options(archive, other)).status == 0
        again = json.loads((other / "out/report.json").read_text())
        assert again["sandbox"] == "bubblewrap"
        for path in sorted((tmp_path / "out/patched").glob("*.*")):
            assert path.read_bytes() == (other / "out/patched" / path.name).read_bytes()


# -- a machine that has none ----------------------------------------------------------------


def refused(archive: Archive, directory: Path, *args: str | Path) -> str:
    """Ask for a patch on this machine; return the words by which nothing was done."""
    before = len(archive.answers)
    said = inprocess.respin("patch", *options(archive, directory), *args)
    assert said.status == 2, said.err
    assert said.err.startswith("respin: ") and "Traceback" not in said.err
    assert len(archive.answers) == before, "something was downloaded"
    assert not (directory / "out").exists()
    return " ".join(said.err.split())


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("args", [(), ("--trust-container",)])
def test_bubblewrap_is_not_there(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    real = command.which
    monkeypatch.setattr(command, "which", lambda name: None if name == "bwrap" else real(name))
    assert "apt-get install bubblewrap" in refused(archive, tmp_path, *args)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("args", [(), ("--trust-container",)])
def test_no_namespaces_on_what_is_no_container(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    """The option is of no use there: nothing is around respin but the machine."""
    monkeypatch.setattr(namespaces, "in_container", lambda: False)
    monkeypatch.setattr(sandbox, "_bubblewrap", lambda *_: ["sh", "-c", "echo closed >&2; exit 1"])
    words = refused(archive, tmp_path, *args)
    assert "cannot make a sandbox" in words and "closed" in words


@pytest.mark.usefixtures("here")
def test_a_container_in_which_only_bubblewrap_fails(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ails it, there is no falling back in silence where namespaces are to be had."""
    if not namespaces.possible():
        pytest.skip("no namespaces here")
    monkeypatch.setattr(namespaces, "in_container", lambda: True)
    monkeypatch.setattr(sandbox, "_bubblewrap", lambda *_: ["sh", "-c", "echo broken >&2; exit 1"])
    assert "broken" in refused(archive, tmp_path)


# -- what is of a user's own, in a run that somebody has given them -------------------------

AGAIN = {
    "build": ["build", "{run}"],
    "build for another": ["build", "{run}", "--architecture", "arm64"],
    "prove": ["prove", "{run}"],
    "patch": ["patch", "{run}"],
    "run": ["run", "--locked", "{run}/respin.lock"],
}


def theirs(archive: Archive, directory: Path, kind: str) -> Path:
    """Return a run whose lock names a patch, or a fix, that lies beside it; or neither."""
    words = options(archive, directory)
    assert inprocess.respin("fetch", *words).status == 0
    run = (directory / "out").rename(directory / "theirs")
    lock = lockfile_reader.read(run / lockfile.NAME)
    if kind == "patch":
        own = own_patch.read_all([], [ownpatches.write(directory, ownpatches.GOOD)])
        named = [LockedPatch(name=o.name, sha256=o.sha256, optional=False) for o in own]
        lockfile.write(replace(lock, patches=tuple(named)), run, own)
    if kind == "fix":
        fix = own_fix.read(fixpage.write(directory), Cache(directory / "cache"))
        locked = LockedFix(name=fix.name, sha256=lockfile.content_of(fix))
        fixes = (*lock.fixes, fix.name)
        lockfile.write(replace(lock, fixes=fixes, own_fixes=(locked,)), run, (), [fix])
    return run


def again(archive: Archive, directory: Path, run: Path, words: list[str]) -> Said:
    """Continue from that run; nothing is asked of the archive, nothing is compiled or left."""
    before, compiled = len(archive.answers), directory / "cache/objects"
    given = [each.format(run=run) for each in words]
    locked = "--locked" in given
    more = [w for w in options(archive, directory) if w not in ("--release", "bookworm")]
    said = inprocess.respin(*given, *more, *(["--offline"] if locked else []))
    assert said.err.startswith("respin: ") and "Traceback" not in said.err
    assert len(archive.answers) == before and not compiled.exists()
    assert not (directory / "out").exists()
    return said


@pytest.mark.parametrize("words", AGAIN.values(), ids=AGAIN)
@pytest.mark.parametrize("kind", ["patch", "fix"])
def test_a_patch_and_a_fix_of_somebody_in_a_container_without_a_sandbox(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, words: list[str]
) -> None:
    run = theirs(archive, tmp_path, kind)
    monkeypatch.setattr(sandbox, "wall", lambda: Wall.CONTAINER)
    said = again(archive, tmp_path, run, words)
    assert said.status == 10, said.err
    told = " ".join(said.err.split())
    assert f"no signed index vouches for the patches and fixes beside {run}/respin.lock" in told
    # build and prove do not have that option.
    assert ("--trust-container" in told) == (words[0] in ("patch", "run"))


@pytest.mark.parametrize("words", AGAIN.values(), ids=AGAIN)
@pytest.mark.parametrize("kind", ["patch", "fix"])
def test_a_patch_and_a_fix_of_somebody_on_a_machine_without_a_sandbox(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, words: list[str]
) -> None:
    def none() -> Wall:
        raise UsageError("the program bwrap is missing")

    run = theirs(archive, tmp_path, kind)
    monkeypatch.setattr(sandbox, "wall", none)
    said = again(archive, tmp_path, run, words)
    assert said.status == 2 and "the program bwrap is missing" in said.err, said.err


@pytest.mark.parametrize("given", [("--patch", "mine.patch"), ("--fix", "./section-or-name")])
def test_a_patch_and_a_fix_of_the_users_on_a_machine_without_a_sandbox(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, str]
) -> None:
    def none() -> Wall:
        raise UsageError("the program bwrap is missing")

    ownpatches.write(tmp_path, ownpatches.GOOD)
    fixpage.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sandbox, "wall", none)
    before = len(archive.answers)
    said = inprocess.respin("run", *options(archive, tmp_path), *given)
    assert said.status == 2 and said.err.startswith("respin: the program bwrap is missing")
    assert len(archive.answers) == before and not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", AGAIN.values(), ids=AGAIN)
def test_a_run_without_any_is_not_refused_for_them(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """The control: what ends it is something else, if anything does."""
    run = theirs(archive, tmp_path, "neither")
    monkeypatch.setattr(sandbox, "wall", lambda: Wall.CONTAINER)
    monkeypatch.setattr(command, "which", lambda name: None)  # it must not go on for minutes
    given = [each.format(run=run) for each in words]
    more = [w for w in options(archive, tmp_path) if w not in ("--release", "bookworm")]
    said = inprocess.respin(*given, *more)
    assert said.status != 0 and "the patches and fixes" not in " ".join(said.err.split())


# -- a tool that is started without it ------------------------------------------------------


def first_words(call: ast.Call) -> list[str]:
    """Return the program's name of a call whose first argument is a list that begins with it."""
    if not call.args or not isinstance(call.args[0], ast.List | ast.Tuple):
        return []
    words = call.args[0].elts[:1]
    return [w.value for w in words if isinstance(w, ast.Constant) and isinstance(w.value, str)]


def test_no_code_starts_a_reader_by_itself() -> None:
    """command.run starts no program that reads a source; sandbox.run does."""
    found, seen = [], set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            by = ast.unparse(node.func)
            for word in first_words(node):
                if by == "sandbox.run":
                    seen.add(word)
                # dpkg-deb --build writes a package of what is our own, and reads none.
                elif (
                    by.endswith(".run") and word in READERS and "'--build'" not in ast.unparse(node)
                ):
                    found.append(f"{path.name}:{node.lineno}: {word}")
    assert found == []
    assert {"dpkg-source", "spatch", "clang-format", "diff", "dpkg-deb"} <= seen


@pytest.mark.needs("spatch")
@pytest.mark.needs("bwrap")
@pytest.mark.parametrize("kind", ["dsc", "tree"])
def test_no_run_starts_a_reader_by_itself(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Of all that a run starts, only the sandbox is given what is of the source."""
    started: list[list[str]] = []
    real: Any = command.run

    def noting(argv: Any, **more: Any) -> Any:
        started.append([*map(str, argv), ""])
        return real(argv, **more)

    monkeypatch.setattr(command, "run", noting)
    dsc, tree = hostilesource.make(tmp_path / "in"), hostilesource.tree(tmp_path / "tree")
    given = [f"--{kind}", str(dsc if kind == "dsc" else tree)]
    said = inprocess.respin("patch", *options(archive, tmp_path), *given)
    assert said.status == 0, said.err
    readers = {"dpkg-source", "spatch", "clang-format", "diff"} | ({"gzip"} & {kind})
    through = "sandbox-enter.sh"
    inside = [argv for argv in started if through in argv[1]]
    outside = [argv for argv in started if through not in argv[1]]
    assert all(any(word in argv for argv in inside) for word in readers)
    for argv in outside:
        assert not {Path(word).name for word in argv} & READERS, argv
        assert not [word for word in argv if f"{tmp_path}/tree" in word or "/.work/" in word], argv
