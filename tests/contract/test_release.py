# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""`make release` refuses a tree that is not ready; what it builds has all that respin reads."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli import CHECKOUT

VERSION = "7.8.9"
GOLDEN = CHECKOUT / "tests/golden/fixes/v4.20-fixed/in"


def _git(tree: Path, *words: str) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    argv = ["git", *who, "-C", str(tree), *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a small tree that is ready: its `make lint` ends with the status 7."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/release").write_bytes((CHECKOUT / "tools/release").read_bytes())
    (tmp_path / "Makefile").write_text("lint:\n\t@echo linted; exit 7\n")
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/__init__.py").write_text(f'"""It."""\n\n__version__ = "{VERSION}"\n')
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## [{VERSION}] - 2026-01-02\n")
    (tmp_path / "debian").mkdir()
    (tmp_path / "debian/changelog").write_text(f"iproute2-respin ({VERSION}) unstable; x=y\n")
    _git(tmp_path, "init", "--quiet", "--initial-branch=main")
    _commit(tmp_path)
    return tmp_path


def _commit(tree: Path) -> None:
    _git(tree, "add", "--all")
    _git(tree, "commit", "--quiet", "--allow-empty", "--message=x")


def _release(tree: Path, version: str = VERSION) -> tuple[int, str]:
    argv = ["sh", "tools/release", version]
    done = subprocess.run(argv, cwd=tree, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def _written(name: str, text: str) -> Callable[[Path], None]:
    def write(tree: Path) -> None:
        (tree / name).write_text(text)
        _commit(tree)

    return write


UNREADY: dict[str, tuple[Callable[[Path], object], str]] = {
    "changes": (lambda t: (t / "new").write_text("x"), "has changes"),
    "another branch": (lambda t: _git(t, "switch", "--quiet", "--create", "x"), "branch main"),
    "a tag": (lambda t: _git(t, "tag", f"v{VERSION}"), "is there already"),
    "another version": (_written("pipeline/__init__.py", ""), "pipeline/__init__.py does not say"),
    "no heading": (_written("CHANGELOG.md", f"## [{VERSION}]\n"), "CHANGELOG.md has no heading"),
    "debian": (_written("debian/changelog", "iproute2-respin (1) x;\n"), "debian/changelog"),
    "not for a release": (
        _written("debian/changelog", f"iproute2-respin ({VERSION}) UNRELEASED;\n"),
        "for a distribution",
    ),
}


@pytest.mark.parametrize("name", UNREADY)
def test_a_tree_that_is_not_ready(tree: Path, name: str) -> None:
    spoil, words = UNREADY[name]
    spoil(tree)
    tags = _git(tree, "tag")
    status, said = _release(tree)
    assert status == 2 and words in said and "linted" not in said
    assert _git(tree, "tag") == tags


@pytest.mark.parametrize("version", ["", "x", "1.", "-1", "1.0 2"])
def test_what_is_no_version(tree: Path, version: str) -> None:
    status, said = _release(tree, version)
    assert status == 2 and "name the version" in said


def test_what_make_lint_refuses_is_not_tagged(tree: Path) -> None:
    """The control: all else was as it has to be."""
    status, said = _release(tree)
    assert status != 0 and "linted" in said
    assert _git(tree, "tag") == "" and not (tree / "dist").exists()


def test_a_wheel_of_the_sdist_has_all_data(tmp_path: Path) -> None:
    """It has what pipeline/_data links to in a checkout, each file once, and it works."""
    _built("sdist", CHECKOUT, tmp_path)
    (sdist,) = tmp_path.glob("*.tar.gz")
    subprocess.run(["tar", "-xf", sdist, "-C", tmp_path], check=True)
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    _built("wheel", unpacked, tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        there = archive.namelist()
        archive.extractall(tmp_path / "installed")
    assert len(there) == len(set(there))
    for name in ("patches", "templates"):
        files = {path for path in (CHECKOUT / name).rglob("*") if path.is_file()}
        wanted = {f"pipeline/_data/{path.relative_to(CHECKOUT)}" for path in files}
        assert wanted and wanted <= set(there)
    assert "pipeline/_data/packages.txt" in there
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "diagnose", "--tree", GOLDEN],
        cwd=tmp_path / "installed",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _built(target: str, source: Path, dest: Path) -> None:
    argv = [sys.executable, "-m", "hatchling", "build", "--target", target]
    subprocess.run([*argv, "--directory", str(dest)], cwd=source, check=True, capture_output=True)
