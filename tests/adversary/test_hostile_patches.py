# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A patch that somebody hands to the user, and where patches come from unasked.

What a patch does is seen from the tree in which patch(1) applied it, in the sandbox.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support import ownpatches
from support.ownpatches import MAKEFILE, diff

from pipeline.config import config
from pipeline.errors import PatchError, RespinError, UsageError
from pipeline.fixes import own_patch, own_patches
from pipeline.model import Fate

pytestmark = pytest.mark.attack

LINK = (
    "diff --git a/{0} b/{0}\nnew file mode 120000\n--- /dev/null\n+++ b/{0}\n@@ -0,0 +1 @@\n+{1}\n"
    "\\ No newline at end of file\n"
)
NEW = "a line\n"
PATCHES = {
    "upwards": (diff("", NEW, "../../outside"), "No file to patch|does not apply|dangerous"),
    "debian/rules": (diff("#!/usr/bin/make -f\n", "#!/bin/sh\n", "debian/rules"), "debian/"),
    "a new file in debian": (diff("", NEW, "debian/iproute2.postinst"), "debian/"),
    "debian by its index line": (
        f"Index: debian/rules\n{diff(MAKEFILE, MAKEFILE.replace('third:', '3:'), 'none/none')}",
        "does not apply|debian/",
    ),
    "quilt's directory": (diff("", NEW, ".pc/applied-patches"), ".pc/"),
    "git's directory": (diff("", "[core]\n", ".git/config"), "git"),
    "git's directory below": (diff("", "[core]\n", "lib/.git/config"), "git"),
    "a link out of the source": (LINK.format("lib/out", "/etc/passwd"), "leads out"),
    "a link within the source": (LINK.format("lib/in", "../Makefile"), "symbolic link"),
    "through a link": (
        LINK.format("away", "/etc") + diff("", NEW, "away/respin-patch-was-here"),
        "leads out|symlink|does not apply|symbolic link",
    ),
    "through a link of the source": (diff("", NEW, "linked/rules2"), "does not apply|debian/"),
    "a mode": (
        "diff --git a/Makefile b/Makefile\nold mode 100644\nnew mode 100755\n"
        + diff(MAKEFILE, MAKEFILE.replace("third:", "3:")),
        "mode",
    ),
    "a name that nobody sees": (diff("", NEW, "lib/a\u202eb"), "sees"),
    "nothing": (
        "--- a/Makefile\n+++ b/Makefile\n@@ -1,1 +1,1 @@\n first: second\n",
        "patch refuses it",
    ),
    "a line number without end": (
        f"--- a/Makefile\n+++ b/Makefile\n@@ -{9 * 10**17},3 +1,3 @@\n-a\n+b\n c\n d\n",
        "does not apply",
    ),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a source tree."""
    tree = tmp_path / "tree"
    (tree / "debian").mkdir(parents=True)
    (tree / "lib").mkdir()
    (tree / "Makefile").write_text(MAKEFILE)
    (tree / "debian/rules").write_text("#!/usr/bin/make -f\n")
    (tree / "linked").symlink_to("debian")
    return tree


@pytest.mark.parametrize("name", PATCHES)
def test_what_a_patch_must_not_change(tree: Path, tmp_path: Path, name: str) -> None:
    text, says = PATCHES[name]
    outside = tmp_path / "outside"
    before = {p: p.lstat().st_mtime_ns for p in tree.rglob("*")}
    with pytest.raises(RespinError, match=says) as refused:
        path = ownpatches.write(tmp_path, text.replace("{outside}", str(outside)))
        own_patches.apply(tree, [own_patch.read(path)], tmp_path / "work")
    assert isinstance(refused.value, PatchError | UsageError)
    assert not outside.exists() and not (tmp_path.parent / "outside").exists()
    assert not Path("/etc/respin-patch-was-here").exists()
    assert {p: p.lstat().st_mtime_ns for p in tree.rglob("*")} == before


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        (f"--- {{outside}}\n+++ {{outside}}\n@@ -0,0 +1 @@\n+{NEW}", "{outside}"),
        ("diff --git a/run b/run\nnew file mode 106755\n" + diff("", NEW, "run"), "run"),
        (
            "--- a/Makefile\n+++ b/Makefile\n1i\n!touch {outside}\n.\n"
            "--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+a line\n",
            "x",
        ),
    ],
    ids=["an absolute path", "a setuid program", "an ed script"],
)
def test_what_stays_within_the_source(tree: Path, tmp_path: Path, text: str, changed: str) -> None:
    """These apply, as they would for dpkg-source, and do nothing of what they are for."""
    outside = tmp_path / "outside"
    path = ownpatches.write(tmp_path, text.replace("{outside}", str(outside)))
    done = own_patches.apply(tree, [own_patch.read(path)], tmp_path / "work")
    there = done.tree / changed.replace("{outside}", str(outside)).lstrip("/")
    assert there.read_text() == NEW and there.stat().st_mode & 0o7022 == 0
    assert (done.tree / "Makefile").read_text() == MAKEFILE
    assert not outside.exists()


@pytest.mark.parametrize("name", [n for n in PATCHES if n in ("debian/rules", "a mode")])
def test_that_it_is_optional_does_not_help(tree: Path, tmp_path: Path, name: str) -> None:
    path = ownpatches.write(tmp_path, PATCHES[name][0])
    given = own_patch.read(path.with_name("mine.patch,optional"))
    with pytest.raises(PatchError, match="changes"):
        own_patches.apply(tree, [given], tmp_path / "work")


def test_a_harmless_one_applies(tree: Path, tmp_path: Path) -> None:
    """The negative control: a new file, an executable one, and a change."""
    text = ownpatches.GOOD + "diff --git a/run b/run\nnew file mode 100755\n" + diff("", NEW, "run")
    given = own_patch.read(ownpatches.write(tmp_path, text))
    done = own_patches.apply(tree, [given], tmp_path / "work")
    assert done.fates[0].fate is Fate.APPLIED
    assert (done.tree / "run").read_text() == NEW and not (tree / "run").exists()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a\nb.patch", ownpatches.GOOD, "must not be called"),
        (" spaced.patch", ownpatches.GOOD, "must not be called"),
        ("-option", ownpatches.GOOD, "must not be called"),
        ("series", ownpatches.GOOD, "must not be called"),
        ("respin-stt-object.patch", ownpatches.GOOD, "must not be called"),
        ("x" * 120, ownpatches.GOOD, "must not be called"),
        ("mine.patch", "Description: \x1b[2Jgone\n" + ownpatches.GOOD, r"invisible.*U\+001B"),
        ("mine.patch", "Description: \u202egone\n" + ownpatches.GOOD, r"invisible.*U\+202E"),
        ("mine.patch", "nothing of a patch\n", "not a unified diff"),
        ("mine.patch", "", "not a unified diff"),
        ("mine.patch", ownpatches.GOOD + "\0", "binary"),
        ("mine.patch", ownpatches.GOOD + "GIT binary patch\nliteral 3\nabc\n", "binary"),
        ("mine.patch", ownpatches.GOOD + " x\n" * (1 << 19), "more than 1048576 bytes"),
    ],
)
def test_what_is_refused_when_it_is_read(tmp_path: Path, name: str, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        own_patch.read(ownpatches.write(tmp_path, text, name))
    assert "\x1b" not in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("name", [",optional", "", ".", "none.patch,optional", "none\0.patch"])
def test_what_is_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        own_patch.read(tmp_path / name)


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mine.patch")
    with pytest.raises(UsageError, match="not a regular file"):
        own_patch.read(tmp_path / "mine.patch")
    (tmp_path / "sparse.patch").touch()
    os.truncate(tmp_path / "sparse.patch", 1 << 40)
    with pytest.raises(UsageError, match="more than"):
        own_patch.read(tmp_path / "sparse.patch")


# -- where they come from ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('patches = ["mine.patch"]\n', "patches"),
        ('patches = ["mine.patch"]\n[nightly]\nreleases = []\n', "patches"),
        ('[release.bookworm]\npatches = ["mine.patch"]\n', r"bookworm under \[release\]"),
    ],
)
def test_the_current_directory_brings_in_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, key: str
) -> None:
    ownpatches.write(tmp_path, ownpatches.GOOD)
    (tmp_path / "respin.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.delenv("RESPIN_CONFIG", raising=False)
    with pytest.raises(UsageError, match=f"must not set {key}"):
        config.load()
    named = config.load(tmp_path / "respin.toml")  # the negative control
    assert named.patches_for("bookworm") == (tmp_path / "mine.patch",)


def test_a_configured_patch_that_others_can_write(tmp_path: Path) -> None:
    path = ownpatches.write(tmp_path, ownpatches.GOOD)
    path.chmod(0o666)
    with pytest.raises(UsageError, match="can be written by other users"):
        own_patch.read_all([path])
    assert own_patch.read_all([], [path])  # the user names it, for this run
    path.chmod(0o644)
    assert own_patch.read_all([path])
