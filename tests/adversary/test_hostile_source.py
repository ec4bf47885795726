# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The author of a source package or tree wants to run, read or write on this machine.

This machine's own tools (dpkg-source, spatch, diff …) and respin read a source. No part of it
may run outside the sandbox, whether root or a user calls respin; none of its links may lead respin
to other files; and what it says about its packaging may not undo the patch.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import cli, hostilesource, inprocess, users
from support.archive import Archive, Signer
from support.cli import Said
from support.hostilesource import FIFO, ZERO, Other
from support.packages import make_deb, make_source
from support.real import checked

from pipeline.errors import RespinError
from pipeline.fixes import fixes, patch
from pipeline.isolation import sandbox
from pipeline.releases import releases
from pipeline.source import fetch, source_tree

pytestmark = [pytest.mark.attack, pytest.mark.needs("spatch"), pytest.mark.needs("bwrap")]

ROOT = os.geteuid() == 0
SECRET = "the-secret-outside"
UP = "../" * 40

GIT_CONFIG = "[core]\n\trepositoryformatversion = 0\n\tfsmonitor = {command}\n"
GIT = {".git/HEAD": "ref: refs/heads/main\n", ".git/objects/x": "", ".git/refs/heads/x": ""}


def git(command: str) -> dict[str, str]:
    """Return the files of a repository that runs a command when git looks at it."""
    return {**GIT, ".git/config": GIT_CONFIG.format(command=command)}


@dataclass(frozen=True)
class World:
    """An archive to be asked, and a place with a file of somebody else's."""

    archive: Archive
    directory: Path

    @property
    def outside(self) -> Path:
        return self.directory / "outside"

    def words(self, command: str, *more: str | Path) -> list[str | Path]:
        where = ["--mirror", self.archive.url, "--keyring", str(self.archive.keyring)]
        own: list[str | Path] = [
            "--cache",
            self.directory / "cache",
            "--out",
            self.directory / "out",
        ]
        return [command, "--release", "bookworm", *where, *own, *more]

    def respin(self, command: str, *more: str | Path) -> Said:
        return inprocess.respin(*self.words(command, *more), cwd=self.directory)

    def taken(self, *more: str | Path) -> Path:
        """Patch something; return the directory with the new source package."""
        said = self.respin("patch", *more)
        assert said.status == 0, said.err
        return self.directory / "out/patched"

    def refused(self, command: str, *more: str | Path, code: int = 10) -> str:
        """Ask for something that is refused; return the words."""
        begun = time.monotonic()
        said = self.respin(command, *more)
        assert said.status == code, (said.out, said.err)
        assert said.err.startswith("respin: ") and "Traceback" not in said.err
        assert time.monotonic() - begun < 60
        assert SECRET not in said.err
        self.nothing_left()
        return " ".join(said.err.split())

    def nothing_left(self) -> None:
        assert not (self.directory / "out").exists()
        assert [p.name for p in self.directory.iterdir() if p.name.startswith(".")] == []
        assert sorted(p.name for p in self.outside.iterdir()) == ["secret"]
        assert (self.outside / "secret").read_text() == SECRET


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    directory = tmp_path_factory.mktemp("archive")
    directory.chmod(0o755)
    with Signer("distro") as signer, Archive(directory, signer) as serving:
        serving.add_source(make_source(directory / "source", version="6.0.0-1"))
        serving.add_deb(make_deb(directory, "libbpf-dev", "1:1.1.0-1"))
        serving.publish()
        yield serving


@pytest.fixture
def world(archive: Archive, tmp_path: Path) -> World:
    checked(tmp_path / "cache")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text(SECRET)
    return World(archive, tmp_path)


@pytest.fixture(scope="module")
def user() -> Iterator[str]:
    """Return the name of an ordinary user; for tests that are run as root."""
    if not ROOT:
        pytest.skip("only root can become another user")
    with users.ordinary() as name:
        yield name
    cli.remove_installed()


# -- the control --------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["3.0 (quilt)", "3.0 (native)", "1.0"])
def test_a_source_without_harm_is_patched(world: World, form: str) -> None:
    made = world.taken("--dsc", hostilesource.make(world.directory / "in", said=form, own=form))
    assert [p.suffix for p in made.iterdir() if p.suffix == ".dsc"] == [".dsc"]
    world.outside.joinpath("secret").stat()


# -- a program of the source's own ----------------------------------------------------------


