# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A user's own patch goes into the same source package, after the fixes, or the run says why not.

Real dpkg-source, patch and Coccinelle.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support import ownpatches, packages, smallpackage

from pipeline.errors import PatchError, UsageError
from pipeline.fixes import diagnose, fixes, own_patch, patch
from pipeline.fixes.own_patch import OwnPatch
from pipeline.model import Fate, Patched, Verdict
from pipeline.releases import releases
from pipeline.source import fetch

STT = "respin-stt-object.patch"


def patched(
    tmp_path: Path, own: Sequence[OwnPatch], *, fix: bool = True, native: bool = False
) -> Patched:
    """Return what the patch stage makes of the small package with these patches."""
    dsc = source(tmp_path, native=native)
    it = fetch.local(dsc, tmp_path / "source", releases.find("bookworm"))
    tree = fetch.unpack(it, tmp_path / "tree")
    needed = fixes.choose(["stt-object"]) if fix else ()
    return patch.patch(it, tree, needed, tmp_path / "patched", own=own)


def source(tmp_path: Path, *, native: bool) -> Path:
    golden = smallpackage.GOLDEN / smallpackage.VULNERABLE / "in/lib/bpf.c"
    files = {"lib/bpf.c": golden.read_text(), "Makefile": ownpatches.MAKEFILE}
    dsc = packages.make_source(tmp_path / "made", version="4.10.0-1", files=files)
    if not native:
        return dsc
    tree = next(each for each in (tmp_path / "made").iterdir() if each.is_dir())
    (tree / "debian/source/format").write_text("3.0 (native)\n")
    changelog = tree / "debian/changelog"
    changelog.write_text(changelog.read_text().replace("4.10.0-1", "4.10.0"))
    subprocess.run(["dpkg-source", "-b", tree.name], cwd=tree.parent, check=True)
    return tree.parent / "iproute2_4.10.0.dsc"


def given(tmp_path: Path, text: str, name: str = "mine.patch", more: str = "") -> OwnPatch:
    """Return a patch as the option --patch gives it."""
    path = ownpatches.write(tmp_path, text, name)
    return own_patch.read(path.with_name(path.name + more))


def unpacked(made: Patched, tmp_path: Path) -> Path:
    argv = ["dpkg-source", "--no-check", "-x", str(made.dsc), str(tmp_path / "unpacked")]
    subprocess.run(argv, check=True, capture_output=True)
    return tmp_path / "unpacked"


@pytest.mark.needs("spatch")
@pytest.mark.parametrize("native", [False, True])
def test_it_comes_after_the_fixes(tmp_path: Path, native: bool) -> None:
    made = patched(tmp_path, [given(tmp_path, ownpatches.GOOD)], native=native)
    assert [p.name for p in made.patches] == [STT, "mine.patch"]
    assert [(u.name, u.fate) for u in made.own] == [("mine.patch", Fate.APPLIED)]
    tree = unpacked(made, tmp_path)
    assert "third: fourth" in (tree / "Makefile").read_text()
    (found,) = diagnose.diagnose(tree, fixes.choose(["stt-object"]))
    assert found.verdict is Verdict.FIXED
    changelog = (tree / "debian/changelog").read_text()
    assert "Apply mine.patch, a patch of the user's own." in changelog
    if native:
        assert not (tree / "debian/patches").exists()
        return
    assert (tree / "debian/patches/series").read_text() == f"{STT}\nmine.patch\n"
    assert "(debian/patches/mine.patch)" in changelog
    header = (tree / "debian/patches/mine.patch").read_text().partition("---")[0]
    assert header.startswith("Description: mine.patch, a patch of the user's own\nOrigin: other")


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        ("Description: make it so\nAuthor: me\n\n", True),
        ("From: me <me@example.org>\nSubject: [PATCH] make it so\n\nText.\n---\n stat\n\n", True),
        ("Author: me\n", False),
        ("Only words.\n", False),
    ],
)
def test_its_header_has_the_fields_that_it_lacks(tmp_path: Path, header: str, kept: bool) -> None:
    text = given(tmp_path, header + ownpatches.GOOD).text
    assert text.endswith(header + ownpatches.GOOD)
    assert (text == header + ownpatches.GOOD) is kept
    if not kept:
        assert text.startswith("Description: mine.patch, a patch of the user's own\n")


