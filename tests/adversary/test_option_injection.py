# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Values that look like options: a version `-o…`, a file `-x`, a package `-y` in an index.

The attacker names something (a version in a Jenkins form, a file in a shared directory, a package
in an archive) so that a program that respin starts takes it for one of its options. The aim is an
option that runs a command (`apt-get -o`, `tar --checkpoint-action`, `git --upload-pack`).

A path that begins with a dash gets "./" before it, in one place (command.word). WORDS lists every
other foreign value that appears on a command line, and where it is refused; one that is not
refused comes after "--" or in the middle of a word (``--name=VALUE``).
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import engines, inprocess
from support.filled import filled
from support.packages import make_deb

from pipeline.archives import dsc_file, resolve
from pipeline.archives.index import Index
from pipeline.config import config
from pipeline.containers import base, images, oci_engine
from pipeline.errors import FetchError, RespinError, UsageError
from pipeline.host import command
from pipeline.publish import dput, keys
from pipeline.releases import releases
from pipeline.runs import lockfile_reader
from pipeline.smoke import tested_packages, user_object
from pipeline.smoke.bpf_object import Description
from pipeline.smoke.user_object import UserObject

NO_VERSIONS = [
    *("-o", "-oDPkg::Pre-Invoke::=id", "--help", "-1"),
    *("1:2:3-", "1:2:3", "1-", "1:", ":1", "x:1", "", " 1", "1 ", "1\n", "1\n2"),
    *("+1", "~1", "a1", "1_2", "1;id", "1/../2", "1é", "٣", "9999999999:1", "1" * 200),
]
EVIL = ("-x", "--help", "-oDPkg::Pre-Invoke::=id", "--upload-pack=id")
BOOKWORM = releases.find("bookworm")


@pytest.mark.bad_input
@pytest.mark.parametrize("text", NO_VERSIONS)
def test_a_version_that_is_none(text: str) -> None:
    assert not dsc_file.version_text(text)


@pytest.mark.parametrize("text", ["6.1.0-3", "1:2.0+x-1~bpo12+1", "0", "1--1", "6.9~rc1-1ubuntu2"])
@pytest.mark.bad_input
def test_control_what_is_a_version_is_still_one(text: str) -> None:
    assert dsc_file.version_text(text)


@pytest.mark.attack
@pytest.mark.parametrize(
    "args",
    [
        *(["fetch", "--release", "bookworm", "--version", text] for text in EVIL),
        ["fetch", "--release", "-x"],
        ["fetch", "--release", "bookworm", "--mirror", "-x"],
        ["run", "--case", "-x"],
        ["run", "--way", "-x"],
        ["run", "--fix", "-x"],
        ["run", "--image", "--privileged", "--container", "docker"],
        ["init", "kubernetes", "--image", "-x"],
        ["init", "cron", "--program", "-x"],
        ["init", "cron", "--program", "/x", "--user", "-x"],
        ["init", "github", "--ref", "-x", "--repository", "https://x/y"],
        ["init", "github", "--ref", "main", "--repository", "-x"],
        ["init", "github", "--ref", "x", "--repository", "https://x/y", "--rsync-to", "-x"],
        ["init", "buildbot", "--config", "/x", "--worker", "-x=amd64"],
        ["publish", "--to", "dput:-x", "."],
    ],
    ids=" ".join,
)
def test_on_the_command_line(tmp_path: Path, args: list[str]) -> None:
    said = inprocess.respin(*args, cwd=tmp_path, env={"RESPIN_CACHE": str(tmp_path / "cache")})
    assert said.status == 2, said.err
    assert "Traceback" not in said.err and said.out == ""


def _toml(text: str) -> None:
    config.parse(tomllib.loads(text), Path("/etc/respin.toml"))


def _lock(**changed: object) -> Callable[[str], object]:
    """Return what reads a lock in which something is the attacker's."""

    def read(evil: str) -> object:
        package = {"name": "x", "version": "1", "architecture": "amd64", "sha256": "0" * 64}
        source = {"name": "iproute2", "version": "1-1", "kind": "archive", "origin": "x"}
        file = {"name": "iproute2_1-1.dsc", "size": 1, "sha256": "0" * 64}
        value = {
            **{"schema": 1, "time": "20260101T000000Z", "number": 1, "pockets": [], "fixes": []},
            **{"release": {"distro": "debian", "codename": "bookworm"}, "tool": "iproute2-respin"},
            **{"source": {**source, "files": [file]}, "guest": None, "control": None},
            "root": [{**package, **dict.fromkeys(changed, evil)}],
        }
        path = Path("respin.lock").absolute()
        path.write_text(json.dumps(value))
        return lockfile_reader.read(path)

    return read


def _changes(evil: str) -> None:
    dsc_file.listed([{"name": evil, "size": "1", "sha256": "0" * 64}], "a .changes")


def _index(evil: str) -> set[str]:
    """Read the Essential packages of an index that lists one of this name."""
    path = Path("l_Packages")
    path.write_text(f"Package: {evil}\nEssential: yes\n")
    release = SimpleNamespace(suite="s", site="x")
    return Index(path, meta="Packages", release=release).essential(())  # type: ignore[arg-type]


def _section(evil: str) -> str:
    with pytest.MonkeyPatch.context() as change:
        change.setattr(user_object, "read", lambda _: filled(Description, programs=(evil,)))
        return user_object.user_section(UserObject(path=Path("x.o")))