@pytest.mark.parametrize("command", ["patch", "run"])
@pytest.mark.parametrize("said", ["3.0 (quilt)", "3.0 (git)"])
def test_a_git_configuration_that_runs_a_command(world: World, said: str, command: str) -> None:
    """dpkg-source -b of a tree in the format 3.0 (git) has git look at it."""
    canary = world.directory / "canary"
    files = git(f"touch {canary}; false")
    dsc = hostilesource.make(world.directory / "in", said=said, own="3.0 (git)", files=files)
    assert "3.0 (git)" in world.refused(command, "--dsc", dsc)
    assert not canary.exists()


@pytest.mark.parametrize("command", ["patch", "run"])
def test_a_git_configuration_in_a_tree(world: World, command: str) -> None:
    canary = world.directory / "canary"
    files = git(f"touch {canary}; false")
    tree = hostilesource.tree(world.directory / "tree", form="3.0 (git)", files=files)
    assert "3.0 (git)" in world.refused(command, "--tree", tree)
    assert not canary.exists()


@pytest.mark.parametrize("given", ["dsc", "tree"])
def test_a_git_configuration_as_an_ordinary_user(world: World, user: str, given: str) -> None:
    home = Path(f"/home/{user}")
    canary = home / "canary"
    files = git(f"touch {canary}; false")
    with tempfile.TemporaryDirectory(prefix="respin-hostile-") as name:
        place = Path(name)
        hostilesource.make(place / "in", own="3.0 (git)", files=files)
        hostilesource.tree(place / "tree", form="3.0 (git)", files=files)
        shutil.copy(world.archive.keyring, place / "keyring.gpg")
        subprocess.run(["chmod", "-R", "a+rX", place], check=True)
        source = place / ("in/iproute2_6.1.0-3.dsc" if given == "dsc" else "tree")
        where = ["--mirror", world.archive.url, "--keyring", str(place / "keyring.gpg")]
        said = cli.respin(
            *("patch", "--release", "bookworm", *where, f"--{given}", str(source)),
            *("--out", home / "out"),
            user=user,
            cache=home / "cache",
        )
    assert (said.status, "3.0 (git)" in said.err) == (10, True), said.err
    assert not canary.exists() and not (home / "out").exists()


