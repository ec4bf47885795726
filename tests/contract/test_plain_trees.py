# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The patches of an upstream tree, applied by the tools of those who build from it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from support import cli, inprocess, real

from pipeline.fixes import fixes, plain_patch

PAGE = Path(__file__).parents[2] / "docs/other-distros.md"
GOLDEN = Path(__file__).parents[1] / "golden/fixes"
CASE = "v5.18-libbpf-1"
"""It needs two fixes, of which one changes code that the other changes, too."""
NAMES = [
    "0001-bpf-compute-the-name-of-the-object-s-directory-witho.patch",
    "0002-bpf-link-legacy-maps-before-libbpf-gets-the-object.patch",
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real.checked(tmp_path_factory.mktemp("plain") / "cache")


def tree_of(directory: Path, case: str = CASE) -> Path:
    """Return a golden case's source as upstream would have it."""
    tree = directory / "iproute2-6.1.0"
    shutil.copytree(GOLDEN / case / "in", tree, ignore=shutil.ignore_patterns("debian"))
    return tree


def respin(cache: Path, *args: str | Path) -> cli.Said:
    return inprocess.respin("patch", *args, env={"RESPIN_CACHE": str(cache)})


def sums(tree: Path) -> dict[str, str]:
    return {
        str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(tree.rglob("*"))
        if path.is_file() and not {".git", ".pc", "patches"} & set(path.relative_to(tree).parts)
    }


def run(*argv: str | Path, cwd: Path, **env: str) -> str:
    # Nothing of the user's own configuration counts.
    base = {"PATH": os.environ["PATH"], "HOME": str(cwd), "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        argv, cwd=cwd, env={**base, **env}, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


def made(cache: Path, tree: Path, out: Path) -> list[Path]:
    said = respin(cache, "--tree", tree, "--out", out)
    assert said.status == 0, said.err
    found = [Path(line) for line in said.out.splitlines()]
    assert [path.name for path in found] == NAMES and sorted(out.iterdir()) == found
    return found


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> list[Path]:
    directory = tmp_path_factory.mktemp("patches")
    tree = tree_of(directory)
    before = sums(tree)
    found = made(cache, tree, directory / "out")
    assert sums(tree) == before, "the tree itself is not changed"
    return found


@pytest.fixture(scope="module")
def patched(tmp_path_factory: pytest.TempPathFactory, patches: list[Path]) -> dict[str, str]:
    """Return what the tree has to be afterwards, as patch(1) makes it."""
    tree = tree_of(tmp_path_factory.mktemp("patched"))
    before = sums(tree)
    for path in patches:
        said = run("patch", "-p1", "--fuzz=0", "--no-backup-if-mismatch", "-i", path, cwd=tree)
        assert "offset" not in said and "fuzz" not in said, said
    assert sums(tree) != before
    return sums(tree)


def test_git(tmp_path: Path, patches: list[Path], patched: dict[str, str]) -> None:
    tree = tree_of(tmp_path)
    run("git", "init", "-q", cwd=tree)
    run("git", "add", ".", cwd=tree)
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    run("git", *who, "commit", "-q", "-m", "upstream", cwd=tree)
    for path in patches:
        run("git", "apply", "--check", "--whitespace=error-all", path, cwd=tree)
        run("git", *who, "am", "-q", path, cwd=tree)
    assert sums(tree) == patched
    log = run(
        "git", "log", "-2", "--format=%s%n%(trailers:key=Fixes)%(trailers:key=Link)", cwd=tree
    )
    assert log.splitlines()[0] == "bpf: link legacy maps before libbpf gets the object"
    assert log.count("Fixes: (the author: ") == log.count("Link: (the author: ") == 2
    body = run("git", "log", "-1", "--format=%b", cwd=tree)
    assert max(map(len, body.splitlines())) <= 80 and "\n .\n" not in body
    assert body.rstrip().splitlines()[-1].startswith("Signed-off-by: (the author: ")
    # It is the upstream tree, and not one that has it already.
    again = subprocess.run(["git", "apply", "--check", patches[0]], cwd=tree, capture_output=True)
    assert again.returncode != 0


@pytest.mark.needs("quilt")
def test_quilt(tmp_path: Path, cache: Path, patches: list[Path], patched: dict[str, str]) -> None:
    """The tree may have patches already; ours come after them."""
    tree = tree_of(tmp_path)
    (tree / "patches").mkdir()
    (tree / "patches/series").write_text("one.patch")
    (tree / "patches/one.patch").write_text("--- /dev/null\n+++ b/NEWS\n@@ -0,0 +1 @@\n+new\n")
    said = respin(cache, "--tree", tree, "--out", tree, "--format", "quilt")
    assert said.status == 0, said.err
    assert (tree / "patches/series").read_text().split() == ["one.patch", *NAMES]
    for path in patches:
        assert (tree / "patches" / path.name).read_bytes() == path.read_bytes()
    run("quilt", "push", "-a", "--fuzz=0", cwd=tree, QUILT_PATCHES="patches")
    assert (tree / "NEWS").exists()
    assert {name: s for name, s in sums(tree).items() if name != "NEWS"} == patched


def test_portage(tmp_path: Path, cache: Path, patches: list[Path], patched: dict[str, str]) -> None:
    """Its eapply_user takes the files in the order of their names."""
    tree, etc = tree_of(tmp_path), tmp_path / "etc/portage/patches"
    said = respin(cache, "--tree", tree, "--out", etc, "--format", "ebuild", "--json")
    assert said.status == 0, said.err
    found = sorted((etc / "sys-apps/iproute2").iterdir())
    answer = json.loads(said.out)
    assert answer["patches"] == [str(path) for path in found]
    conditions = {each["fix"]: each["condition"] for each in answer["fixes"]}
    assert conditions["libbpf-legacy-maps"] == "if it is built with libbpf-dev 1.0 or later"
    assert [p.read_bytes() for p in found] == [p.read_bytes() for p in patches]
    for path in found:
        argv = ("patch", "-p1", "-f", "-s", "-g0", "--no-backup-if-mismatch", "-i", path)
        run(*argv, cwd=tree)
    assert sums(tree) == patched


def told(*begins: str) -> list[str]:
    """Return the lines of docs/other-distros.md that begin so, with the patches' names."""
    text = PAGE.read_text("utf-8")
    for name in NAMES:
        text = text.replace(f"{name[:8]}-….patch", name)
    found = [line.strip() for line in text.splitlines() if line.strip().startswith(begins)]
    assert len(found) == len(begins) and "…" not in "".join(found)
    return found


PKGBUILD = """pkgname=iproute2
pkgver=6.1.0
pkgrel=1
arch=(any)
source=(iproute2-6.1.0.tar 0001-arch-own.patch)
{source}
prepare() {{
  cd "$pkgname-$pkgver"
  patch -Np1 -i ../0001-arch-own.patch
  {cd}
  {apply}
}}
package() {{ :; }}
"""


@pytest.mark.needs("makepkg")
@pytest.mark.needs("bsdtar")
def test_arch(tmp_path: Path, patches: list[Path], patched: dict[str, str]) -> None:
    """The package has a patch of its own, whose name begins like ours."""
    tree, place = tree_of(tmp_path), tmp_path / "place"
    place.mkdir()
    run("tar", "-cf", place / "iproute2-6.1.0.tar", tree.name, cwd=tmp_path)
    for path in patches:
        shutil.copy(path, place)
    own = "--- /dev/null\n+++ b/NEWS\n@@ -0,0 +1 @@\n+new\n"
    (place / "0001-arch-own.patch").write_text(own)
    source, cd, apply = told("source+=", 'cd "$srcdir', "for each in")
    (place / "PKGBUILD").write_text(PKGBUILD.format(source=source, cd=cd, apply=apply))
    # makepkg refuses to run as root; pacman, which this makes up, would look for what it needs.
    nobody = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
    argv = ("makepkg", "--nobuild", "--nodeps", "--skipinteg")
    run(*nobody, *argv, cwd=place, PACMAN="true")
    found = sums(place / "src/iproute2-6.1.0")
    assert {name: s for name, s in found.items() if name != "NEWS"} == patched
    assert "NEWS" in found


@pytest.mark.needs("nix-instantiate")
def test_nix(tmp_path: Path) -> None:
    """The overlay, evaluated for a package with a patch of its own, and for one without."""
    text = PAGE.read_text("utf-8").partition("**Nix**")[2].partition("**git**")[0]
    overlay = textwrap.dedent(text[text.index("\n\n") :]).strip()
    for name in NAMES:
        overlay = overlay.replace(f"{name[:8]}-….patch", name)
    for old in ("{ patches = [ ./own.patch ]; }", "{ }"):
        package = f"{{ iproute2.overrideAttrs = change: change {old}; }}"
        asked = f"map baseNameOf (({overlay}) {{ }} {package}).iproute2.patches"
        argv = ("nix-instantiate", "--eval", "--strict", "--json", "--store", "dummy://")
        own = ["own.patch"] * ("own.patch" in old)
        assert json.loads(run(*argv, "--expr", asked, cwd=tmp_path)) == [*own, *NAMES]


SPEC = """Name: iproute
Version: 6.1.0
Release: 1
Summary: x
License: GPL-2.0-or-later
Source0: iproute2-6.1.0.tar
{patches}
%description
x
%prep
%autosetup -p1 -n iproute2-6.1.0
"""


@pytest.mark.needs("rpmbuild")
def test_an_rpm_spec(tmp_path: Path, patches: list[Path], patched: dict[str, str]) -> None:
    tree, top = tree_of(tmp_path), tmp_path / "top"
    sources = top / "SOURCES"
    sources.mkdir(parents=True)
    run("tar", "-cf", sources / "iproute2-6.1.0.tar", tree.name, cwd=tmp_path)
    for path in patches:
        shutil.copy(path, sources)
    lines = told("Patch9001: ", "Patch9002: ")
    spec = tmp_path / "iproute.spec"
    spec.write_text(SPEC.format(patches="\n".join(lines)))
    run("rpmbuild", "-bp", "--nodeps", "-D", f"_topdir {top}", spec, cwd=tmp_path)
    (built,) = (top / "BUILD").rglob("iproute2-6.1.0")
    assert sums(built) == patched


def test_a_message_stays_one() -> None:
    """The description is somebody's text: it neither ends the message nor begins a patch."""
    fix = fixes.choose(["af-alg"])[0]
    text = "bpf: x\n a\n ---\n diff --git a/x b/x\n --- a/x\n +++ b/x\n @@ -0,0 +1 @@\n .\n end"
    hostile = replace(fix, dep3={"Description": text})
    assert plain_patch.message(hostile) == (
        "bpf: x",
        "a\n ---\n diff --git a/x b/x\n --- a/x\n +++ b/x\n @@ -0,0 +1 @@\n\nend",
    )


def test_a_tree_that_needs_nothing(tmp_path: Path, cache: Path, patches: list[Path]) -> None:
    """Nothing is written: not of what was fixed by these patches, nor of what upstream fixed."""
    tree = tree_of(tmp_path)
    for path in patches:
        run("patch", "-p1", "-s", "-i", path, cwd=tree)
    other = tree_of(tmp_path / "other", "v4.20-fixed")
    for each in (tree, other):
        for form in ("git", "quilt", "ebuild"):
            out = tmp_path / f"out-{form}"
            said = respin(cache, "--tree", each, "--out", out, "--format", form)
            assert (said.status, said.out) == (0, "") and not out.exists(), said.err


def test_one_fix_alone(tmp_path: Path, cache: Path) -> None:
    tree = tree_of(tmp_path)
    args = ("--tree", tree, "--out", tmp_path / "out", "--fix", "af-alg")
    assert respin(cache, *args).status == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == NAMES[:1]


def test_what_is_refused(tmp_path: Path, cache: Path) -> None:
    """One sentence, and nothing is written."""
    tree, out = tree_of(tmp_path), tmp_path / "out"
    for option in (
        *(("--release", "bookworm"), ("--version", "6.1.0-3"), ("--number", "2")),
        *(("--at", "20230610T000000Z"), ("--pocket", "security"), ("--sign-with", "AB")),
        *(("--mirror", "http://a.example"), ("--no-fixes",)),
    ):
        said = respin(cache, "--tree", tree, "--out", out, *option)
        assert said.status == 2 and f"has no debian/, so {option[0]} cannot" in said.err, said.err
    strange = tree_of(tmp_path / "strange", "unknown-second-test")
    said = respin(cache, "--tree", strange, "--out", out)
    assert said.status == 11 and not out.exists(), said.err
    said = respin(cache, "--tree", GOLDEN / CASE / "in", "--out", out, "--format", "git")
    assert said.status == 2 and "--tree without debian/" in said.err and not out.exists()
    out.mkdir()
    (out / NAMES[1]).write_text("mine")
    said = respin(cache, "--tree", tree, "--out", out)
    assert said.status == 2 and f"{NAMES[1]} already exists" in said.err
    assert [path.name for path in out.iterdir()] == [NAMES[1]]
    other = tmp_path / "other"
    other.mkdir()
    said = respin(cache, "--tree", other, "--out", tmp_path / "nothing")
    assert said.status == 11 and f"{other} has no BPF loader" in said.err, said.err
    (tree / "lib/evil").symlink_to("/etc")
    said = respin(cache, "--tree", tree, "--out", tmp_path / "evil")
    assert said.status == 10 and not (tmp_path / "evil").exists(), said.err