ENGINE = oci_engine.OciEngine(name="nowhere", version="1")
WORDS: dict[str, tuple[Callable[[str], object], type[RespinError]]] = {
    "a package's name (apt, mmdebstrap)": (lambda t: _sound(dsc_file.package_name(t)), FetchError),
    "a file's name (dpkg-source, aptly, tar)": (
        lambda t: _sound(dsc_file.file_name(t)),
        FetchError,
    ),
    "a file in a .dsc or a .changes": (_changes, FetchError),
    "a package in an index": (_index, FetchError),
    "a package in a lock": (_lock(name=1), UsageError),
    "a version in a lock": (_lock(version=1), UsageError),
    "an architecture in a lock": (_lock(architecture=1), UsageError),
    "a section of an object (tc, ip)": (_section, UsageError),
    "a release in respin.toml (mmdebstrap, aptly)": (
        lambda t: _toml(f'[release."{t}"]\nbase = "bookworm"'),
        UsageError,
    ),
    "a suite in respin.toml": (lambda t: _toml(f'[release.x]\nsuites = ["{t}"]'), UsageError),
    "a component": (lambda t: _toml(f'[release.x]\ncomponents = ["{t}"]'), UsageError),
    "a kernel": (lambda t: _toml(f'[release.x]\nkernel = "{t}"'), UsageError),
    "an archive": (lambda t: _toml(f'[release.x]\nuris = ["{t}"]'), UsageError),
    "the repository's origin (gpg, aptly)": (
        lambda t: _toml(f'[publish]\norigin = "{t}"'),
        UsageError,
    ),
    "the key of --sign-with (gpg)": (lambda t: keys.fingerprint(t, "--sign-with"), UsageError),
    "the key (gpg)": (lambda t: _toml(f'[publish]\nkey = "{t}"'), UsageError),
    "an image (docker, podman)": (
        lambda t: images.base(ENGINE, BOOKWORM, t, Path("log")),
        UsageError,
    ),
    "a host (dput)": (lambda t: dput.dput(Path("x"), t, trusted=()), UsageError),
    "a distribution (dpkg-genchanges)": (
        lambda t: dput.dput(Path("x"), "h", trusted=(), distribution=t),
        UsageError,
    ),
    "a repository (git)": (
        lambda t: engines.written("github", repository=t),
        UsageError,
    ),
    "a host of a repository's (ssh)": (
        lambda t: engines.written("github", repository=f"ssh://{t}/x"),
        UsageError,
    ),
    "a user of a repository's (ssh)": (
        lambda t: engines.written("github", repository=f"{t}@h:x"),
        UsageError,
    ),
    "a ref (git)": (
        lambda t: engines.written("github", ref=t),
        UsageError,
    ),
}


def _sound(it: bool) -> None:
    if not it:
        raise FetchError("none")


@pytest.mark.attack
@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("evil", EVIL)
def test_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, evil: str) -> None:
    monkeypatch.chdir(tmp_path)
    do, error = WORDS[word]
    with pytest.raises(error) as caught:
        do(evil)
    said = f"{caught.value.brief} {caught.value.hint}"
    assert "missing" not in said and "no run" not in said  # it came to be judged


@pytest.mark.attack
def test_a_package_that_apt_names() -> None:
    """What apt resolves is handed to mmdebstrap in one word, with commas between."""
    lines = [f"'http://x/p' {name}_1_amd64.deb 1 SHA256:0" for name in (*EVIL, "a,b", "xz", "g++")]
    assert [p.name for p in resolve.packages("\n".join(lines))] == ["xz", "g++"]


@pytest.mark.attack
def test_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's Path drops the "./" that the user has put before it."""
    monkeypatch.chdir(tmp_path)
    assert str(Path("./-x")) == "-x"
    assert command.run(["printf", "%s", Path("./-x"), Path("x"), "-x"]).text == "./-xx-x"
    assert command.printable(["rm", Path("-x")], cwd=Path("-d")) == "(cd ./-d && rm ./-x)"


@pytest.mark.attack
@pytest.mark.parametrize("name", ["-x.deb", "--help", "--fsys-tarfile"])
def test_a_package_in_a_file_of_this_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    made = make_deb(tmp_path, "iproute2", "1-1", architecture="amd64")
    made.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert tested_packages.read(Path(f"./{name}")).title == "iproute2 1-1"
    said = inprocess.respin(
        *("smoke", "--deb", f"./{name}", "--place", "netns"),
        env={"RESPIN_CACHE": str(tmp_path / "cache")},
    )
    assert said.status == 14 and "is not iproute2: it contains no tc" in said.err


@pytest.mark.attack
def test_what_a_build_leaves_with_such_a_name(tmp_path: Path) -> None:
    """tar takes a name that begins with a dash for an option, even behind "--"."""
    names = ["--checkpoint=1", "--checkpoint-action=exec=touch pwned"]
    for name in names:
        (tmp_path / name).write_text(name)

    class Here(base.Container):
        """This machine, without walls: what is called is ours."""

        name = "here"

        def _start(self) -> None: ...

        def _remove(self) -> None: ...

        def _run(self, call: base.Call) -> command.Completed:
            return call.through(["env"], {"PATH": "/usr/bin:/bin"})

    dest = tmp_path / "dest"
    dest.mkdir()
    with Here() as inside:
        base.copy_out(inside, str(tmp_path), names, dest)
    assert sorted(p.name for p in dest.iterdir()) == sorted(names)
    assert not Path("pwned").exists() and not (tmp_path / "pwned").exists()