def test_a_git_configuration_where_the_format_is_not_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second wall: git does run, in the sandbox, and what it runs reaches nothing."""
    monkeypatch.setattr(source_tree, "FORMATS", (*source_tree.FORMATS, "3.0 (git)"))
    monkeypatch.setattr(source_tree, "VCS", frozenset[str]())
    canary, inside = world.directory / "canary", "/tmp/canary"
    line = f"touch {canary} {inside}; test -e {inside} && echo fsmonitor-ran >&2; false"
    tree = hostilesource.tree(world.directory / "tree", form="3.0 (git)")
    subprocess.run(["git", "init", "-q", tree], check=True)
    subprocess.run(["git", "-C", tree, "add", "-A"], check=True)
    author = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", "-C", tree, *author, "commit", "-qm", "x"], check=True)
    subprocess.run(["git", "-C", tree, "config", "core.fsmonitor", line], check=True)
    said = world.respin("patch", "--tree", tree, "--verbose")
    log = max((world.directory / "cache/logs").iterdir()) / "fetch.log"
    assert "fsmonitor-ran" in log.read_text(), said.err
    assert not canary.exists() and not Path(inside).exists()


def test_directories_of_version_control_systems(
    world: World, count: Callable[[str, int], None]
) -> None:
    """They do not come out of the source package, at any depth of it; nor files, nor links."""
    files: dict[str, str | Other] = {"lib/CVS": Other("../tc"), "tc/.git": f"gitdir: {UP}tmp\n"}
    for name in source_tree.VCS:
        files |= {f"{name}/config": "x", f"doc/{name}/hooks/x": "x"}
    dsc = hostilesource.make(
        world.directory / "in", said="3.0 (native)", own="3.0 (native)", files=files
    )
    with tarfile.open(next(world.taken("--dsc", dsc).glob("*.tar.xz"))) as tar:
        names = {part for name in tar.getnames() for part in name.split("/")}
    assert "lib" in names and not names & source_tree.VCS
    count("attack", len(files))


# -- formats, and what a tree tells dpkg-source ---------------------------------------------


@pytest.mark.parametrize(
    ("said", "own"),
    [
        ("3.0 (quilt)", "3.0 (native)"),
        ("3.0 (quilt)", "1.0"),
        ("3.0 (native)", "3.0 (quilt)"),
        ("1.0", "3.0 (quilt)"),
        ("3.0 (quilt)", "2.0"),
        ("3.0 (quilt)", "3.0 (custom)"),
        ("3.0 (quilt)", "3.0 (bzr)"),
        ("3.0 (quilt)", "3.0 (quilt)\n3.0 (git)"),
        ("3.0 (quilt)", "3.0  (quilt)"),
        ("3.0 (quilt)", "3.0 (quilt) "),
        ("3.0 (quilt)", ""),
        ("3.0 (quilt)", "x" * 70_000),
    ],
)
def test_two_formats_or_a_strange_one(world: World, said: str, own: str) -> None:
    dsc = hostilesource.make(world.directory / "in", said=said, own=own)
    assert "debian/source/format" in world.refused("patch", "--dsc", dsc)


@pytest.mark.parametrize("said", ["3.0 (git)", "3.0 (bzr)", "3.0 (custom)", "2.0", "1.0 (x)", "0"])
def test_a_format_that_is_not_taken(world: World, said: str) -> None:
    assert "does not accept" in world.refused(
        "patch", "--dsc", hostilesource.make(world.directory / "in", said=said)
    )


@pytest.mark.parametrize(
    "line",
    [
        "no-preparation",
        "skip-patches",
        "--skip-debianization",
        "ignore-bad-version",
        "-DVersion=9.9-1",
        "-l/etc/passwd",
        "version",
        "help",
        "require-valid-signature",
        "format = 3.0 (git)",
        "compression = xz\nskip-patches",
        "git-depth=1",
    ],
)
@pytest.mark.parametrize("name", ["options", "local-options"])
def test_an_option_of_dpkg_source(world: World, name: str, line: str) -> None:
    dsc = hostilesource.make(
        world.directory / "in", files={f"debian/source/{name}": f"# x\n\n{line}\n"}
    )
    words = world.refused("patch", "--dsc", dsc)
    assert f"debian/source/{name} sets an option" in words


def test_options_of_a_package_that_means_no_harm(world: World) -> None:
    options = 'compression = "xz"\ncompression-level=9\nextend-diff-ignore = "\\.po$"\ntar-ignore\n'
    files = {"debian/source/options": options, "debian/source/patch-header": "x\n"}
    world.taken("--dsc", hostilesource.make(world.directory / "in", files=files))


@pytest.mark.parametrize(
    ("form", "line"),
    [("3.0 (quilt)", "tar-ignore = respin-*"), ("3.0 (native)", "tar-ignore = bpf*.c")],
)
def test_an_option_that_leaves_the_patch_out(world: World, form: str, line: str) -> None:
    files = {"debian/source/options": f"{line}\n"}
    dsc = hostilesource.make(world.directory / "in", said=form, own=form, files=files)
    world.refused("patch", "--dsc", dsc, code=12)


def test_a_changelog_in_a_format_of_its_own(world: World) -> None:
    """dpkg loads the Perl module that the end of the changelog names."""
    (world.directory / "Evil.pm").write_text(f"open F, '>', '{world.directory}/canary';\n1;\n")
    text = f"{hostilesource.CHANGELOG}\n# changelog-format: evil \n"
    dsc = hostilesource.make(world.directory / "in", files={"debian/changelog": text})
    world.refused("patch", "--dsc", dsc, code=12)
    assert not (world.directory / "canary").exists()


# -- links, devices, and what is beyond measure ---------------------------------------------

STRANGE: dict[str, Callable[[Path], dict[str, str | Other]]] = {
    "changelog": lambda out: {"debian/changelog": Other(str(out / "secret"))},
    "changelog-relative": lambda out: {"debian/changelog": Other(f"{UP}{out}/secret")},
    "control": lambda out: {"debian/control": Other(str(out / "secret"))},
    "patches": lambda out: {"debian/patches": Other(str(out))},
    "series": lambda out: {
        "debian/patches/x": "",
        "debian/patches/series": Other(str(out / "secret")),
    },
    "format": lambda out: {"debian/source/format": Other(str(out / "secret"))},
    "source": lambda out: {"debian/source": Other(str(out))},
    "code": lambda out: {"lib/bpf.c": Other(str(out / "secret"))},
    "folder-of-code": lambda out: {"tc": Other(str(out))},
    "anywhere": lambda out: {"doc/x/y/z": Other(str(out / "secret"))},
    "by-two-steps": lambda out: {"here": Other("."), "x": Other(f"here/../../..{out}/secret")},
    "endless-file": lambda _: {"tc/tc_bpf.c": Other("/dev/zero")},
    "its-own-process": lambda _: {"tc/tc_bpf.c": Other("/proc/self/mem")},
    "fifo": lambda _: {"debian/series": FIFO},
    "fifo-of-code": lambda _: {"tc/tc_bpf.c": FIFO},
    "fifo-as-options": lambda _: {"debian/source/options": FIFO},
    "deep": lambda _: {"a/" * 90 + "x": "x"},
}


@pytest.mark.parametrize("kind", STRANGE)
def test_a_link_or_a_device_in_a_source_package(world: World, kind: str) -> None:
    files = STRANGE[kind](world.outside)
    given = {name for name, content in files.items() if isinstance(content, Other)}
    without = next(iter(given), "") if kind in ("source", "folder-of-code") else ""
    dsc = hostilesource.make(
        world.directory / "in", files=files, without=f"{without}/" if without else ""
    )
    world.refused("patch", "--dsc", dsc)


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("command", ["patch", "diagnose"])
def test_a_link_or_a_device_in_a_tree(world: World, command: str, kind: str) -> None:
    tree = hostilesource.tree(world.directory / "tree")
    for name, content in STRANGE[kind](world.outside).items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            subprocess.run(["rm", "-r", path], check=True)
        path.unlink(missing_ok=True)
        if not isinstance(content, Other):
            path.write_text(content)
        elif content == FIFO:
            os.mkfifo(path)
        else:
            path.symlink_to(content.target)
    if command == "patch":
        world.refused("patch", "--tree", tree)
        return
    said = inprocess.respin("diagnose", "--tree", tree)
    assert (said.status, "does not accept" in said.err) == (10, True), said.err
    assert SECRET not in said.err + said.out


@pytest.mark.skipif(not ROOT, reason="only root makes devices")
def test_a_device_in_a_tree(world: World) -> None:
    tree = hostilesource.tree(world.directory / "tree")
    (tree / "tc").mkdir()
    os.mknod(tree / "tc/tc_bpf.c", 0o644 | stat.S_IFCHR, os.makedev(*ZERO.device))
    world.refused("patch", "--tree", tree)


def test_a_link_that_stays_in_the_source(world: World) -> None:
    files = {"doc/x": Other("../lib/bpf_legacy.c"), "doc/gone": Other("nowhere")}
    world.taken("--dsc", hostilesource.make(world.directory / "in", files=files))


def test_an_upstream_tarball_that_is_a_link(world: World) -> None:
    """What lies beside a tree is taken into the source package, and is published with it."""
    tree = hostilesource.tree(world.directory / "in/tree")
    hostilesource.tarball(world.outside / "private.tar.gz", {"x": SECRET}, "x/")
    (tree.parent / "iproute2_6.1.0.orig.tar.gz").symlink_to(world.outside / "private.tar.gz")
    said = world.respin("patch", "--tree", tree)
    assert (said.status, "leads out of its directory" in " ".join(said.err.split())) == (10, True)


@pytest.mark.parametrize(("number", "size"), [(1, 100 << 30), (5, 900 << 20)])
def test_sparse_files(world: World, number: int, size: int) -> None:
    """Of a few bytes in the tarball; the sum of the tarball's own bytes says nothing of it."""
    dsc = hostilesource.make(world.directory / "in")
    # Made by tar itself, which alone writes sparse files; in the place of the upstream tarball.
    directory = dsc.parent / "iproute2-6.1.0"
    directory.mkdir()
    for name in map(str, range(number)):
        with (directory / name).open("wb") as file:
            file.seek(size)
            file.write(b"x")
    argv = ["tar", "-czSf", "iproute2_6.1.0.orig.tar.gz", directory.name]
    subprocess.run(argv, cwd=dsc.parent, check=True)
    shutil.rmtree(directory)
    hostilesource.sums(dsc)
    world.refused("patch", "--dsc", dsc)