def test_a_patch_alone(tmp_path: Path) -> None:
    """No fix is applied; without the patch there would be nothing to make."""
    made = patched(tmp_path, [given(tmp_path, ownpatches.GOOD)], fix=False)
    assert made.fixes == () and [p.name for p in made.patches] == ["mine.patch"]
    assert made.version == "4.10.0-1+bpf1"


def test_each_applies_on_top_of_the_one_before(tmp_path: Path) -> None:
    changed = ownpatches.MAKEFILE.replace("third:", "third: fourth")
    again = ownpatches.diff(changed, changed.replace("third: fourth", "third: second"))
    both = [given(tmp_path, ownpatches.GOOD), given(tmp_path, again, "then.patch")]
    made = patched(tmp_path, both, fix=False)
    assert "third: second" in (unpacked(made, tmp_path) / "Makefile").read_text()


def test_one_that_does_not_apply(tmp_path: Path) -> None:
    with pytest.raises(PatchError) as refused:
        patched(tmp_path, [given(tmp_path, ownpatches.OTHER)], fix=False)
    assert refused.value.exit_code == 12
    assert "mine.patch does not apply to Makefile: hunk 1" in refused.value.brief
    assert "first: second" in refused.value.details  # what stands there
    assert "mine.patch,optional" in refused.value.hint
    assert not (tmp_path / "patched").exists()


def test_one_that_applies_only_with_fuzz(tmp_path: Path) -> None:
    """Patch alone would take it: one line of its context differs."""
    text = ownpatches.GOOD.replace(" second:\n", " zweite:\n", 1)
    assert text != ownpatches.GOOD
    (tmp_path / "Makefile").write_text(ownpatches.MAKEFILE)
    fuzzy = subprocess.run(
        ["patch", "-p1", "--dry-run"], cwd=tmp_path, input=text, text=True, capture_output=True
    )
    assert fuzzy.returncode == 0 and "fuzz" in fuzzy.stdout
    with pytest.raises(PatchError, match="does not apply to Makefile: hunk 1"):
        patched(tmp_path, [given(tmp_path, text)], fix=False)


def test_one_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    text = ownpatches.diff("a\n", "b\n", "lib/none.c")
    with pytest.raises(PatchError, match=r"lib/none\.c"):
        patched(tmp_path, [given(tmp_path, text)], fix=False)


def test_an_optional_one_drops_out(tmp_path: Path) -> None:
    own = [
        given(tmp_path, ownpatches.OTHER, "other.patch", ",optional"),
        given(tmp_path, ownpatches.GOOD, "mine.patch", ",optional"),
    ]
    made = patched(tmp_path, own, fix=False)
    assert [(u.name, u.fate) for u in made.own] == [
        ("other.patch", Fate.LEFT_OUT),
        ("mine.patch", Fate.APPLIED),
    ]
    assert made.own[0].reason == "other.patch does not apply to Makefile: hunk 1"
    assert [p.name for p in made.patches] == ["mine.patch"]


def test_one_that_the_source_has_is_left_out(tmp_path: Path) -> None:
    own = [given(tmp_path, ownpatches.THERE, "there.patch"), given(tmp_path, ownpatches.GOOD)]
    made = patched(tmp_path, own, fix=False)
    assert [(u.name, u.fate) for u in made.own] == [
        ("there.patch", Fate.IN_SOURCE),
        ("mine.patch", Fate.APPLIED),
    ]


def test_one_without_enough_context_to_tell(tmp_path: Path) -> None:
    """It adds a line that the source has, and nothing says where."""
    text = ownpatches.diff("\ttrue\n", "\ttrue\n\ttrue\n", lines=0)
    with pytest.raises(PatchError, match="too little context"):
        patched(tmp_path, [replace(given(tmp_path, text), name="mine.patch")], fix=False)


def test_two_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    both = [ownpatches.write(place, ownpatches.GOOD) for place in (tmp_path, tmp_path / "more")]
    with pytest.raises(UsageError, match=r"two patches are called mine\.patch"):
        own_patch.read_all([], both)