def test_the_caller_s_own_coccinelle_configuration(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What spatch reads in the caller's home would change the patch: it sees no home."""
    home = world.directory / "home"
    home.mkdir()
    (home / ".cocciconfig").write_text("[spatch]\n\toptions = --no-such-option\n")
    monkeypatch.setenv("HOME", str(home))
    world.taken("--dsc", hostilesource.make(world.directory / "in"))


# -- the lower walls hold by themselves -----------------------------------------------------


def test_the_patched_source_says_another_version(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were an option let through that sets a field of the new .dsc, it would be seen there."""
    monkeypatch.setattr(source_tree, "OPTIONS", source_tree.OPTIONS | {"-DVersion"})
    source = fetch.local(
        hostilesource.make(world.directory / "in"), world.directory / "s", releases.find("bookworm")
    )
    tree = fetch.unpack(source, world.directory / "tree")
    real = sandbox.run

    def with_an_option(argv: list[str], **more: object) -> object:
        changed = ["dpkg-source", "-DVersion=9.9-1", *argv[1:]] if "-b" in argv else argv
        return real(changed, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(sandbox, "run", with_an_option)
    with pytest.raises(RespinError, match="instead of iproute2 "):
        patch.patch(source, tree, fixes.all_fixes(), world.directory / "patched")
    assert not (world.directory / "patched").exists()
